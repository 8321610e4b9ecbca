import { describe, expect, it } from 'vitest'
import { eligibleReplicas, PlainCandidates, whyNone } from '../../../src/routing/eligible.ts'
import { PLAIN_REPLICA, type Requirement } from '../../../src/routing/requirement.ts'
import type { NodeView } from '../../../src/topology/node.ts'
import { snapshotOf, view } from './fixtures.ts'

function need(given: Partial<Requirement> = {}): Requirement {
  return { ...PLAIN_REPLICA, ...given }
}

function ids(nodes: readonly NodeView[]): string[] {
  return nodes.map(({ id }) => id)
}

describe('eligible replicas', () => {
  it('are those that are readable, fresh and have a weight', () => {
    const snapshot = snapshotOf([
      view(0),
      view(1),
      view(2, { readable: false }),
      view(3, { fresh: false }),
      view(4, { weight: 0 }),
      view(5),
    ])
    expect(ids(eligibleReplicas(snapshot, need(), null))).toEqual(['r1', 'r5'])
  })

  it('are judged by their lag itself when the request brings its own limit', () => {
    const snapshot = snapshotOf([
      view(0),
      view(1, { lagMs: 400 }),
      view(2, { lagMs: 20_000, fresh: false }),
      view(3, { lagMs: null, fresh: false }),
    ])
    expect(ids(eligibleReplicas(snapshot, need({ maxLagMs: 300 }), null))).toEqual([])
    expect(ids(eligibleReplicas(snapshot, need({ maxLagMs: 500 }), null))).toEqual(['r1'])
    expect(ids(eligibleReplicas(snapshot, need({ maxLagMs: 30_000 }), null))).toEqual(['r1', 'r2'])
  })

  it('have each reached the watermark: that another one has is not enough', () => {
    const snapshot = snapshotOf([
      view(0),
      view(1, { replayLsn: 99n }),
      view(2, { replayLsn: 100n }),
    ])
    expect(ids(eligibleReplicas(snapshot, need({ minLsn: 100n }), null))).toEqual(['r2'])
    const unknown = snapshotOf([view(0), view(1, { replayLsn: null })])
    expect(ids(eligibleReplicas(unknown, need({ minLsn: 1n }), null))).toEqual([])
  })

  it('come from the own zone while it has one, else from all', () => {
    const near = view(1, { zone: 'a' })
    const far = view(2, { zone: 'b' })
    const both = snapshotOf([view(0), near, far])
    expect(ids(eligibleReplicas(both, need(), 'a'))).toEqual(['r1'])
    expect(ids(eligibleReplicas(both, need(), 'c'))).toEqual(['r1', 'r2'])
    expect(ids(eligibleReplicas(both, need(), null))).toEqual(['r1', 'r2'])
    const lagging = snapshotOf([view(0), view(1, { zone: 'a', fresh: false }), far])
    expect(ids(eligibleReplicas(lagging, need(), 'a'))).toEqual(['r2'])
  })

  it('leave out what was tried already', () => {
    const snapshot = snapshotOf([view(0), view(1), view(2), view(30)])
    expect(ids(eligibleReplicas(snapshot, need(), null, 0b10))).toEqual(['r2', 'r30'])
    expect(ids(eligibleReplicas(snapshot, need(), null, (1 << 30) | 0b100))).toEqual(['r1'])
  })

  it.each([
    ['no replica is known', [view(0)], need(), 0],
    ['no replica is up', [view(0), view(1, { readable: false })], need(), 0],
    ['every replica was tried', [view(0), view(1)], need(), 0b10],
    ['every replica lags too far behind', [view(0), view(1, { fresh: false })], need(), 0],
    [
      "no replica has reached the session's watermark",
      [view(0), view(1)],
      need({ minLsn: 9999n }),
      0,
    ],
  ])('say %s', (why, nodes, requirement, exclude) => {
    const snapshot = snapshotOf(nodes)
    expect(eligibleReplicas(snapshot, requirement, null, exclude)).toHaveLength(0)
    expect(whyNone(snapshot, requirement, exclude)).toBe(why)
  })

  it('are worked out once per snapshot for plain reads', () => {
    const plain = new PlainCandidates(null)
    const first = snapshotOf([view(0), view(1), view(2, { replayLsn: 500n })])
    const nodes = plain.of(first, need())
    expect(plain.of(first, need({ reason: 'another' }))).toBe(nodes)
    expect(plain.of(first, need({ minLsn: 500n }))).toBe(nodes)
    expect(plain.of(first, need({ minLsn: 501n }))).toBeNull()
    expect(plain.of(first, need({ maxLagMs: 1 }))).toBeNull()
    const second = snapshotOf([view(0)])
    expect(plain.of(second, need())).toEqual([])
    expect(plain.whyNone).toBe('no replica is known')
    expect(plain.of(second, need({ minLsn: 1n }))).toBeNull()
  })
})
