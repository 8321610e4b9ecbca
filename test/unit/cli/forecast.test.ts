import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { FakeProcess } from './fake-io.ts'

const directory = mkdtempSync(join(tmpdir(), 'pgsplit-forecast-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const trace = (name: string): string =>
  fileURLToPath(new URL(`../../traces/${name}.csv`, import.meta.url))

describe('pgsplit forecast', () => {
  it('prints the table and a chart, and writes another one', async () => {
    const process = new FakeProcess()
    const svg = join(directory, 'chart.svg')
    expect(await process.run(['forecast', '--backtest', trace('nyc_taxi'), '--svg', svg])).toBe(0)
    const text = process.out.join('\n')
    expect(text).toMatch(/^ {2}shape {8}0\.38$/m)
    expect(text).toMatch(/^ {2}persistence {2}1\.00$/m)
    expect(text).toMatch(/^ {2}reactive +1\.62 % +1\.04$/m)
    expect(text).toMatch(/^ {2}forecast +0\.07 % +1\.07$/m)
    expect(text).toContain('the forecast would act now')
    expect(text).toContain('█')
    expect(readFileSync(svg, 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
  })

  it('prints the same for programs', async () => {
    const process = new FakeProcess()
    const argv = ['forecast', '--backtest', trace('elb_request_count_8c0756'), '--json']
    expect(await process.run(argv)).toBe(0)
    const figures = JSON.parse(process.out.join(''))
    expect(figures).toMatchObject({ horizonMs: 900_000, acting: 0 })
    expect(figures.notes).toHaveLength(1)
  })

  it.each([
    [['--backtest', join(directory, 'nothing')], /cannot read .*nothing \(ENOENT\)/],
    [['--backtest', join(directory, 'bad.csv')], /no line has a time and a number/],
    [['--backtest', trace('nyc_taxi'), '--zone', 'Nowhere/City'], /is no time zone/],
    [['--backtest', trace('nyc_taxi'), '--horizon', '1s'], /expected a duration from 1m/],
  ])('says in one line what is wrong with %j', async (argv, line) => {
    writeFileSync(join(directory, 'bad.csv'), 'no\ncsv\n')
    const process = new FakeProcess()
    expect(await process.run(['forecast', ...argv])).toBe(1)
    expect(process.err).toHaveLength(1)
    expect(process.err[0]).toMatch(line)
  })
})
