import { expect, it } from 'vitest'
import { mostShownWaitMs } from '../../../src/routing/primary-shows.ts'
import { initialFacts } from '../../../src/routing/requirement.ts'
import { SessionPositions } from '../../../src/routing/session-positions.ts'
import type { PositionSampler } from '../../../src/topology/position-sampler.ts'
import { snapshotOf, view } from './fixtures.ts'

/** Sessions over a replica that is at 40, of whose commits the primary shows those up to `shown`. */
function setUp(waitsForStandbys = true) {
  const known = { shown: 0n }
  const sampler = {
    primary: { note: () => 1, since: () => null },
    replicas: { note: () => 1, isLost: () => false, since: () => 40n, timelineOf: () => 1 },
    finished: { isShown: (lsn: bigint) => lsn <= known.shown },
  }
  const snapshot = snapshotOf([view(0, { waitsForStandbys }), view(1)])
  return {
    known,
    positions: new SessionPositions(sampler as unknown as PositionSampler, () => snapshot),
    facts: initialFacts(),
  }
}

it('holds up who was shown more by a replica than the primary shows, and nobody else', () => {
  const { known, positions, facts } = setUp()
  expect(positions.shown.lacks(facts)).toBe(false)
  positions.notePrimary(facts)
  expect(positions.shown.lacks(facts)).toBe(false)
  positions.noteReplica(facts, 1)
  expect(positions.shown.lacks(facts)).toBe(true)
  known.shown = 40n
  expect(positions.shown.lacks(facts)).toBe(false)
  // By a token, too.
  positions.raise(facts, { timeline: 1, lsn: 60n })
  expect(positions.shown.lacks(facts)).toBe(true)
})

it('asks about nothing where commits wait for nobody', () => {
  const { positions, facts } = setUp(false)
  positions.noteReplica(facts, 1)
  expect(positions.shown.lacks(facts)).toBe(false)
  expect(facts.reader).toBe(1)
})

it('bounds the wait of each request, and lets the next one pass after it', () => {
  const { positions, facts } = setUp()
  positions.noteReplica(facts, 1)
  expect(positions.shown.untilMs(facts, 5, 10)).toBe(10 + mostShownWaitMs)
  expect(positions.shown.untilMs(facts, 5, 500)).toBe(10 + mostShownWaitMs)
  // Another request has a wait of its own.
  expect(positions.shown.untilMs(facts, 600, 600)).toBe(600 + mostShownWaitMs)
  expect(positions.shown.untilMs(facts, 600, 600 + mostShownWaitMs)).toBeNull()
  expect(positions.shown.untilMs(facts, 9_000, 9_000)).toBeNull()
})
