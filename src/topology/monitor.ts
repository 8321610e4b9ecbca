import { type HealthInput, isInTransition } from './health.ts'
import {
  assertNodes,
  type MonitorOptions,
  type MonitorSettings,
  type MonitorTuning,
  monitorSettings,
} from './monitor-options.ts'
import type { NodeSpec } from './node.ts'
import type { NodeTrack } from './node-track.ts'
import type { OpenProbe } from './probe-connection.ts'
import { Prober } from './prober.ts'
import type { Snapshot } from './snapshot.ts'
import { Topology } from './topology.ts'

/** What a session saw of a node. `timeout`: a connection or a login that took too long. */
export type PassiveFailure = 'refused' | 'reset' | 'shutdown' | 'timeout' | 'read-only-primary'

/** The answer of the primary must not delay the replicas' probes longer than this, in ms. */
const PRIMARY_FIRST_MS = 100

interface Watched {
  readonly track: NodeTrack
  readonly prober: Prober
  running: Promise<void> | null
  queued: Promise<void> | null
  cancelFast: (() => void) | null
  fresh: boolean
  lastPassiveMs: number
}

/**
 * The one writer of the topology: probes all nodes, hears from sessions, and publishes frozen
 * snapshots. Nothing here throws into a session; every wait is timed out.
 */
export class Monitor {
  readonly #settings: MonitorSettings
  /** By node index. */
  readonly #watched = new Map<number, Watched>()
  readonly #openProbe: OpenProbe
  readonly #topology: Topology
  readonly #listeners = new Set<(snapshot: Snapshot) => void>()
  #cancelRound: (() => void) | null = null
  #lost = false
  #state: 'new' | 'running' | 'stopped' = 'new'

  /** Throws a ConfigError when the list of nodes can't be watched. */
  constructor(options: MonitorOptions) {
    assertNodes(options.nodes, options.isOpen)
    const settings = monitorSettings(options)
    this.#settings = settings
    this.#topology = new Topology(options.nodes, settings, (snapshot) => this.#publish(snapshot))
    this.#openProbe = options.openProbe
    for (const track of this.#topology.tracks) this.#watch(track)
  }

  /** The current topology. Cheap: a field. */
  get snapshot(): Snapshot {
    return this.#topology.snapshot
  }

  /** Calls back with every later snapshot, synchronously; the result ends that. */
  onSnapshot(listener: (snapshot: Snapshot) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves after the first round, whatever the nodes answered. */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new Error('a monitor is started once')
    this.#state = 'running'
    await this.#round()
    this.#topology.complete()
    // Only now is the primary known, and with it what the replicas' positions mean.
    if (this.snapshot.primary !== null) await this.#probeReplicas()
  }

  /** Ends all probing; resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.#state = 'stopped'
    this.#cancelRound?.()
    this.#listeners.clear()
    const all = [...this.#watched.values()]
    for (const watched of all) this.#unwatch(watched)
    await Promise.all(all.map((watched) => watched.queued ?? watched.running))
  }

  /** Resolves after a probe that was sent after the call; of all nodes without an index. */
  async probeNow(nodeIndex?: number): Promise<void> {
    if (nodeIndex === undefined) return await this.#probeAll()
    const watched = this.#watched.get(nodeIndex)
    if (watched !== undefined) await this.#probe(watched)
  }

  /**
   * A node joins and is probed at once; until it has answered it gets nothing. Its `index` must be
   * one that nothing refers to. `replaces`: the index under which the same server was known at
   * another address; that one leaves when the new address answers.
   */
  add(spec: NodeSpec, replaces: number | null = null): void {
    if (this.#state === 'stopped') return
    const former = replaces === null ? undefined : this.#watched.get(replaces)
    const watched = this.#watch(this.#topology.join(spec, former?.track ?? null))
    if (this.#state === 'running') void this.#probe(watched)
  }

  /** A node goes: nothing new is sent there. What runs may end; then `remove` it. */
  leave(nodeIndex: number, detail: string): void {
    const watched = this.#watched.get(nodeIndex)
    if (watched !== undefined) this.#topology.leave(watched.track, 'gone', detail)
  }

  /** Forgets a node that has left. Its index may be given again. */
  remove(nodeIndex: number): void {
    const watched = this.#watched.get(nodeIndex)
    if (watched === undefined) return
    this.#watched.delete(nodeIndex)
    this.#unwatch(watched)
    this.#topology.remove(watched.track)
  }

  /** Other intervals and limits, from the next probe on. */
  retune(tuning: MonitorTuning): void {
    const { clock, onEvent } = this.#settings
    Object.assign(this.#settings, monitorSettings({ ...tuning, clock, onEvent }))
    this.#topology.retune()
    if (this.#state === 'running') void this.#round()
  }

  /** Another weight or zone for a node. */
  respec(nodeIndex: number, weight: number, zone: string | null): void {
    if (this.#watched.get(nodeIndex)?.track.respec(weight, zone) === true) this.#topology.settle()
  }

  /**
   * A session's bad experience; a probe follows at once. Until it has answered, `refused` takes the
   * node out, all but `timeout` take a replica out, and `read-only-primary` takes the primary's role.
   * All but `shutdown` (57P01 to 57P03) count towards a replica's `maxFails`. Not for answers of a
   * healthy server: 53300, a failed login, a query's own error.
   */
  reportFailure(nodeIndex: number, kind: PassiveFailure, detail: string): void {
    const watched = this.#watched.get(nodeIndex)
    if (watched === undefined || this.#state !== 'running') return
    const { track } = watched
    if (track.leaving !== null) return
    const nowMs = this.#settings.clock.nowMs()
    if (kind === 'read-only-primary') {
      if (track.observation?.role !== 'primary') return
      // A primary may be read-only by configuration: a report refuted lately only asks again.
      const refuted = nowMs - track.refutedAtMs < 10 * this.#settings.probeIntervalMs
      if (!refuted) this.#topology.doubtPrimary(track)
    } else {
      // A lost connection, and 57P01, may be that connection's own trouble (pg_terminate_backend) or
      // the node's: the probe sent now tells. Until then a replica is left alone, others can serve;
      // the only node that takes writes is not, nor is it ever banned.
      const isReplica = track.observation?.role === 'replica'
      const hard = kind === 'refused' || (isReplica && kind !== 'timeout')
      const bannable = isReplica && kind !== 'shutdown'
      this.#topology.feed(track, { kind: 'failure', hard, bannable, reason: detail }, kind)
    }
    this.#probeOnReport(watched, nowMs)
  }

  /** A request was answered; clears the count of `maxFails`. Cheap enough for every request. */
  reportSuccess(nodeIndex: number): void {
    const track = this.#watched.get(nodeIndex)?.track
    if (track === undefined || track.health.fails === 0) return
    track.health = { ...track.health, fails: 0 }
  }

  /** No new requests to the node; what runs may end. A drained primary holds writes. */
  drain(nodeIndex: number): void {
    this.#operate(nodeIndex, { kind: 'drain' })
  }

  undrain(nodeIndex: number): void {
    this.#operate(nodeIndex, { kind: 'undrain' })
  }

  /** @param forMs null = until `unban` */
  ban(nodeIndex: number, forMs: number | null, reason = 'banned by the operator'): void {
    this.#operate(nodeIndex, { kind: 'ban', forMs, reason })
  }

  /** The node serves again after its next good probe, which is sent at once. */
  unban(nodeIndex: number): void {
    this.#operate(nodeIndex, { kind: 'unban' })
    void this.probeNow(nodeIndex)
  }

  #watch(track: NodeTrack): Watched {
    const settings = this.#settings
    const { clock } = settings
    const onLost = (): void => {
      if (this.#state === 'running') void this.#probe(watched)
    }
    const watched: Watched = {
      track,
      prober: new Prober({
        node: track.spec,
        open: this.#openProbe,
        get timeoutMs() {
          return settings.probeTimeoutMs
        },
        clock,
        onLost,
      }),
      running: null,
      queued: null,
      cancelFast: null,
      fresh: false,
      lastPassiveMs: Number.NEGATIVE_INFINITY,
    }
    this.#watched.set(track.spec.index, watched)
    return watched
  }

  #unwatch(watched: Watched): void {
    watched.cancelFast?.()
    watched.cancelFast = null
    watched.prober.close()
  }

  async #round(): Promise<void> {
    if (this.#state !== 'running') return
    const { probeIntervalMs, fastIntervalMs } = this.#settings
    // Armed first: a node that hangs must not delay the next look at the others.
    this.#armRound(this.#topology.isPrimaryLost ? fastIntervalMs : probeIntervalMs)
    await this.#probeAll()
  }

  #armRound(delayMs: number): void {
    this.#cancelRound?.()
    this.#cancelRound = this.#settings.clock.after(delayMs, () => void this.#round())
  }

  /** The primary's position first: then a replica's answer can be judged against it. */
  async #probeAll(): Promise<void> {
    const { sitting } = this.#topology
    const all = [...this.#watched.values()]
    const primary = sitting === null ? undefined : this.#watched.get(sitting)
    if (primary === undefined) {
      await Promise.all(all.map((watched) => this.#probe(watched)))
      return
    }
    const first = this.#probe(primary)
    await Promise.race([first, this.#pause(PRIMARY_FIRST_MS)])
    const others = all.filter((watched) => watched !== primary)
    await Promise.all([first, ...others.map((watched) => this.#probe(watched))])
  }

  async #probeReplicas(): Promise<void> {
    const all = [...this.#watched.values()]
    const replicas = all.filter(({ track }) => track.observation?.role === 'replica')
    await Promise.all(replicas.map((watched) => this.#probe(watched)))
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#settings.clock.after(ms, resolve))
  }

  /** Runs a probe that starts after the call; calls during a running one share the next. */
  #probe(watched: Watched): Promise<void> {
    if (this.#state === 'stopped' || watched.track.leaving !== null) return Promise.resolve()
    if (watched.running === null) {
      watched.running = this.#runProbe(watched).finally(() => {
        watched.running = null
      })
      return watched.running
    }
    watched.queued ??= watched.running.then(() => {
      watched.queued = null
      return this.#probe(watched)
    })
    return watched.queued
  }

  async #runProbe(watched: Watched): Promise<void> {
    watched.cancelFast?.()
    watched.cancelFast = null
    const { fresh } = watched
    watched.fresh = false
    const outcome = await watched.prober.probe(fresh)
    if (outcome === null || this.#state !== 'running' || watched.track.leaving !== null) return
    this.#topology.learn(watched.track, outcome)
    const { clock, fastIntervalMs } = this.#settings
    const unsure = isInTransition(watched.track.health) || this.#lagUnknown(watched.track)
    if (unsure) {
      watched.cancelFast = clock.after(fastIntervalMs, () => void this.#probe(watched))
    }
  }

  #lagUnknown({ observation, health, lagMs }: NodeTrack): boolean {
    return observation?.role === 'replica' && health.phase === 'up' && lagMs === null
  }

  #probeOnReport(watched: Watched, nowMs: number): void {
    watched.fresh = true
    const { clock, fastIntervalMs } = this.#settings
    const waitMs = watched.lastPassiveMs + fastIntervalMs - nowMs
    if (waitMs <= 0) {
      watched.lastPassiveMs = nowMs
      void this.#probe(watched)
    } else {
      watched.cancelFast ??= clock.after(waitMs, () => void this.#probe(watched))
    }
  }

  #operate(nodeIndex: number, input: HealthInput): void {
    const watched = this.#watched.get(nodeIndex)
    if (watched === undefined || this.#state === 'stopped') return
    this.#topology.feed(watched.track, input, 'operator')
  }

  #publish(snapshot: Snapshot): void {
    const lost = this.#state === 'running' && this.#topology.isPrimaryLost
    // Look for its successor at once, not when the next round is due.
    if (lost && !this.#lost) this.#armRound(0)
    this.#lost = lost
    for (const listener of this.#listeners) {
      try {
        listener(snapshot)
      } catch (error) {
        // One listener's bug must end neither the probes nor the other listeners' news.
        this.#topology.emit({ kind: 'listener-failed', reason: 'thrown', detail: String(error) })
      }
    }
  }
}
