import { expect, it } from 'vitest'
import { initialFacts } from '../../../src/routing/requirement.ts'
import { SessionPositions } from '../../../src/routing/session-positions.ts'
import type { PositionSampler } from '../../../src/topology/position-sampler.ts'
import { snapshotOf, view } from './fixtures.ts'

/** Positions of a sampler whose replicas answer at once with this one. */
function positionsAt(lsn: bigint, timeline: number | null): SessionPositions {
  const replicas = {
    note: () => 1,
    isLost: () => false,
    since: () => lsn,
    timelineOf: () => timeline,
  }
  const snapshot = snapshotOf([view(0), view(1)], { timeline: 3, timelineStartLsn: 50n })
  return new SessionPositions({ replicas } as unknown as PositionSampler, () => snapshot)
}

it.each([
  ['the known one', 3, 3],
  ['not told', null, 3],
  ['beyond a promotion that is not known yet', 4, 4],
  ['one before, up to the switch', 2, 3],
])('counts what was seen on a replica on its timeline: %s', (_, own, timeline) => {
  const positions = positionsAt(40n, own)
  const facts = initialFacts()
  positions.noteReplica(facts, 1)
  expect(facts.watermark).toBeNull()
  expect(positions.settle(facts)).toBe(true)
  expect(facts.watermark).toEqual({ timeline, lsn: 40n })
})

it('keeps an older token that lies beyond a replica of the present timeline', () => {
  const positions = positionsAt(40n, 3)
  const facts = initialFacts({ watermark: { timeline: 2, lsn: 45n } })
  positions.noteReplica(facts, 1)
  positions.settle(facts)
  expect(facts.watermark).toEqual({ timeline: 3, lsn: 45n })
})
