import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RequestTrace } from '../../../src/metrics/request-meter.ts'
import { StatementTable } from '../../../src/metrics/statement-table.ts'

const request = (why = 'write', error: object | null = null) => {
  const trace = new RequestTrace(why)
  trace.countRow()
  return { trace, startedAtMs: 0, size: 10, answerBytes: 20, attempts: 0, error }
}

const classOf = (text: string) => ({ text, reason: 'it writes', timing: {} })

describe('the table of statements', () => {
  it('adds up what texts without literals have in common, per database, over all their classes', () => {
    const table = new StatementTable()
    const old = classOf('select ?')
    table.answered('a', old, request('unproved'), false, false, 2)
    table.answered('a', old, request('behind'), true, false, 5)
    table.answered('a', classOf('select ?'), request('read'), true, true, 1)
    table.answered('a', classOf('select ?'), request('behind', {}), true, false, 1)
    table.answered('b', old, request(), true, false, 9)
    const [one, other] = [...table.all]
    expect(one).toMatchObject({
      database: 'a',
      calls: 4,
      primaryCalls: 3,
      primaryMs: 8,
      replicaMs: 1,
      rows: 4,
      bytes: 80,
      errors: 1,
      mainWord: 'behind',
      isRead: true,
    })
    expect(other).toMatchObject({ database: 'b', calls: 1, primaryMs: 9 })
    table.answered('a', { ...classOf(''), text: '' }, request(), false, false, 1)
    expect([...table.all]).toHaveLength(2)
  })

  it('keeps as many as it may, and never less than the true time of each that it has', () => {
    const runs = fc.array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 50 })), { minLength: 50 })
    fc.assert(
      fc.property(runs, (given) => {
        const places = 8
        const table = new StatementTable(places)
        const classes = Array.from({ length: 31 }, (_, i) => classOf(`select ${i}`))
        const trueMs = new Map<string, number>()
        let allMs = 0
        for (const [i, ms] of given) {
          const cls = classes[i] as ReturnType<typeof classOf>
          table.answered('a', cls, request(), false, false, ms)
          trueMs.set(cls.text, (trueMs.get(cls.text) ?? 0) + ms)
          allMs += ms
        }
        const kept = new Map([...table.all].map((stats) => [stats.text, stats]))
        expect(kept.size).toBeLessThanOrEqual(places)
        for (const [text, stats] of kept) {
          expect(stats.weightMs).toBeGreaterThanOrEqual(trueMs.get(text) ?? 0)
          expect(stats.totalMs).toBeLessThanOrEqual(trueMs.get(text) ?? 0)
        }
        for (const [text, ms] of trueMs)
          if (ms > allMs / places) expect([...kept.keys()]).toContain(text)
      }),
    )
  })
})
