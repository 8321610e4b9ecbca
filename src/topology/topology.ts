import { commonIdentifier, fenceDetail } from './claims.ts'
import { electPrimary, type FenceReason } from './election.ts'
import { type HealthInput, nextHealth } from './health.ts'
import { LagRing } from './lag.ts'
import type { Lsn } from './lsn.ts'
import type { DownReason, MonitorEvent } from './monitor-event.ts'
import type { MonitorSettings } from './monitor-options.ts'
import type { NodeSpec } from './node.ts'
import { type ClusterFacts, NodeTrack } from './node-track.ts'
import type { ProbeOutcome } from './prober.ts'
import { freezeSnapshot, type Snapshot } from './snapshot.ts'
import { healthEvents, historyEvent, lagEvent } from './state-events.ts'

/** A server that says this is alive; who is connected to it can go on. */
const TOO_MANY_CONNECTIONS = '53300'

/**
 * What is known of all nodes, and what follows from it: who is primary, who is fenced, who lags.
 * No timers, no connections: observations and reports go in, snapshots come out.
 */
export class Topology {
  readonly #tracks: NodeTrack[]
  readonly #settings: MonitorSettings
  readonly #onPublish: (snapshot: Snapshot) => void
  readonly #ring: LagRing
  /** What stands for the primary's positions until there has been one. */
  readonly #standIn: LagRing
  #snapshot: Snapshot
  #sitting: number | null = null
  #primaryUp = false
  #hadPrimary = false
  /** When the primary was last asked for its position. */
  #sampledAtMs = Number.POSITIVE_INFINITY
  #timeline = 0
  #timelineStartLsn: Lsn | null = null
  #systemIdentifier: string | null = null
  #complete = false

  constructor(
    nodes: readonly NodeSpec[],
    settings: MonitorSettings,
    onPublish: (snapshot: Snapshot) => void,
  ) {
    this.#settings = settings
    this.#onPublish = onPublish
    const gapMs = Math.max(3 * settings.probeIntervalMs, settings.maxLagMs / 2)
    this.#ring = new LagRing(gapMs)
    this.#standIn = new LagRing(gapMs)
    this.#tracks = nodes.map((spec) => this.#newTrack(spec))
    this.#snapshot = this.#build(0)
  }

  get snapshot(): Snapshot {
    return this.#snapshot
  }

  get tracks(): readonly NodeTrack[] {
    return this.#tracks
  }

  /** Index of the last elected primary, up or not; null also when it has left the cluster. */
  get sitting(): number | null {
    return this.#sitting
  }

  /** There was a primary, and now no node answers as one. */
  get isPrimaryLost(): boolean {
    return this.#hadPrimary && !this.#primaryUp
  }

  /** The settings have changed: all is judged by them from here on. */
  retune(): void {
    const { maxLagMs, maxLagResumeMs } = this.#settings
    for (const { gate } of this.#tracks) gate.retune(maxLagMs, maxLagResumeMs)
    this.settle()
  }

  /** A node joins. `replaces`: the same server at its former address. */
  join(spec: NodeSpec, replaces: NodeTrack | null): NodeTrack {
    if (this.#track(spec.index) !== undefined) throw new Error(`index ${spec.index} is taken`)
    const track = this.#newTrack(spec)
    track.replaces = replaces
    this.#tracks.push(track)
    const detail = `joins the cluster at ${spec.host}:${spec.port}`
    this.emit({ kind: 'node-joined', node: spec.id, reason: 'discovered', detail })
    this.settle()
    return track
  }

  /** The node gets nothing new from here on; `detail` is what `SHOW NODES` says of it. */
  leave(track: NodeTrack, reason: 'gone' | 'moved', detail: string): void {
    if (track.leaving !== null) return
    track.leaving = detail
    this.emit({ kind: 'node-leaving', node: track.spec.id, reason, detail })
    this.settle()
  }

  /** Forgets the node. */
  remove(track: NodeTrack): void {
    const at = this.#tracks.indexOf(track)
    if (at < 0) return
    track.leaving ??= 'has left the cluster'
    this.#tracks.splice(at, 1)
    if (this.#sitting === track.spec.index) this.#sitting = null
    const detail = 'nothing runs there any more, it is forgotten'
    this.emit({ kind: 'node-left', node: track.spec.id, reason: 'drained', detail })
    this.settle()
  }

  /** Every node has been asked once: only now can claims be compared. */
  complete(): void {
    this.#complete = true
    this.settle()
  }

  /** Takes in what a probe of the node brought. */
  learn(track: NodeTrack, outcome: ProbeOutcome): void {
    track.isAsked = true
    if (!outcome.ok) {
      const { kind, hard, detail } = outcome.failure
      // Told once, not every second that it lasts.
      if (track.failing !== kind) {
        this.emit({ kind: 'probe-failed', node: track.spec.id, reason: kind, detail })
      }
      track.failing = kind
      // What failed on our side says nothing of the node.
      const isAlive = kind === 'own' || outcome.failure.sqlstate === TOO_MANY_CONNECTIONS
      if (isAlive && track.health.phase === 'up') {
        this.settle()
        return
      }
      this.feed(track, { kind: 'failed-probe', hard, reason: detail }, kind)
      return
    }
    const { observation: seen, level } = outcome
    if (level !== track.level) {
      track.level = level
      const detail = 'the monitor may not read the control file; timelines are known less exactly'
      this.emit({ kind: 'probe-degraded', node: track.spec.id, reason: 'privilege', detail })
    }
    const from = track.observation?.role ?? 'unknown'
    track.observe(seen)
    track.failing = null
    if (seen.replayLsn !== null) track.lastReplayLsn = seen.replayLsn
    const later = track.demotedAtMs !== null && seen.sentAtMs >= track.demotedAtMs
    if (later && seen.role === 'primary') track.refutedAtMs = seen.atMs
    if (later || seen.role === 'replica') track.demotedAtMs = null
    if (from !== seen.role) {
      const to = seen.role
      const detail = `was ${from}, answers as ${to} on timeline ${seen.timeline ?? 'unknown'}`
      this.emit({ kind: 'role-changed', node: track.spec.id, reason: 'probed', detail, from, to })
    }
    this.feed(track, { kind: 'good-probe', sentAtMs: seen.sentAtMs }, 'answer')
  }

  /** A server that answers at its new address leaves the old one in the same moment. */
  #takeOver(track: NodeTrack): void {
    const { replaces, observation, spec } = track
    if (replaces === null) return
    const own = observation?.systemIdentifier ?? null
    const expected = this.#systemIdentifier
    if (own !== null && expected !== null && own !== expected) return
    track.replaces = null
    if (replaces.leaving !== null) return
    const detail = `has moved to ${spec.host}:${spec.port}`
    replaces.leaving = detail
    this.emit({ kind: 'node-leaving', node: spec.id, reason: 'moved', detail })
  }

  /** Takes the primary role away until a probe that is sent later has answered. */
  doubtPrimary(track: NodeTrack): void {
    if (track.observation?.role !== 'primary') return
    track.demotedAtMs = this.#settings.clock.nowMs()
    this.settle()
  }

  /** One input into one node's health, its events, then everything that follows from it. */
  feed(track: NodeTrack, input: HealthInput, reason: DownReason): void {
    const before = track.health
    const { clock } = this.#settings
    track.health = nextHealth(before, input, clock.nowMs(), this.#settings)
    if (track.health.phase === 'up') this.#takeOver(track)
    if (track.health.phase === 'down' && !track.health.doubted) track.forgetTimeline()
    for (const event of healthEvents(track, before, reason)) this.emit(event)
    this.settle()
  }

  /** Draws every conclusion from the notes and publishes the result. */
  settle(): void {
    if (this.#complete) {
      this.#checkIdentity()
      // The first primary is elected when every node has been asked: claims must be compared.
      const areAsked = this.#tracks.every(({ isAsked }) => isAsked)
      if (this.#timeline > 0 || areAsked) this.#elect()
      if (areAsked && !this.#hadPrimary) this.#sampleStandbys()
    }
    const nowMs = this.#settings.clock.nowMs()
    // Without a primary a replica can't fall behind any further.
    const writtenUntilMs = this.isPrimaryLost ? this.#sampledAtMs : Number.POSITIVE_INFINITY
    for (const track of this.#tracks) {
      if (!track.measureLag(this.#facts.ring, nowMs, writtenUntilMs)) continue
      const judged = track.observation?.role === 'replica' && track.health.phase === 'up'
      if (judged) this.emit(lagEvent(track, this.#settings))
    }
    for (const track of this.#tracks) {
      if (track.judgeHistory(this.#facts)) this.emit(historyEvent(track))
    }
    this.#snapshot = this.#build(this.#snapshot.version + 1)
    this.#onPublish(this.#snapshot)
  }

  /**
   * The primary was down before anybody could ask it: what the most advanced standby has is all that
   * is known of the cluster, and who has that may serve reads.
   */
  #sampleStandbys(): void {
    let last: { readonly lsn: Lsn; readonly atMs: number } | null = null
    for (const { observation, health, fence, leaving } of this.#tracks) {
      if (observation?.role !== 'replica' || health.phase !== 'up') continue
      const { replayLsn: lsn, atMs } = observation
      if (lsn === null || fence !== null || leaving !== null) continue
      if (last === null || lsn > last.lsn) last = { lsn, atMs }
    }
    if (last !== null) this.#standIn.push(last.lsn, last.atMs)
  }

  /** Mixing clusters up loses data: who has another system identifier gets nothing. */
  #checkIdentity(): void {
    const expected = this.#systemIdentifier ?? commonIdentifier(this.#tracks)
    for (const track of this.#tracks) {
      const own = track.observation?.systemIdentifier ?? null
      const foreign = expected !== null && own !== null && own !== expected
      if (foreign) {
        const detail = `belongs to another cluster (system identifier ${own}, not ${expected})`
        this.#fence(track, 'foreign-cluster', detail)
      } else if (track.fence?.reason === 'foreign-cluster') this.#unfence(track)
    }
  }

  #elect(): void {
    for (const track of this.#tracks) {
      const seen = track.observation
      if (track.splitBrainTimeline === null || seen === null) continue
      const higher = (seen.timeline ?? 0) > track.splitBrainTimeline
      if (seen.role === 'replica' || higher) track.splitBrainTimeline = null
    }
    const claims = this.#tracks
      .filter((track) => track.claimsPrimary)
      .map((track) => ({
        index: track.spec.index,
        timeline: track.observation?.timeline ?? 0,
      }))
    const { winner, fenced, timeline } = electPrimary(claims, this.#sitting, this.#timeline)
    this.#seat(winner, timeline)
    for (const { index, reason } of fenced) {
      const track = this.#track(index)
      if (track === undefined) continue
      if (reason === 'second-primary') track.splitBrainTimeline = timeline
      this.#fence(track, reason, fenceDetail(track, reason, timeline))
    }
    for (const track of this.#tracks) {
      const { fence, spec } = track
      if (fence === null || fence.reason === 'foreign-cluster') continue
      if (spec.index === winner || track.observation?.role === 'replica') this.#unfence(track)
    }
  }

  #seat(winner: number | null, timeline: number): void {
    const previous = this.#primaryUp ? this.#sitting : null
    const track = winner === null ? undefined : this.#track(winner)
    if (timeline > this.#timeline) {
      // What the new primary had replayed as a replica lies before the switch.
      if (this.#timeline > 0) this.#timelineStartLsn = track?.lastReplayLsn ?? null
      this.#timeline = timeline
    }
    const seen = track?.observation
    if (seen !== undefined && seen !== null && seen.flushLsn !== null) {
      this.#ring.push(seen.flushLsn, seen.sentAtMs)
      this.#sampledAtMs = seen.atMs
    }
    this.#systemIdentifier ??= seen?.systemIdentifier ?? null
    this.#primaryUp = winner !== null
    if (winner !== null) this.#sitting = winner
    if (winner !== null) this.#hadPrimary = true
    if (previous === winner) return
    const name = (index: number | null) =>
      index === null ? null : (this.#track(index)?.spec.id ?? null)
    this.emit({
      kind: 'primary-changed',
      from: name(previous),
      to: name(winner),
      timeline: this.#timeline === 0 ? null : this.#timeline,
      reason: winner === null ? 'lost' : 'elected',
      detail: winner === null ? 'no node takes writes now' : `takes writes now: ${name(winner)}`,
    })
  }

  #fence(track: NodeTrack, reason: FenceReason | 'foreign-cluster', detail: string): void {
    if (track.fence?.reason === reason) return
    track.fence = { reason, detail }
    this.emit({ kind: 'node-fenced', node: track.spec.id, reason, detail })
  }

  #unfence(track: NodeTrack): void {
    track.fence = null
    const detail = 'no longer contradicts the cluster'
    this.emit({ kind: 'node-unfenced', node: track.spec.id, reason: 'resolved', detail })
  }

  get #facts(): ClusterFacts {
    return {
      ring: this.#hadPrimary ? this.#ring : this.#standIn,
      timeline: this.#timeline === 0 ? null : this.#timeline,
      timelineStartLsn: this.#timelineStartLsn,
    }
  }

  #build(version: number): Snapshot {
    const nowMs = this.#settings.clock.nowMs()
    const facts = this.#facts
    const nodes = this.#tracks.map((track) => track.view(facts, nowMs, this.#settings))
    const sitting = nodes.find(({ index }) => index === this.#sitting)
    // A drained primary is still the primary, but gets nothing new.
    const serves = this.#primaryUp && sitting?.health === 'up'
    return freezeSnapshot({
      version,
      atMs: nowMs,
      nodes,
      primary: serves ? (sitting ?? null) : null,
      timeline: facts.timeline,
      timelineStartLsn: facts.timelineStartLsn,
      systemIdentifier: this.#systemIdentifier,
    })
  }

  #newTrack(spec: NodeSpec): NodeTrack {
    return new NodeTrack(spec, this.#settings.maxLagMs, this.#settings.maxLagResumeMs)
  }

  #track(index: number): NodeTrack | undefined {
    return this.#tracks.find(({ spec }) => spec.index === index)
  }

  emit(event: MonitorEvent): void {
    try {
      this.#settings.onEvent(event)
    } catch {
      // A broken log must not stop the monitor.
    }
  }
}
