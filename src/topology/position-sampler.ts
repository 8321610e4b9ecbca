import type { Lsn } from './lsn.ts'
import { parseLsn } from './lsn.ts'
import type { NodeSpec } from './node.ts'
import type { OpenProbe, ProbeConnection } from './probe-connection.ts'
import { nodeAt, type Snapshot } from './snapshot.ts'

export interface PositionSamplerOptions {
  readonly openProbe: OpenProbe
  readonly snapshot: () => Snapshot
  readonly nowMs: () => number
  /** Least time between two samples of the primary, ms: writers in between share one. Default 1. */
  readonly primaryEveryMs?: number
  /** The same while no reader waits for a position, ms. Default 20. */
  readonly idlePrimaryEveryMs?: number
  /** Time between two samples of a replica that somebody waits for, ms. Default 3. */
  readonly replicaEveryMs?: number
  /** A sample that takes longer is given up, ms. Default 1000. */
  readonly timeoutMs?: number
}

/** How long after the last wish replicas are still sampled, ms. */
const wishHoldsMs = 2_000
/** How often it is asked whether some role or function commits asynchronously, ms. */
const recheckMs = 5_000

/**
 * Where a commit that was acknowledged before the question can be found. With synchronous_commit on
 * it has been flushed; the insert position may lie far beyond on an idle primary, and no replica
 * gets there for seconds. Where anybody may commit asynchronously, only the insert position is safe.
 */
const primarySql = `SELECT pg_catalog.pg_current_wal_flush_lsn()::text,
  pg_catalog.pg_current_wal_insert_lsn()::text,
  (pg_catalog.current_setting('synchronous_commit') = 'off')::text`
const asynchronousSql = `SELECT (EXISTS (
    SELECT FROM pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) AS one
    WHERE one LIKE 'synchronous_commit=%')
  OR EXISTS (
    SELECT FROM pg_catalog.pg_proc, pg_catalog.unnest(proconfig) AS one
    WHERE one LIKE 'synchronous_commit=%'))::text`
const replicaSql = 'SELECT pg_catalog.pg_last_wal_replay_lsn()::text'

interface PrimarySample {
  readonly flushed: Lsn
  readonly inserted: Lsn
  readonly isAsynchronous: boolean
}

/** What a writer is told: the position its write is certainly behind, for either way of committing. */
export type PrimaryPosition = (isAsynchronousSession: boolean) => Lsn

/**
 * Group LSN sampling. Any position of the primary that is asked for *after* a commit was
 * acknowledged is a valid watermark for it, so one question serves everybody who wrote meanwhile.
 * Replicas are asked often while somebody waits for a watermark, and not at all otherwise.
 */
export class PositionSampler {
  #options: Required<PositionSamplerOptions>
  #waiting: ((position: PrimaryPosition) => void)[] = []
  #isSampling = false
  #isHurried = false
  #sampledAtMs = Number.NEGATIVE_INFINITY
  #wakeUp: (() => void) | null = null
  #connections = new Map<number, Promise<ProbeConnection>>()
  #replayed: Lsn[] = []
  #timeline: number | null = null
  #wish: Lsn = 0n
  #wishedAtMs = Number.NEGATIVE_INFINITY
  #busy = new Set<number>()
  /** How many nodes had an index before: answers of a former one are no answers of the next. */
  #eras = new Map<number, number>()
  #mayCommitAsynchronously = true
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #isStopped = false

  constructor(options: PositionSamplerOptions) {
    this.#options = {
      primaryEveryMs: 1,
      idlePrimaryEveryMs: 20,
      replicaEveryMs: 3,
      timeoutMs: 1_000,
      ...options,
    }
  }

  /** Calls back with a position asked for after this moment; later rather than never. */
  afterNow(callback: (position: PrimaryPosition) => void): void {
    if (this.#isStopped) return
    this.#waiting.push(callback)
    if (!this.#isSampling) void this.#samplePrimary()
  }

  /** A reader waits for what `afterNow` was asked for: the next sample is taken soon. */
  hurry(): void {
    this.#isHurried = true
    this.#wakeUp?.()
  }

  /** Best known replay position of a replica on the present timeline, 0 if none was asked for. */
  replayed(nodeIndex: number): Lsn {
    return this.#replayed[nodeIndex] ?? 0n
  }

  /** Somebody's reads wait for replicas to reach `lsn`. */
  wish(lsn: Lsn): void {
    if (lsn > this.#wish) this.#wish = lsn
    this.#wishedAtMs = this.#options.nowMs()
    for (const { index, readable } of this.#options.snapshot().nodes) {
      if (readable && !this.#busy.has(index) && this.replayed(index) < this.#wish) {
        this.#busy.add(index)
        void this.#followReplica(index)
      }
    }
  }

  /** The node with this index has left: its position must not be taken for its successor's. */
  forget(nodeIndex: number): void {
    this.#eras.set(nodeIndex, this.#era(nodeIndex) + 1)
    this.#drop(nodeIndex)
    this.#busy.delete(nodeIndex)
    delete this.#replayed[nodeIndex]
  }

  stop(): void {
    this.#isStopped = true
    this.#wakeUp?.()
    this.#waiting.length = 0
    for (const index of [...this.#connections.keys()]) this.#drop(index)
  }

  #era(nodeIndex: number): number {
    return this.#eras.get(nodeIndex) ?? 0
  }

  async #samplePrimary(): Promise<void> {
    this.#isSampling = true
    while (this.#waiting.length > 0 && !this.#isStopped) {
      await this.#untilDue()
      if (this.#isStopped) break
      this.#isHurried = false
      // Whoever comes from here on asks after this question, and gets the next one.
      const served = this.#waiting
      this.#waiting = []
      const sample = await this.#askPrimary()
      if (sample === null) {
        this.#waiting = served.concat(this.#waiting)
        await this.#pause(200)
        continue
      }
      const position: PrimaryPosition = (isAsynchronousSession) =>
        isAsynchronousSession || sample.isAsynchronous ? sample.inserted : sample.flushed
      for (const callback of served) callback(position)
      this.#sampledAtMs = this.#options.nowMs()
    }
    this.#isSampling = false
  }

  /** Writers alone are served now and then; a reader that waits brings the sample forward. */
  async #untilDue(): Promise<void> {
    const { nowMs, primaryEveryMs, idlePrimaryEveryMs } = this.#options
    const left = (everyMs: number): number => this.#sampledAtMs + everyMs - nowMs()
    while (!this.#isHurried && !this.#isStopped && left(idlePrimaryEveryMs) > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(1, left(idlePrimaryEveryMs)))
        timer.unref()
        this.#wakeUp = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wakeUp = null
    }
    if (left(primaryEveryMs) > 0) await this.#pause(left(primaryEveryMs))
  }

  async #askPrimary(): Promise<PrimarySample | null> {
    const { primary } = this.#options.snapshot()
    if (primary === null) return null
    try {
      if (this.#options.nowMs() - this.#checkedAtMs > recheckMs) {
        const [row] = await this.#ask(primary.spec, asynchronousSql)
        this.#mayCommitAsynchronously = row !== 'false'
        this.#checkedAtMs = this.#options.nowMs()
      }
      const [flushed, inserted, off] = await this.#ask(primary.spec, primarySql)
      const flushLsn = parseLsn(flushed ?? '')
      const insertLsn = parseLsn(inserted ?? '')
      if (flushLsn === null || insertLsn === null) return null
      return {
        flushed: flushLsn,
        inserted: insertLsn,
        isAsynchronous: off !== 'false' || this.#mayCommitAsynchronously,
      }
    } catch {
      this.#drop(primary.index)
      return null
    }
  }

  async #followReplica(index: number): Promise<void> {
    const { snapshot, nowMs, replicaEveryMs } = this.#options
    const era = this.#era(index)
    try {
      while (!this.#isStopped && nowMs() - this.#wishedAtMs < wishHoldsMs) {
        const now = snapshot()
        const { timeline } = now
        const node = nodeAt(now, index)
        if (node === undefined || !node.readable) return
        if (timeline !== this.#timeline) {
          this.#timeline = timeline
          this.#replayed = []
        }
        const [text] = await this.#ask(node.spec, replicaSql)
        if (era !== this.#era(index)) return
        const lsn = parseLsn(text ?? '') ?? 0n
        if (lsn > this.replayed(index)) this.#replayed[index] = lsn
        if (this.replayed(index) >= this.#wish) return
        await this.#pause(replicaEveryMs)
      }
    } catch {
      if (era === this.#era(index)) this.#drop(index)
    } finally {
      if (era === this.#era(index)) this.#busy.delete(index)
    }
  }

  async #ask(node: NodeSpec, sql: string): Promise<readonly (string | null)[]> {
    const connection = await this.#connect(node)
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => reject(new Error('a position sample timed out')),
      this.#options.timeoutMs,
    )
    try {
      const answer = connection.query(sql)
      answer.catch(() => {})
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
    }
  }

  #connect(node: NodeSpec): Promise<ProbeConnection> {
    let connection = this.#connections.get(node.index)
    if (connection === undefined) {
      connection = this.#options.openProbe(node, {
        signal: AbortSignal.timeout(this.#options.timeoutMs),
        onLost: () => this.#drop(node.index),
      })
      connection.catch(() => {})
      this.#connections.set(node.index, connection)
    }
    return connection
  }

  #drop(index: number): void {
    const connection = this.#connections.get(index)
    this.#connections.delete(index)
    connection?.then(
      (open) => open.close(),
      () => {},
    )
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, ms).unref()
    })
  }
}
