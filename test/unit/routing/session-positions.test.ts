import { describe, expect, it } from 'vitest'
import { initialFacts } from '../../../src/routing/requirement.ts'
import { SessionPositions } from '../../../src/routing/session-positions.ts'
import type { PositionSampler } from '../../../src/topology/position-sampler.ts'
import type { Snapshot } from '../../../src/topology/snapshot.ts'
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

describe('a group', () => {
  /** Positions whose primary has answered so many questions, the last one with this position. */
  function setUp() {
    const primary = { asked: 1, answered: 0, lsn: 0n, timeline: 3 }
    const sampler = {
      primary: {
        note: () => primary.asked,
        ask: () => primary.asked,
        since: (epoch: number) =>
          primary.answered > epoch ? { timeline: primary.timeline, inserted: primary.lsn } : null,
      },
      replicas: { replayed: () => 0n },
    }
    const nodes = [view(0), view(1, { replayLsn: 40n })]
    let given: Partial<Snapshot> = { timeline: 3, timelineStartLsn: 50n }
    const positions = new SessionPositions(sampler as unknown as PositionSampler, () =>
      snapshotOf(nodes, given),
    )
    const group = initialFacts()
    const writer = initialFacts({ consistency: 'shared', group })
    const reader = initialFacts({ consistency: 'shared', group })
    const answer = (lsn: bigint) => {
      primary.answered = ++primary.asked
      primary.lsn = lsn
    }
    const change = (next: Partial<Snapshot>) => {
      given = next
      primary.timeline = next.timeline ?? 3
    }
    return { positions, group, writer, reader, answer, change }
  }

  it('counts for the reads of its sessions, and not as their own', () => {
    const { positions, writer, reader, answer } = setUp()
    positions.noteWrite(writer)
    positions.begin(reader, 'shared')
    expect(reader).toMatchObject({ dirtySince: -1, othersSince: 1, watermark: null })
    expect(positions.settle(reader)).toBe(true)
    expect(positions.isCoveredBy(reader, 1)).toBe(false)
    answer(40n)
    expect(positions.isCoveredBy(reader, 1)).toBe(true)
    positions.begin(reader, 'shared')
    expect(reader).toMatchObject({ othersSince: -1, othersMark: { timeline: 3, lsn: 40n } })
    // Its own writes are its own.
    expect(positions.settle(writer)).toBe(true)
    expect(writer.watermark).toEqual({ timeline: 3, lsn: 40n })
    // A read of a lower level needs nothing of it.
    positions.begin(reader, 'session')
    expect(reader).toMatchObject({ othersSince: -1, othersMark: null, watermark: null })
  })

  it('is handed on where it is to be', () => {
    const { positions, writer, reader, answer } = setUp()
    positions.noteWrite(writer)
    positions.takeIn(reader)
    expect(positions.settle(reader)).toBe(false)
    answer(40n)
    expect(positions.settle(reader)).toBe(true)
    expect(reader.watermark).toEqual({ timeline: 3, lsn: 40n })
  })

  it('needs no position that only a lost timeline has: the new primary has all that is left', () => {
    const { positions, writer, reader, answer, change } = setUp()
    positions.noteWrite(writer)
    answer(70n)
    positions.begin(reader, 'shared')
    expect(reader.othersMark).toEqual({ timeline: 3, lsn: 70n })
    change({ timeline: 4, timelineStartLsn: 60n })
    positions.begin(reader, 'shared')
    expect(reader).toMatchObject({ othersMark: null })
    expect(reader.othersSince).toBeGreaterThan(0)
    answer(40n)
    expect(positions.isCoveredBy(reader, 1)).toBe(true)
    expect(reader.othersMark).toEqual({ timeline: 4, lsn: 40n })
  })

  it('keeps a position that the new timeline has, too', () => {
    const { positions, writer, reader, answer, change } = setUp()
    positions.noteWrite(writer)
    answer(55n)
    positions.begin(reader, 'shared')
    change({ timeline: 4, timelineStartLsn: 60n })
    positions.begin(reader, 'shared')
    expect(reader).toMatchObject({ othersSince: -1, othersMark: { timeline: 3, lsn: 55n } })
  })
})
