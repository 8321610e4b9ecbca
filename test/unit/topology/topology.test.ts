import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { monitorSettings } from '../../../src/topology/monitor-options.ts'
import type { Observation } from '../../../src/topology/probe.ts'
import type { ProbeOutcome } from '../../../src/topology/prober.ts'
import type { Snapshot } from '../../../src/topology/snapshot.ts'
import { Topology } from '../../../src/topology/topology.ts'
import { FakeClock } from './fake-clock.ts'
import { openFake, spec } from './fake-node.ts'

type Step =
  | { readonly kind: 'answer'; readonly node: number; readonly seen: Partial<Observation> }
  | { readonly kind: 'failure'; readonly node: number; readonly hard: boolean }
  | { readonly kind: 'report'; readonly node: number }
  | { readonly kind: 'drain' | 'undrain' | 'doubt'; readonly node: number }

const NODES = 4

function outcome(nowMs: number, given: Partial<Observation>): ProbeOutcome {
  const primary = given.role === 'primary'
  const lsn = given.replayLsn ?? 1000n
  const observation: Observation = {
    sentAtMs: nowMs,
    atMs: nowMs,
    role: 'replica',
    receiveLsn: primary ? null : lsn,
    timeline: 1,
    timelineExact: true,
    systemIdentifier: '7',
    streaming: primary ? null : true,
    replayPaused: false,
    waitsForStandbys: false,
    serverVersion: 150018,
    configuredAt: '',
    ...given,
    insertLsn: primary ? lsn : null,
    flushLsn: primary ? lsn : null,
    replayLsn: primary ? null : lsn,
  }
  return { ok: true, observation, level: 'full' }
}

const seen = fc.record<Partial<Observation>>({
  role: fc.constantFrom('primary' as const, 'replica' as const),
  timeline: fc.integer({ min: 1, max: 4 }),
  systemIdentifier: fc.constantFrom('7', '7', '7', '8', null),
  replayLsn: fc.bigInt({ min: 900n, max: 1100n }),
})
const node = fc.nat(NODES - 1)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('answer' as const), node, seen }) },
  fc.record({ kind: fc.constant('failure' as const), node, hard: fc.boolean() }),
  fc.record({ kind: fc.constant('report' as const), node }),
  fc.record({
    kind: fc.constantFrom('drain' as const, 'undrain' as const, 'doubt' as const),
    node,
  }),
)

/** Plays a history and looks at every snapshot on the way. */
function play(
  steps: readonly Step[],
  look: (snapshot: Snapshot, topology: Topology) => void,
): void {
  const clock = new FakeClock()
  const nodes = Array.from({ length: NODES }, (_, index) => spec(index))
  const settings = monitorSettings({ nodes, openProbe: openFake([]), clock })
  const topology = new Topology(nodes, settings, (snapshot) => look(snapshot, topology))
  topology.complete()
  for (const one of steps) {
    clock.stall(250)
    const track = topology.tracks[one.node]
    if (track === undefined) continue
    if (one.kind === 'answer') topology.learn(track, outcome(clock.nowMs(), one.seen))
    else if (one.kind === 'failure') {
      const failure = { kind: 'reset', hard: one.hard, detail: 'x', sqlstate: null } as const
      topology.learn(track, { ok: false, failure })
    } else if (one.kind === 'report') {
      const input = { kind: 'failure', hard: true, bannable: true, reason: 'x' } as const
      topology.feed(track, input, 'refused')
    } else if (one.kind === 'doubt') topology.doubtPrimary(track)
    else topology.feed(track, { kind: one.kind }, 'operator')
  }
}

describe('the topology, whatever the nodes say in whatever order', () => {
  const history = fc.array(step, { maxLength: 60 })

  it('has no primary but one that is up, says so, is not fenced and on the newest timeline', () => {
    fc.assert(
      fc.property(history, (steps) => {
        let newest = 0
        play(steps, (snapshot) => {
          const { primary, timeline } = snapshot
          expect(timeline ?? 0).toBeGreaterThanOrEqual(newest)
          newest = timeline ?? 0
          if (primary === null) return
          expect(primary).toBe(snapshot.nodes[primary.index])
          expect(primary).toMatchObject({ role: 'primary', health: 'up', fenced: null, timeline })
          expect(primary.readable).toBe(false)
        })
      }),
    )
  })

  it('reads only from replicas that are up, not fenced, and of the same cluster', () => {
    fc.assert(
      fc.property(history, (steps) => {
        play(steps, ({ nodes, systemIdentifier }, { tracks }) => {
          for (const one of nodes.filter(({ readable }) => readable)) {
            expect(one).toMatchObject({ role: 'replica', health: 'up', fenced: null })
            const own = tracks[one.index]?.observation?.systemIdentifier ?? null
            if (own !== null && systemIdentifier !== null) expect(own).toBe(systemIdentifier)
          }
        })
      }),
    )
  })

  it('reads from another timeline only what lies before the promotion', () => {
    fc.assert(
      fc.property(history, (steps) => {
        play(steps, ({ nodes, timeline, timelineStartLsn }) => {
          for (const one of nodes) {
            if (!one.readable || timeline === null || one.timeline === timeline) continue
            expect(one.timeline ?? 0).toBeLessThan(timeline)
            expect((one.replayLsn ?? 0n) <= (timelineStartLsn ?? -1n)).toBe(true)
          }
        })
      }),
    )
  })

  it('never seats a node that lost a claim on the timeline of its lost claim', () => {
    fc.assert(
      fc.property(history, (steps) => {
        play(steps, ({ primary }, { tracks }) => {
          if (primary !== null) expect(tracks[primary.index]?.splitBrainTimeline).toBeNull()
        })
      }),
    )
  })

  it('gives every node a reason', () => {
    fc.assert(
      fc.property(history, (steps) => {
        play(steps, ({ nodes }) => {
          for (const one of nodes) expect(one.healthReason).not.toBe('')
        })
      }),
    )
  })
})
