import type { FenceReason } from './election.ts'
import {
  type HealthOptions,
  type HealthState,
  healthWord,
  INITIAL_HEALTH,
  slowStartFactor,
} from './health.ts'
import type { LagRing } from './lag.ts'
import { LagGate } from './lag-gate.ts'
import { type Lsn, lsnGapBytes } from './lsn.ts'
import { hashText, type NodeSpec, type NodeView } from './node.ts'
import type { Observation, ProbeLevel } from './probe.ts'
import type { ProbeFailure } from './probe-failure.ts'

/** What the cluster is known to be, as far as one node's verdict depends on it. */
export interface ClusterFacts {
  readonly ring: LagRing
  readonly timeline: number | null
  readonly timelineStartLsn: Lsn | null
}

/** The monitor's mutable notes on one node; `view` is what leaves the room. */
export class NodeTrack {
  #spec: NodeSpec
  readonly #idHash: number
  readonly gate: LagGate
  health: HealthState = INITIAL_HEALTH
  observation: Observation | null = null
  level: ProbeLevel = 'full'
  fence: { readonly reason: FenceReason | 'foreign-cluster'; readonly detail: string } | null = null
  /** Lost a claim on one timeline: stays out until it is a replica or on a higher one. */
  splitBrainTimeline: number | null = null
  /** The primary role is in doubt since then; an observation sent earlier can't restore it. */
  demotedAtMs: number | null = null
  /** When a probe last found such a doubt wrong. */
  refutedAtMs = Number.NEGATIVE_INFINITY
  /** What it had replayed when it was last seen as a replica. */
  lastReplayLsn: Lsn | null = null
  lagMs: number | null = null
  /** Why its data may not be the primary's past; null = it is, or it is no replica that is up. */
  strayed: string | null = null
  /** Where it was last seen with its exact timeline, while it has been up. */
  #exact: { readonly timeline: number; readonly lsn: Lsn } | null = null
  /** Kind of the last probe's failure; null = it was answered. */
  failing: ProbeFailure['kind'] | null = null
  /** A probe of it has ended, well or not. */
  isAsked = false
  /** Why it leaves the cluster: it claims nothing and gets nothing any more. null = it stays. */
  leaving: string | null = null
  /** The same server at its former address: leaves as soon as this one answers. */
  replaces: NodeTrack | null = null

  constructor(spec: NodeSpec, maxLagMs: number, resumeMs: number) {
    this.#spec = Object.freeze({ ...spec })
    this.#idHash = hashText(spec.id)
    this.gate = new LagGate(maxLagMs, resumeMs)
  }

  get spec(): NodeSpec {
    return this.#spec
  }

  /** Another weight or zone; the node itself stays who and where it is. */
  respec(weight: number, zone: string | null): boolean {
    if (this.#spec.weight === weight && this.#spec.zone === zone) return false
    this.#spec = Object.freeze({ ...this.#spec, weight, zone })
    return true
  }

  /** Whether it may be elected: answers now, says it is primary, and nobody took the role away. */
  get claimsPrimary(): boolean {
    return (
      this.observation?.role === 'primary' &&
      this.health.phase === 'up' &&
      this.leaving === null &&
      this.demotedAtMs === null &&
      this.fence?.reason !== 'foreign-cluster' &&
      this.splitBrainTimeline === null
    )
  }

  /**
   * Notes an answer. A replica whose primary has died has no WAL receiver that would tell its
   * timeline, and its control file may name one before; but it can't have left the one it was on.
   */
  observe(seen: Observation): void {
    const { timeline, timelineExact, replayLsn } = seen
    const lsn = replayLsn ?? seen.insertLsn
    const known = this.#exact
    this.observation = seen
    if (timelineExact) {
      this.#exact = timeline === null || lsn === null ? null : { timeline, lsn }
    } else if (known !== null && replayLsn !== null && replayLsn >= known.lsn) {
      if (known.timeline > (timeline ?? 0)) {
        this.observation = { ...seen, timeline: known.timeline, timelineExact: true }
      }
    } else this.#exact = null
  }

  /** It may come back as another one, for example made anew from a backup. */
  forgetTimeline(): void {
    this.#exact = null
  }

  /**
   * Measures lag anew; true when the verdict on freshness changed.
   *
   * @param untilMs time of our clock beyond which lag doesn't grow: nobody writes since then
   */
  measureLag(ring: LagRing, nowMs: number, untilMs: number): boolean {
    const seen = this.observation
    if (seen?.role !== 'replica' || seen.replayLsn === null) {
      this.lagMs = null
      return this.gate.observe(null)
    }
    // While probes fail it may have stopped replaying: count as if it had.
    const failing = this.failing !== null
    this.lagMs = ring.lagMs(seen.replayLsn, Math.min(failing ? nowMs : seen.atMs, untilMs))
    return this.gate.observe(this.lagMs)
  }

  /** Judges its history anew; true when the verdict changed. A node that is down has none. */
  judgeHistory(facts: ClusterFacts): boolean {
    const seen = this.observation
    const isJudged = seen?.role === 'replica' && this.health.phase === 'up' && this.fence === null
    const before = this.strayed
    this.strayed = isJudged ? strayedFrom(facts, seen) : null
    return isJudged && (before === null) !== (this.strayed === null)
  }

  view(facts: ClusterFacts, nowMs: number, options: HealthOptions): NodeView {
    const seen = this.observation
    const word = healthWord(this.health)
    const health = this.leaving !== null && word === 'up' ? 'draining' : word
    const { strayed } = this
    const readable =
      seen?.role === 'replica' && health === 'up' && this.fence === null && strayed === null
    const factor = slowStartFactor(this.health, nowMs, options.slowStartMs)
    const newest = facts.ring.newest
    const behind = seen?.role === 'replica' && seen.replayLsn !== null && newest !== null
    const view = {
      spec: this.#spec,
      id: this.#spec.id,
      index: this.#spec.index,
      idHash: this.#idHash,
      role: this.demotedAtMs === null ? (seen?.role ?? 'unknown') : 'unknown',
      health,
      healthReason: this.#reason(health, strayed),
      fenced: this.fence?.detail ?? null,
      readable,
      fresh: this.gate.fresh,
      lagMs: this.lagMs,
      lagBytes: behind ? lsnGapBytes(newest, seen.replayLsn ?? 0n) : null,
      timeline: seen?.timeline ?? null,
      insertLsn: seen?.insertLsn ?? null,
      flushLsn: seen?.flushLsn ?? null,
      replayLsn: seen?.replayLsn ?? null,
      receiveLsn: seen?.receiveLsn ?? null,
      streaming: seen?.streaming ?? null,
      replayPaused: seen?.replayPaused ?? false,
      waitsForStandbys: seen?.waitsForStandbys ?? false,
      leaving: this.leaving !== null,
      serverVersion: seen?.serverVersion ?? 0,
      configuredAt: seen?.configuredAt ?? '',
      slowStartFactor: factor,
      effectiveWeight: this.#spec.weight * factor,
      upSinceMs: this.health.phase === 'up' ? this.health.sinceMs : null,
      observedAtMs: seen?.atMs ?? null,
    } satisfies NodeView
    return view
  }

  #reason(health: string, strayed: string | null): string {
    if (this.leaving !== null) return this.leaving
    if (health === 'draining') return 'drained by the operator'
    if (this.health.phase !== 'up') return this.health.reason
    if (this.fence !== null) return this.fence.detail
    if (strayed !== null) return strayed
    if (this.observation?.role === 'replica' && !this.gate.fresh) {
      const paused = this.observation.replayPaused ? ', replay is paused' : ''
      return this.lagMs === null
        ? `lag is not known yet${paused}`
        : `lags ${Math.round(this.lagMs)} ms behind${paused}`
    }
    return this.health.reason
  }
}

/**
 * Why a replica's data may not be the primary's past; null = it is. On an older timeline only what
 * lies before the promotion is common history. A timeline from the control file may be outdated
 * (it moves with restart points), so it accuses nobody who is at or before the promotion either.
 */
function strayedFrom(facts: ClusterFacts, seen: Observation): string | null {
  const { timeline, timelineStartLsn } = facts
  if (timeline === null || seen.timeline === timeline) return null
  if (seen.timeline === null && timelineStartLsn === null) return null
  const replayed = seen.replayLsn
  const before = replayed !== null && timelineStartLsn !== null && replayed <= timelineStartLsn
  if (seen.timeline === null || seen.timeline < timeline) {
    if (before) return null
    const own = seen.timeline === null ? 'a timeline it does not tell' : `timeline ${seen.timeline}`
    const hint = seen.timelineExact ? '' : '; grant pg_monitor to the monitor to know sooner'
    return `on ${own}, the primary is on ${timeline}${hint}`
  }
  return `on timeline ${seen.timeline}, ahead of the known primary's ${timeline}`
}
