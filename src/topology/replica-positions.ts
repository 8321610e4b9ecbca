import { mayEndInRecord } from './lag.ts'
import { type Lsn, parseLsn } from './lsn.ts'
import type { NodeSpec, NodeView } from './node.ts'
import { Pace } from './pace.ts'
import type { PositionConnections } from './position-connections.ts'
import { PositionWaiters } from './position-waiters.ts'
import { type PrimarySample, timelineOfFile } from './primary-positions.ts'
import type { Snapshot } from './snapshot.ts'

export interface ReplicaPositionsOptions {
  readonly connections: PositionConnections
  readonly snapshot: () => Snapshot
  readonly nowMs: () => number
  /** Time between two samples of a replica that is read from, ms. */
  readonly everyMs: number
  /** The same while somebody waits for it to reach a position, ms. */
  readonly hurriedEveryMs: number
  /** A sample has come, or a replica was lost or found. */
  readonly onSample: () => void
}

/** What is known of one replica's replay. */
interface Follower {
  readonly spec: NodeSpec
  readonly pace: Pace
  isFollowed: boolean
  isRunning: boolean
  isWanted: boolean
  isHurried: boolean
  /** Somebody has read there since the last question, and when one was asked for the sake of that. */
  isRead: boolean
  readAtMs: number
  asked: number
  answered: number
  /** Reads up to this epoch were of a server that may have been restarted since. */
  barrier: number
  lsn: Lsn
  /** That the cluster was known to be on when the position was asked for. */
  timeline: number | null
  /** That the server itself was on then; null = it doesn't tell. */
  ownTimeline: number | null
  askedAtMs: number
  /** The present question has no answer yet. */
  isAsking: boolean
  caughtUpAtMs: number
  /** When the position in `lsn` was asked for. */
  measuredAtMs: number
  /** How old the oldest was then that it lacked, as far as samples of the primary tell, ms. */
  behindMs: number
  /** How long it took at least with what it had got last, ms. */
  tookMs: number
}

/** How long after the last wish replicas are still asked for it, ms. */
const wishHoldsMs = 2_000
/** A replica that nobody has read from for so long is not asked for the sake of writers, ms. */
const readLatelyMs = 500
/** Samples of the primary that are kept to tell how old a replica's state is. */
const keptSamples = 128

/**
 * One that was promoted, before that is known here, has more than it replayed; so may one that
 * follows it. Both tell the later timeline; NULL where the role may not see the WAL receiver.
 */
const replaySql = `WITH r AS MATERIALIZED (SELECT pg_catalog.pg_is_in_recovery() AS standby)
SELECT (CASE WHEN standby THEN pg_catalog.pg_last_wal_replay_lsn()
    ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text,
  CASE WHEN standby THEN (SELECT received_tli::text FROM pg_catalog.pg_stat_wal_receiver)
    ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END
FROM r`

/**
 * How far the replicas have replayed, asked for as often as somebody needs it.
 *
 * A session that has read from a replica may have seen all that it had replayed by then: a sample
 * asked for after the read covers it. Until there is one the session stays at that replica, whose
 * state never goes backwards while it runs. A replica that is restarted after a crash may show an
 * older state for a while; that the connection of these questions lives tells that it was not.
 */
export class ReplicaPositions {
  readonly #options: ReplicaPositionsOptions
  readonly #followers: (Follower | undefined)[] = []
  readonly #waiters = new PositionWaiters<Lsn>()
  #samples: PrimarySample[] = []
  #wish: Lsn = 0n
  #wishedAtMs = Number.NEGATIVE_INFINITY
  #soughtAtMs = Number.NEGATIVE_INFINITY
  #isStopped = false
  /** Epochs of nodes that come later are above those of all that left. */
  #firstEpoch = 1
  /** Grows whenever `follows` may answer differently. */
  version = 0

  constructor(options: ReplicaPositionsOptions) {
    this.#options = options
  }

  /** Opens connections to replicas that may be read from. Resolves when each was tried. */
  async follow(snapshot: Snapshot): Promise<void> {
    const opening: Promise<void>[] = []
    for (const node of snapshot.nodes) {
      const known = this.#followers[node.index]
      if (known !== undefined && !isSameServer(known.spec, node.spec)) {
        this.#options.connections.drop(node.index)
        this.forget(node.index)
      }
      if (!node.readable || this.#isStopped) continue
      const follower = this.#followers[node.index] ?? this.#add(node.spec)
      if (!follower.isFollowed) opening.push(this.#open(follower))
    }
    await Promise.all(opening)
  }

  follows(nodeIndex: number): boolean {
    return this.#followers[nodeIndex]?.isFollowed ?? false
  }

  /** Something was read at the replica: the epoch to ask `since` with; -1 = it is not followed. */
  note(nodeIndex: number): number {
    const follower = this.#followers[nodeIndex]
    if (follower === undefined || !follower.isFollowed) return -1
    follower.isWanted = true
    follower.isRead = true
    if (!follower.isRunning) void this.#run(follower)
    return follower.asked
  }

  /** Somebody waits for the next positions: they are asked for soon, of all replicas. */
  hurry(): void {
    for (const follower of this.#followers) {
      if (follower?.isFollowed === true) this.#hurryOne(follower)
    }
  }

  /** Calls back once one of the replicas has replayed that far. The result takes that back. */
  onReached(lsn: Lsn, callback: () => void): () => void {
    return this.#waiters.on(lsn, callback)
  }

  /** A position that covers what was read at `epoch`, or null: not known yet. */
  since(nodeIndex: number, epoch: number): Lsn | null {
    const follower = this.#followers[nodeIndex]
    if (follower === undefined || follower.answered <= epoch) return null
    return follower.lsn
  }

  /** The timeline that the server was on at its last position; null = it doesn't tell. */
  timelineOf(nodeIndex: number): number | null {
    return this.#followers[nodeIndex]?.ownTimeline ?? null
  }

  /** The server was lost after that epoch: what was read there will never get a position. */
  isLost(nodeIndex: number, epoch: number): boolean {
    const follower = this.#followers[nodeIndex]
    return follower === undefined || epoch <= follower.barrier
  }

  /** Best known replay position on the present timeline, 0 = none. */
  replayed(nodeIndex: number): Lsn {
    const follower = this.#followers[nodeIndex]
    const { timeline } = this.#options.snapshot()
    if (follower === undefined || follower.timeline !== timeline) return 0n
    const isAhead = timeline !== null && (follower.ownTimeline ?? 0) > timeline
    return isAhead ? 0n : follower.lsn
  }

  /** Somebody's reads wait for replicas to reach `lsn`. */
  wish(lsn: Lsn): void {
    if (lsn > this.#wish) this.#wish = lsn
    this.#wishedAtMs = this.#options.nowMs()
    for (const follower of this.#followers) {
      if (follower === undefined || !follower.isFollowed || follower.lsn >= this.#wish) continue
      follower.pace.wake()
      if (!follower.isRunning) void this.#run(follower)
    }
  }

  /** Reads go to the primary for want of a replica that is far enough: its samples are followed. */
  seek(): void {
    this.#soughtAtMs = this.#options.nowMs()
  }

  /**
   * How long the replica takes to have what the primary has, ms, as it was last seen: by the age of
   * what it lacked, and by how long it took before. Infinity = it is not followed.
   */
  delayMs({ index, observedAtMs, lagMs }: NodeView): number {
    const follower = this.#followers[index]
    if (follower === undefined || !follower.isFollowed) return Number.POSITIVE_INFINITY
    const { measuredAtMs, behindMs, tookMs, isAsking, askedAtMs } = follower
    const probed = lagMs === null ? Number.POSITIVE_INFINITY : lagMs
    const lag = (observedAtMs ?? Number.NEGATIVE_INFINITY) > measuredAtMs ? probed : behindMs
    const silentMs = isAsking ? this.#options.nowMs() - askedAtMs : 0
    return Math.max(lag, tookMs, silentMs)
  }

  /** The latest moment, monotonic ms, of which the replica certainly has everything. */
  caughtUpAtMs(nodeIndex: number): number {
    return this.#followers[nodeIndex]?.caughtUpAtMs ?? Number.NEGATIVE_INFINITY
  }

  /**
   * Takes in a sample of the primary, for `caughtUpAtMs`. Those who wrote before it will read from
   * replicas soon, where anybody does: their positions are asked for once.
   */
  notePrimary(sample: PrimarySample): void {
    const since = this.#options.nowMs() - readLatelyMs
    for (const follower of this.#followers) {
      if (follower === undefined || !follower.isFollowed || follower.readAtMs < since) continue
      this.#hurryOne(follower)
    }
    const last = this.#samples.at(-1)
    if (last !== undefined && last.timeline !== sample.timeline) this.#samples = []
    this.#samples.push(sample)
    if (this.#samples.length > keptSamples) this.#samples.shift()
    if (this.#soughtAtMs >= since) this.wish(sample.flushed)
  }

  /** The connection to a node has ended. */
  lost(nodeIndex: number): void {
    const follower = this.#followers[nodeIndex]
    if (follower === undefined) return
    follower.barrier = follower.asked
    follower.asked++
    follower.lsn = 0n
    follower.caughtUpAtMs = Number.NEGATIVE_INFINITY
    if (!follower.isFollowed) return
    follower.isFollowed = false
    this.version++
    this.#options.onSample()
  }

  /** The node with this index has left: its epochs and positions are none of its successor's. */
  forget(nodeIndex: number): void {
    const follower = this.#followers[nodeIndex]
    if (follower === undefined) return
    this.lost(nodeIndex)
    this.#firstEpoch = Math.max(this.#firstEpoch, follower.asked)
    this.#followers[nodeIndex] = undefined
    follower.pace.wake()
  }

  stop(): void {
    this.#isStopped = true
    this.#waiters.clear()
    for (const follower of this.#followers) follower?.pace.wake()
  }

  #add(spec: NodeSpec): Follower {
    const follower: Follower = {
      spec,
      pace: new Pace(this.#options.nowMs),
      isFollowed: false,
      isRunning: false,
      isWanted: false,
      isHurried: false,
      isRead: false,
      readAtMs: Number.NEGATIVE_INFINITY,
      asked: this.#firstEpoch,
      answered: this.#firstEpoch - 1,
      barrier: this.#firstEpoch - 1,
      lsn: 0n,
      timeline: null,
      ownTimeline: null,
      askedAtMs: Number.NEGATIVE_INFINITY,
      isAsking: false,
      caughtUpAtMs: Number.NEGATIVE_INFINITY,
      measuredAtMs: Number.NEGATIVE_INFINITY,
      behindMs: 0,
      tookMs: 0,
    }
    this.#followers[spec.index] = follower
    return follower
  }

  #hurryOne(follower: Follower): void {
    follower.isWanted = true
    if (!follower.isHurried) {
      follower.isHurried = true
      follower.pace.wake()
    }
    if (!follower.isRunning) void this.#run(follower)
  }

  async #open(follower: Follower): Promise<void> {
    const { connections } = this.#options
    try {
      await connections.open(follower.spec)
    } catch {
      return
    }
    if (this.#isStopped || follower.isFollowed || !connections.isOpen(follower.spec.index)) return
    if (this.#followers[follower.spec.index] !== follower) return
    follower.isFollowed = true
    this.version++
    this.#options.onSample()
  }

  async #run(follower: Follower): Promise<void> {
    follower.isRunning = true
    while (!this.#isStopped && follower.isFollowed && this.#isNeeded(follower)) {
      await follower.pace.until(() => this.#dueAtMs(follower))
      if (this.#isStopped || !follower.isFollowed) break
      follower.isWanted = false
      follower.isHurried = false
      const epoch = ++follower.asked
      follower.askedAtMs = this.#options.nowMs()
      if (follower.isRead) follower.readAtMs = follower.askedAtMs
      follower.isRead = false
      const { timeline } = this.#options.snapshot()
      try {
        follower.isAsking = true
        const [text, own] = await this.#options.connections.ask(follower.spec, replaySql)
        if (follower.barrier >= epoch) continue
        follower.ownTimeline = timelineOf(own ?? '')
        this.#learn(follower, epoch, timeline, parseLsn(text ?? ''))
      } catch {
        // `lost` was called: sessions go to the primary.
        break
      } finally {
        follower.isAsking = false
      }
    }
    follower.isRunning = false
  }

  #learn(follower: Follower, epoch: number, timeline: number | null, lsn: Lsn | null): void {
    if (lsn === null) return
    if (follower.timeline !== timeline) follower.lsn = 0n
    follower.timeline = timeline
    const before = follower.lsn
    if (lsn > follower.lsn) follower.lsn = lsn
    follower.answered = epoch
    this.#measure(follower, before)
    this.#options.onSample()
    this.#waiters.reached(follower.lsn)
  }

  /** How the new position lies to what the primary had. */
  #measure(follower: Follower, before: Lsn): void {
    const lastMs = follower.measuredAtMs
    follower.measuredAtMs = follower.askedAtMs
    follower.behindMs = 0
    // Nothing new was there to replay: what was slow once must not be held against it for good.
    let tookMs = follower.tookMs / 2
    for (let i = this.#samples.length - 1; i >= 0; i--) {
      const { flushed, askedAtMs, answeredAtMs } = this.#samples[i] as PrimarySample
      if (flushed > follower.lsn) {
        const ageMs = follower.askedAtMs - answeredAtMs
        if (!mayEndInRecord(flushed)) follower.behindMs = Math.max(0, ageMs)
        tookMs = follower.tookMs
        continue
      }
      if (askedAtMs > follower.caughtUpAtMs) follower.caughtUpAtMs = askedAtMs
      if (flushed > before) tookMs = Math.max(0, lastMs - answeredAtMs)
      break
    }
    follower.tookMs = tookMs
  }

  #isNeeded(follower: Follower): boolean {
    return follower.isWanted || this.#isWishedFor(follower)
  }

  #isWishedFor(follower: Follower): boolean {
    if (follower.lsn >= this.#wish) return false
    return this.#options.nowMs() - this.#wishedAtMs < wishHoldsMs
  }

  #dueAtMs(follower: Follower): number {
    if (this.#isStopped || !follower.isFollowed) return Number.NEGATIVE_INFINITY
    const { everyMs, hurriedEveryMs } = this.#options
    if (follower.isHurried) return follower.askedAtMs + hurriedEveryMs
    if (!this.#isWishedFor(follower)) return follower.askedAtMs + everyMs
    // One that lags by a second need not be asked every other millisecond whether it still does.
    const calmMs = Math.min(everyMs, follower.behindMs / 8)
    return follower.askedAtMs + Math.max(hurriedEveryMs, calmMs)
  }
}

/** A timeline, or the name of a file of the log, of which it is the first eight hexadecimal digits. */
function timelineOf(text: string): number | null {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text)
  return timelineOfFile(text)
}

function isSameServer(a: NodeSpec, b: NodeSpec): boolean {
  return a.id === b.id && a.host === b.host && a.port === b.port
}
