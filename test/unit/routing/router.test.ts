import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createBalancer } from '../../../src/routing/balancers/create-balancer.ts'
import { LoadTable } from '../../../src/routing/load.ts'
import { NO_POSITIONS } from '../../../src/routing/positions.ts'
import { initialFacts, type SessionFacts } from '../../../src/routing/requirement.ts'
import { Router, type RouterOptions } from '../../../src/routing/router.ts'
import type { StatementClass } from '../../../src/sql/statement-class.ts'
import type { Snapshot } from '../../../src/topology/snapshot.ts'
import { classOf, hint, snapshotOf, view } from './fixtures.ts'

const READ = classOf('replica')
const WRITE = classOf('primary')
const FACTS = initialFacts()

function router(given: Partial<RouterOptions> = {}): Router {
  const load = new LoadTable()
  return new Router({ balancer: createBalancer('least-connections'), load, ...given })
}

describe('the router', () => {
  it('sends proved reads to the replicas in turn and writes to the primary', () => {
    const one = router()
    const snapshot = snapshotOf([view(0), view(1), view(2)])
    const nodes = [1, 2, 3, 4].map(() => one.route(READ, FACTS, snapshot).node?.id)
    expect(nodes.toSorted()).toEqual(['r1', 'r1', 'r2', 'r2'])
    expect(one.route(WRITE, FACTS, snapshot)).toEqual({
      node: view(0),
      target: 'primary',
      reason: 'because primary',
      word: 'unproved',
    })
  })

  it('allocates nothing for the common case', () => {
    const one = router()
    const snapshot = snapshotOf([view(0), view(1)])
    expect(one.route(READ, FACTS, snapshot)).toBe(one.route(READ, FACTS, snapshot))
    const next = snapshotOf([view(0), view(1)], { version: 2 })
    expect(one.route(READ, FACTS, next).node).toBe(next.nodes[1])
  })

  it('tells whether waiting for a replica may help, by what is known of it', () => {
    const snapshot = snapshotOf([view(0), view(1)])
    const facts = initialFacts({ watermark: { timeline: 1, lsn: 2_000n } })
    const mayHelp = (
      given: Parameters<typeof view>[1],
      delayMs = 5,
      asking: SessionFacts = facts,
      exclude = 0,
    ): boolean => {
      const positions = { ...NO_POSITIONS, delayMs: () => delayMs }
      const nodes = snapshotOf([view(0), view(1, given)], { timelineStartLsn: 500n })
      return router({ positions }).isCatchingUp(READ, asking, nodes, exclude, 20)
    }
    expect(router().isCatchingUp(READ, facts, snapshot, 0, 20)).toBe(true)
    expect(mayHelp({})).toBe(true)
    expect(mayHelp({ replayPaused: true })).toBe(false)
    expect(mayHelp({ streaming: false })).toBe(false)
    expect(mayHelp({ streaming: null })).toBe(true)
    expect(mayHelp({ readable: false })).toBe(false)
    expect(mayHelp({ fresh: false })).toBe(false)
    expect(mayHelp({}, 21)).toBe(false)
    expect(mayHelp({}, 5, facts, 0b10)).toBe(false)
    // Beyond the promotion: no replica is on that history, until the session has done something more.
    const lost = initialFacts({ watermark: { timeline: 0, lsn: 2_000n } })
    expect(mayHelp({}, 5, lost)).toBe(false)
    expect(mayHelp({}, 5, { ...lost, dirtySince: 3 })).toBe(true)
  })

  it('falls back to the primary with the reason, unless told not to', () => {
    const snapshot = snapshotOf([view(0), view(1, { fresh: false })])
    expect(router().route(READ, FACTS, snapshot)).toEqual({
      node: snapshot.primary,
      target: 'replica',
      reason: 'proved read-only, but every replica lags too far behind',
      word: 'no_replica',
    })
    expect(router({ fallbackToPrimary: false }).route(READ, FACTS, snapshot)).toEqual({
      node: null,
      target: 'replica',
      reason: 'every replica lags too far behind, and fallbackToPrimary is off',
      word: 'no_replica',
    })
  })

  it('reads go on without a primary, writes say that there is none', () => {
    const snapshot = snapshotOf([view(0, { role: 'unknown', health: 'down' }), view(1)])
    expect(router().route(READ, FACTS, snapshot).node?.id).toBe('r1')
    expect(router().route(WRITE, FACTS, snapshot)).toEqual({
      node: null,
      target: 'primary',
      reason: 'because primary, but there is no primary now',
      word: 'unproved',
    })
    const nobody = snapshotOf([view(0, { role: 'unknown' })])
    expect(router().route(READ, FACTS, nobody)).toMatchObject({
      node: null,
      reason: 'no replica is known, and there is no primary now',
    })
  })

  it('does not offer a node again that a retried read has met', () => {
    const snapshot = snapshotOf([view(0), view(1), view(2)])
    const one = router()
    for (let i = 0; i < 6; i++) expect(one.route(READ, FACTS, snapshot, 0b10).node?.id).toBe('r2')
    expect(one.route(READ, FACTS, snapshot, 0b110)).toMatchObject({
      node: { id: 'primary' },
      reason: 'proved read-only, but every replica was tried',
    })
  })

  it('holds a session’s reads back from replicas that have not replayed its writes', () => {
    const snapshot = snapshotOf([
      view(0),
      view(1, { replayLsn: 500n }),
      view(2, { replayLsn: 700n }),
    ])
    const one = router()
    const at = (lsn: bigint) =>
      one.route(READ, initialFacts({ watermark: { timeline: 1, lsn } }), snapshot)
    expect(new Set([1, 2, 3, 4].map(() => at(500n).node?.id)).size).toBe(2)
    expect(at(500n).avoidsStale).toBeUndefined()
    for (let i = 0; i < 6; i++) {
      expect(at(600n)).toMatchObject({ node: { id: 'r2' }, word: 'read', avoidsStale: true })
    }
    expect(at(701n)).toMatchObject({
      node: { id: 'primary' },
      reason: "proved read-only, but no replica has reached the session's watermark",
      isBehind: true,
    })
  })

  it('lets a session stay at the replica that it has read from, or sends it to the primary', () => {
    const snapshot = snapshotOf([view(0), view(1), view(2), view(3, { fresh: false })])
    const one = router()
    const at = (reader: number, exclude = 0) =>
      one.route(READ, initialFacts({ reader }), snapshot, exclude)
    for (let i = 0; i < 4; i++) expect(at(2)).toMatchObject({ node: { id: 'r2' } })
    expect(at(2, 0b100)).toEqual({
      node: snapshot.primary,
      target: 'replica',
      reason: 'proved read-only, but what it saw on r2 has no position yet',
      word: 'behind',
      isBehind: true,
    })
    expect(at(3)).toMatchObject({ node: { id: 'primary' }, isBehind: true })
    expect(at(9)).toMatchObject({ node: { id: 'primary' }, isBehind: true })
  })

  it('sends reads to the primary while what the session did last has no position', () => {
    const snapshot = snapshotOf([view(0), view(1)])
    const facts = initialFacts({ dirtySince: 4 })
    expect(router().route(READ, facts, snapshot)).toEqual({
      node: snapshot.primary,
      target: 'replica',
      reason: 'proved read-only, but what it must see has no position yet',
      word: 'behind',
      isBehind: true,
    })
  })

  describe('what others have written, at shared', () => {
    const nodes = [view(0), view(1, { replayLsn: 500n }), view(2, { replayLsn: 700n })]
    const snapshot = snapshotOf(nodes)
    const without = snapshotOf([view(0, { role: 'unknown', health: 'down' }), ...nodes.slice(1)])
    const owing = (given: Partial<SessionFacts>) =>
      initialFacts({ consistency: 'shared', ...given })
    const mark = (lsn: bigint, timeline = 1) => ({ othersMark: { timeline, lsn } })
    const at = (facts: SessionFacts, where: Snapshot) => {
      const one = router()
      const routes = [1, 2, 3, 4].map(() => one.route(READ, facts, where))
      return [...new Set(routes.map(({ node }) => node?.id ?? null))].toSorted()
    }

    it('is seen like what the session itself has written, while there is a primary', () => {
      expect(at(owing({ othersSince: 4 }), snapshot)).toEqual(['primary'])
      expect(at(owing(mark(500n)), snapshot)).toEqual(['r1', 'r2'])
      expect(at(owing(mark(600n)), snapshot)).toEqual(['r2'])
      expect(at(owing(mark(701n)), snapshot)).toEqual(['primary'])
      expect(at(owing({ ...mark(500n), watermark: { timeline: 1, lsn: 600n } }), snapshot)).toEqual(
        ['r2'],
      )
      expect(at(owing({ ...mark(600n), reader: 1 }), snapshot)).toEqual(['primary'])
    })

    it('holds up no read while there is none: the furthest replicas serve', () => {
      expect(at(owing({ othersSince: 4 }), without)).toEqual(['r2'])
      expect(at(owing({ othersSince: 4, reader: 1 }), without)).toEqual(['r1'])
      expect(at(owing(mark(500n)), without)).toEqual(['r2'])
      expect(at(owing(mark(900n)), without)).toEqual(['r2'])
    })

    it('is not mixed up with what the session itself has written, which holds it up', () => {
      expect(at(owing({ othersSince: 4, dirtySince: 3 }), without)).toEqual([null])
      const own = { watermark: { timeline: 1, lsn: 701n } }
      expect(at(owing({ othersSince: 4, ...own }), without)).toEqual([null])
      expect(at(owing({ othersSince: 4, watermark: { timeline: 1, lsn: 600n } }), without)).toEqual(
        ['r2'],
      )
    })
  })

  it('sends reads with a watermark of a lost timeline to the primary, never into a wait', () => {
    const snapshot = snapshotOf([view(0), view(1)], { timeline: 3, timelineStartLsn: 500n })
    const at = (timeline: number, lsn: bigint) =>
      router().route(READ, initialFacts({ watermark: { timeline, lsn } }), snapshot).node?.id
    expect([at(2, 500n), at(2, 501n), at(3, 900n)]).toEqual(['r1', 'primary', 'r1'])
  })

  it('sends nothing to a primary that a token of a later timeline shows to be replaced', () => {
    const snapshot = snapshotOf([view(0), view(1)], { timeline: 3, timelineStartLsn: 500n })
    const given = { watermark: { timeline: 4, lsn: 1n } }
    for (const facts of [initialFacts(given), initialFacts({ ...given, dirtySince: 1 })]) {
      for (const cls of [READ, WRITE]) {
        expect(router().route(cls, facts, snapshot)).toMatchObject({
          node: null,
          reason: 'its causal token is of a later promotion than is known of here',
        })
      }
    }
    // Who doesn't ask for what the token stands for is served.
    const eventual = initialFacts({ ...given, consistency: 'eventual' })
    expect(router().route(READ, eventual, snapshot).node?.id).toBe('r1')
    const known = snapshotOf([view(0), view(1)], { timeline: 4, timelineStartLsn: 500n })
    expect(router().route(READ, initialFacts(given), known).node?.id).toBe('r1')
  })

  it('prefers the own zone', () => {
    const snapshot = snapshotOf([view(0), view(1, { zone: 'a' }), view(2, { zone: 'b' })])
    const one = router({ zone: 'b' })
    for (let i = 0; i < 4; i++) expect(one.route(READ, FACTS, snapshot).node?.id).toBe('r2')
  })

  it('applies a maxLag hint', () => {
    const snapshot = snapshotOf([view(0), view(1, { lagMs: 900 }), view(2, { lagMs: 100 })])
    const cls = classOf('replica', { hint: hint({ maxLagMs: 500 }) })
    const one = router()
    for (let i = 0; i < 4; i++) expect(one.route(cls, FACTS, snapshot).node?.id).toBe('r2')
  })

  it('sends everything to the primary when a balancer fails', () => {
    const balancer = {
      name: 'latency',
      wantsAway: () => false,
      pick: () => {
        throw new Error('boom')
      },
    } as const
    const snapshot = snapshotOf([view(0), view(1)])
    expect(router({ balancer }).route(READ, FACTS, snapshot)).toEqual({
      node: snapshot.primary,
      target: 'primary',
      reason: 'routing failed (boom), so the primary',
      word: 'other',
    })
  })

  it('never throws, for any input whatever', () => {
    const cls = fc.oneof(
      fc.anything(),
      fc.record({ verdict: fc.anything(), learned: fc.anything(), hint: fc.anything() }),
    )
    const facts = fc.oneof(
      fc.anything(),
      fc.record({
        pinned: fc.constantFrom(null, 'x'),
        pendingBegin: fc.anything(),
        consistency: fc.anything(),
        watermark: fc.oneof(fc.record({ timeline: fc.nat(3), lsn: fc.bigInt() }), fc.anything()),
        reader: fc.anything(),
        dirtySince: fc.anything(),
        maxLagMs: fc.oneof(fc.double(), fc.constant(null)),
      }),
    )
    const snapshot = snapshotOf([view(0), view(1), view(2, { lagMs: null })])
    const one = router()
    fc.assert(
      fc.property(cls, facts, fc.integer(), (anyClass, anyFacts, exclude) => {
        const route = one.route(
          anyClass as StatementClass,
          anyFacts as SessionFacts,
          snapshot,
          exclude,
        )
        expect(['primary', 'replica']).toContain(route.target)
        expect(route.node === null || snapshot.nodes.includes(route.node)).toBe(true)
      }),
    )
  })

  it('chooses only replicas that may serve, whatever the topology', () => {
    const node = fc.record({
      readable: fc.boolean(),
      fresh: fc.boolean(),
      weight: fc.nat(3),
      lagMs: fc.option(fc.nat(20_000)),
      replayLsn: fc.option(fc.bigInt({ min: 0n, max: 1000n })),
      zone: fc.constantFrom(null, 'a', 'b'),
    })
    const facts = fc.record({
      watermark: fc.option(
        fc.record({ timeline: fc.constant(1), lsn: fc.bigInt({ min: 0n, max: 1000n }) }),
      ),
      reader: fc.integer({ min: -1, max: 7 }),
      dirtySince: fc.constantFrom(-1, -1, -1, 4),
      maxLagMs: fc.option(fc.nat(20_000)),
    })
    const names = fc.constantFrom(
      'least-connections' as const,
      'round-robin' as const,
      'weighted-random' as const,
      'ip-hash' as const,
      'latency' as const,
    )
    fc.assert(
      fc.property(fc.array(node, { maxLength: 6 }), facts, names, (list, given, name) => {
        const nodes = [view(0), ...list.map((one, i) => view(i + 1, one))]
        const snapshot: Snapshot = snapshotOf(nodes)
        const one = router({ balancer: createBalancer(name), zone: 'a' })
        for (let i = 0; i < 3; i++) {
          const route = one.route(READ, initialFacts(given), snapshot)
          const chosen = route.node
          expect(chosen).not.toBeNull()
          if (chosen === null || chosen === snapshot.primary) continue
          expect(chosen.readable && chosen.effectiveWeight > 0).toBe(true)
          if (given.maxLagMs === null) expect(chosen.fresh).toBe(true)
          else expect(chosen.lagMs ?? Number.NaN).toBeLessThanOrEqual(given.maxLagMs)
          expect(given.dirtySince).toBe(-1)
          if (given.reader >= 0) expect(chosen.index).toBe(given.reader)
          if (given.watermark !== null) {
            expect((chosen.replayLsn ?? -1n) >= given.watermark.lsn).toBe(true)
          }
        }
      }),
    )
  })
})
