import { describe, expect, test } from 'vitest'
import { parseBenchOptions } from '../../bench/bench-options.ts'
import { type PgbenchResult, parsePgbench } from '../../bench/pgbench.ts'
import { parseStat } from '../../bench/process-tree.ts'
import { renderFailures, renderGoals, renderTable } from '../../bench/report.ts'
import { median, ratio, summarize } from '../../bench/results.ts'

const run = (tps: number, cpuMicros: number | null): PgbenchResult => {
  return { transactions: 100, tps, cpuMicros }
}

describe('figures of the bench', () => {
  test('CPU is own time and that of children waited for, whatever the program is called', () => {
    const text = '42 (a) S (b) S 7 42 42 0 -1 4194304 900 800 0 0 100 20 3 4 20 0 1 0 5'
    expect(parseStat(text)).toEqual({ parent: 7, ticks: 127 })
  })

  test('the report of pgbench is read, and one without transactions is none', () => {
    const text = [
      'number of transactions actually processed: 4711',
      'number of failed transactions: 2 (0.042%)',
      'tps = 1570.333 (without initial connection time)',
    ].join('\n')
    expect(parsePgbench(text)).toEqual({ transactions: 4711, failed: 2, tps: 1570.333 })
    expect(parsePgbench(text.replace('4711', '0'))).toBeNull()
    expect(parsePgbench('')).toBeNull()
  })

  test('the median of an even number of values lies between the two in the middle', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([3, 1, 2])).toBe(2)
  })

  test('a ratio is the median of the rounds, not the ratio of the medians', () => {
    const ours = [run(10, 1), run(40, 2), run(30, 3)]
    const theirs = [run(10, 2), run(10, 2), run(10, 2)]
    expect(ratio(ours, theirs, ({ tps }) => tps)).toBe(3)
    expect(ratio(ours, [run(1, null)], ({ cpuMicros }) => cpuMicros)).toBeNull()
    expect(ratio(ours, [new Error('x')], ({ tps }) => tps)).toBeNull()
  })

  test('one failed run is the result of the cell', () => {
    const error = new Error('it broke')
    expect(summarize([run(1, 1), error])).toBe(error)
    expect(summarize(undefined)).toBeNull()
    const results = new Map([['simple:1', new Map([['pgsplit', [error]]])]])
    expect(renderFailures(results)).toEqual(['pgsplit failed in simple:1: it broke'])
  })

  test('the table has a line per cell, and a goal names its worst cell', () => {
    const options = parseBenchOptions(['--only', 'simple:1,simple:16'])
    if (options === 'help') throw new Error('no help was asked for')
    const results = new Map(
      options.cells.map(({ id }, index) => [
        id,
        new Map([
          ['direct', [run(100, null)]],
          ['pgsplit', [run(80, 8 + index)]],
          ['PgBouncer', [run(50, 5)]],
        ]),
      ]),
    )
    const table = renderTable(options.cells, ['direct', 'pgsplit', 'PgBouncer'], results)
    const lines = table.split('\n')
    expect(lines).toHaveLength(4)
    expect(lines[3]).toMatch(/simple:16 .* 80 .* 9\.0 .* 1\.80 ×/)
    expect(new Set(lines.map((line) => line.length)).size).toBe(1)
    expect(renderGoals(options.cells, results)).toEqual([
      'CPU per -S transaction at most 1.6 × PgBouncer: missed, worst 1.80 × (simple:16)',
    ])
  })
})

describe('options of the bench', () => {
  test('--only selects cells, whole families, and what is no cell', () => {
    const options = parseBenchOptions(['--only', 'prepared,idle', '--no-pgpool'])
    if (options === 'help') throw new Error('no help was asked for')
    expect(options.cells.map(({ id }) => id)).toEqual(['prepared:1', 'prepared:16', 'prepared:64'])
    expect(options).toMatchObject({ idleClients: 1000, slowRows: 0 })
    expect([...options.without]).toEqual(['pgpool'])
  })

  test.each([
    [['--only', 'nothing'], /no cell nothing/],
    [['--rounds', '0'], /--rounds is 0; give a whole number from 1 to 100/],
    [['--sconds', '1'], /sconds/],
  ])('%j is refused', (argv, message) => {
    expect(() => parseBenchOptions(argv)).toThrow(message)
  })
})
