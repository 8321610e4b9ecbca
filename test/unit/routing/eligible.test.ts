import { describe, expect, it } from 'vitest'
import {
  ANY,
  type Circumstances,
  eligibleReplicas,
  mayStay,
  PlainCandidates,
  reached,
  whyNone,
} from '../../../src/routing/eligible.ts'
import { NO_POSITIONS, type Positions } from '../../../src/routing/positions.ts'
import {
  PLAIN_REPLICA,
  type Requirement,
  SEEING_REPLICA,
} from '../../../src/routing/requirement.ts'
import type { NodeView } from '../../../src/topology/node.ts'
import { snapshotOf, view } from './fixtures.ts'

function need(given: Partial<Requirement> = {}): Requirement {
  return { ...PLAIN_REPLICA, ...given }
}

function given(part: Partial<Circumstances> = {}): Circumstances {
  return { ...ANY, ...part }
}

function seeing(minLsn: bigint, positions: Positions = NO_POSITIONS): Circumstances {
  return given({ minLsn, positions })
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
    expect(ids(eligibleReplicas(snapshot, need(), given()))).toEqual(['r1', 'r5'])
  })

  it('are judged by their lag itself when the request brings its own limit', () => {
    const snapshot = snapshotOf([
      view(0),
      view(1, { lagMs: 400 }),
      view(2, { lagMs: 20_000, fresh: false }),
      view(3, { lagMs: null, fresh: false }),
    ])
    expect(ids(eligibleReplicas(snapshot, need({ maxLagMs: 300 }), given()))).toEqual([])
    expect(ids(eligibleReplicas(snapshot, need({ maxLagMs: 500 }), given()))).toEqual(['r1'])
    expect(ids(eligibleReplicas(snapshot, need({ maxLagMs: 30_000 }), given()))).toEqual([
      'r1',
      'r2',
    ])
  })

  it('have each reached the watermark: that another one has is not enough', () => {
    const snapshot = snapshotOf([
      view(0),
      view(1, { replayLsn: 99n }),
      view(2, { replayLsn: 100n }),
    ])
    expect(ids(eligibleReplicas(snapshot, SEEING_REPLICA, seeing(100n)))).toEqual(['r2'])
    const unknown = snapshotOf([view(0), view(1, { replayLsn: null })])
    expect(ids(eligibleReplicas(unknown, SEEING_REPLICA, seeing(1n)))).toEqual([])
  })

  it('come from the own zone while it has one, else from all', () => {
    const near = view(1, { zone: 'a' })
    const far = view(2, { zone: 'b' })
    const both = snapshotOf([view(0), near, far])
    expect(ids(eligibleReplicas(both, need(), given({ zone: 'a' })))).toEqual(['r1'])
    expect(ids(eligibleReplicas(both, need(), given({ zone: 'c' })))).toEqual(['r1', 'r2'])
    expect(ids(eligibleReplicas(both, need(), given()))).toEqual(['r1', 'r2'])
    const lagging = snapshotOf([view(0), view(1, { zone: 'a', fresh: false }), far])
    expect(ids(eligibleReplicas(lagging, need(), given({ zone: 'a' })))).toEqual(['r2'])
  })

  it('leave out what was tried already', () => {
    const snapshot = snapshotOf([view(0), view(1), view(2), view(30)])
    expect(ids(eligibleReplicas(snapshot, need(), given({ exclude: 0b10 })))).toEqual(['r2', 'r30'])
    expect(ids(eligibleReplicas(snapshot, need(), given({ exclude: (1 << 30) | 0b100 })))).toEqual([
      'r1',
    ])
  })

  it('are asked for newer positions than the snapshot has', () => {
    const snapshot = snapshotOf([view(0), view(1, { replayLsn: 5n }), view(2, { replayLsn: 5n })])
    const positions = { ...NO_POSITIONS, replayed: (index: number) => (index === 2 ? 9n : 1n) }
    expect(ids(eligibleReplicas(snapshot, SEEING_REPLICA, seeing(9n, positions)))).toEqual(['r2'])
    expect(ids(eligibleReplicas(snapshot, PLAIN_REPLICA, seeing(9n, positions)))).toHaveLength(2)
  })

  it('must be followed for reads that see: a restart may set a replica back', () => {
    const snapshot = snapshotOf([view(0), view(1), view(2)])
    const positions = { ...NO_POSITIONS, follows: (index: number) => index === 1 }
    expect(ids(eligibleReplicas(snapshot, SEEING_REPLICA, given({ positions })))).toEqual(['r1'])
    expect(ids(eligibleReplicas(snapshot, PLAIN_REPLICA, given({ positions })))).toHaveLength(2)
    const [, r1, r2] = snapshot.nodes
    expect(r1 && mayStay(r1, SEEING_REPLICA, given({ positions }))).toBe(true)
    expect(r2 && mayStay(r2, SEEING_REPLICA, given({ positions }))).toBe(false)
    expect(r1 && mayStay(r1, SEEING_REPLICA, given({ positions, exclude: 0b10 }))).toBe(false)
  })

  it('hold a bound from the moment of the request, not of the probe', () => {
    const snapshot = snapshotOf([
      view(0),
      view(1, { lagMs: 100, observedAtMs: 1000 }),
      view(2, { lagMs: null, fresh: false }),
    ])
    const bounded = need({ maxLagMs: 500, isBounded: true })
    const at = (nowMs: number, positions = NO_POSITIONS) =>
      ids(eligibleReplicas(snapshot, bounded, given({ nowMs, positions })))
    expect(at(1400)).toEqual(['r1'])
    expect(at(1401)).toEqual([])
    const positions = { ...NO_POSITIONS, caughtUpAtMs: (index: number) => 1000 * index }
    expect(at(1500, positions)).toEqual(['r1', 'r2'])
    expect(at(2500, positions)).toEqual(['r2'])
    const general = need({ isBounded: true })
    expect(ids(eligibleReplicas(snapshot, general, given({ nowMs: 1400, maxLagMs: 499 })))).toEqual(
      [],
    )
  })

  it.each([
    ['no replica is known', [view(0)], given()],
    ['no replica is up', [view(0), view(1, { readable: false })], given()],
    ['every replica was tried', [view(0), view(1)], given({ exclude: 0b10 })],
    ['every replica lags too far behind', [view(0), view(1, { fresh: false })], given()],
    ["no replica has reached the session's watermark", [view(0), view(1)], seeing(9999n)],
  ])('say %s', (why, nodes, circumstances) => {
    const snapshot = snapshotOf(nodes)
    expect(eligibleReplicas(snapshot, SEEING_REPLICA, circumstances)).toHaveLength(0)
    const isBehind = why.includes('watermark')
    expect(whyNone(snapshot, SEEING_REPLICA, circumstances)).toEqual({ why, isBehind })
  })

  it('are worked out once per snapshot for plain reads, and when somebody is lost', () => {
    const plain = new PlainCandidates(SEEING_REPLICA, null)
    const first = snapshotOf([view(0), view(1), view(2, { replayLsn: 500n })])
    const nodes = plain.of(first, NO_POSITIONS)
    expect(plain.of(first, NO_POSITIONS)).toBe(nodes)
    expect(reached(nodes, seeing(500n))).toBe(nodes)
    expect(ids(reached(nodes, seeing(501n)))).toEqual(['r1'])
    const lost = { ...NO_POSITIONS, version: 1, follows: (index: number) => index === 2 }
    expect(ids(plain.of(first, lost))).toEqual(['r2'])
    expect(plain.of(snapshotOf([view(0)]), lost)).toEqual([])
  })
})
