import { describe, expect, it } from 'vitest'
import { explain, type Judgement } from '../../../src/cli/explain.ts'
import { FakeProcess } from './fake-io.ts'

const judgements: Record<string, Judgement> = {
  read: { verdict: 'either', reason: 'reads nothing', pin: null },
  hinted: { verdict: 'replica', reason: 'reads t', pin: null, hint: { route: 'primary' } },
  write: { verdict: 'primary', reason: 'writes', pin: null, hint: { route: 'replica' } },
  lock: { verdict: 'pin', reason: 'locks', pin: 'advisory lock' },
}
const judge = (sql: string): Judgement =>
  judgements[sql] ?? { verdict: 'control', reason: '', pin: null }
const flags = ['explain', '--primary', 'postgres://m@h/app']

describe('explain', () => {
  it.each([
    ['read', 'replica'],
    ['hinted', 'primary'],
    ['write', 'primary'],
    ['lock', 'primary'],
    ['BEGIN', 'primary'],
  ])('sends "%s" to a %s', (sql, route) => {
    expect(explain(sql, judge).route).toBe(route)
  })

  it('prints route, class, reason and pin', async () => {
    const process = new FakeProcess({ openJudge: async () => judge })
    expect(await process.run([...flags, 'lock'])).toBe(0)
    expect(process.out).toEqual([
      'route   primary',
      'class   pin',
      'reason  locks',
      'pin     advisory lock',
    ])
  })

  it('answers one object per line of standard input', async () => {
    const process = new FakeProcess({ openJudge: async () => judge })
    process.stdin.end('"read"\n\n"lo\\u0063k"\r\n"with\\nline feed"')
    expect(await process.run([...flags, '--json', '-'])).toBe(0)
    expect(process.out.map((line) => JSON.parse(line))).toEqual([
      { sql: 'read', class: 'either', route: 'replica', pin: null, reason: 'reads nothing' },
      { sql: 'lock', class: 'pin', route: 'primary', pin: 'advisory lock', reason: 'locks' },
      { sql: 'with\nline feed', class: 'control', route: 'primary', pin: null, reason: '' },
    ])
  })

  it('names the lines that are no JSON string, answers the others and ends with 1', async () => {
    const process = new FakeProcess({ openJudge: async () => judge })
    process.stdin.end('SELECT 1\n"read"\n42\n')
    expect(await process.run([...flags, '--json', '-'])).toBe(1)
    expect(process.out).toHaveLength(1)
    expect(process.err).toEqual([
      'line 1 is no JSON string; write one per line, such as "SELECT 1"',
      'line 3 is no JSON string; write one per line, such as "SELECT 1"',
    ])
  })

  it("uses the monitor's database, or the one that is asked for", async () => {
    const asked: string[] = []
    const process = new FakeProcess({
      openJudge: async (_node, _cluster, database) => {
        asked.push(database)
        return judge
      },
    })
    await process.run([...flags, 'read'])
    await process.run([...flags, '--database', 'shop', 'read'])
    expect(asked).toEqual(['app', 'shop'])
  })
})
