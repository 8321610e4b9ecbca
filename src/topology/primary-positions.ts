import { type Lsn, parseLsn } from './lsn.ts'
import type { NodeSpec } from './node.ts'
import { Pace } from './pace.ts'
import type { PositionConnections } from './position-connections.ts'
import type { Snapshot } from './snapshot.ts'

export interface PrimaryPositionsOptions {
  readonly connections: PositionConnections
  readonly snapshot: () => Snapshot
  readonly nowMs: () => number
  /** Least time between two samples while a reader waits for one, ms. */
  readonly hurriedEveryMs: number
  /** The same while none does: sessions in between share a sample, ms. */
  readonly everyMs: number
  /** A sample has come. */
  readonly onSample: (sample: PrimarySample) => void
}

/** One answer of the primary. */
export interface PrimarySample {
  readonly timeline: number
  readonly flushed: Lsn
  readonly inserted: Lsn
  /** When the question left, and when the answer was there, monotonic ms. */
  readonly askedAtMs: number
  readonly answeredAtMs: number
}

/** How often it is asked whether some role or function commits asynchronously, ms. */
const recheckMs = 5_000
/** Pause after a question that was not answered, ms. */
const failedPauseMs = 50

/**
 * Where a commit that was acknowledged before the question can be found. With synchronous_commit on
 * it has been flushed; the insert position may lie far beyond on an idle primary, and no replica
 * gets there for seconds. Where anybody may commit asynchronously, only the insert position is safe.
 */
const positionSql = `SELECT pg_catalog.pg_current_wal_flush_lsn()::text,
  pg_catalog.pg_current_wal_insert_lsn()::text,
  (pg_catalog.current_setting('synchronous_commit') = 'off')::text,
  pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn())`
const asynchronousSql = `SELECT (EXISTS (
    SELECT FROM pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) AS one
    WHERE one LIKE 'synchronous_commit=%')
  OR EXISTS (
    SELECT FROM pg_catalog.pg_proc, pg_catalog.unnest(proconfig) AS one
    WHERE one LIKE 'synchronous_commit=%'))::text`

/**
 * Group sampling of the primary's position: one that is asked for *after* a commit was acknowledged,
 * or a row was seen, covers it, so one question serves everybody who wrote or read meanwhile.
 * Sessions keep the epoch of `note` and compare: no call-back, nothing to keep per session.
 */
export class PrimaryPositions {
  readonly #options: PrimaryPositionsOptions
  readonly #pace: Pace
  /** Questions asked so far. */
  #asked = 0
  /** The question that `#sample` answers. */
  #answered = 0
  #sample: PrimarySample | null = null
  #isWanted = false
  #isHurried = false
  #isRunning = false
  #isStopped = false
  /** Somebody is known to commit without waiting for the flush. */
  #isAsynchronous = false
  #mayCommitAsynchronously = true
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #askedAtMs = Number.NEGATIVE_INFINITY
  #pausedUntilMs = Number.NEGATIVE_INFINITY
  /** When the first question left that has no answer yet; null = there is none such. */
  #silentSinceMs: number | null = null

  constructor(options: PrimaryPositionsOptions) {
    this.#options = options
    this.#pace = new Pace(options.nowMs)
  }

  /** Something was written or seen on the primary: gives the epoch to ask `since` with. */
  note(): number {
    this.#isWanted = true
    if (!this.#isRunning) void this.#run()
    return this.#asked
  }

  /** A reader waits for the next sample: it is taken soon. */
  hurry(): void {
    this.#isWanted = true
    if (!this.#isHurried) {
      this.#isHurried = true
      this.#pace.wake()
    }
    if (!this.#isRunning) void this.#run()
  }

  /** A session commits with synchronous_commit off: others see its rows before they are flushed. */
  noteAsynchronous(): void {
    this.#isAsynchronous = true
  }

  /** The sample of a question asked after `epoch` was given, or null: not yet. */
  since(epoch: number): PrimarySample | null {
    return this.#answered > epoch ? this.#sample : null
  }

  /** The position in `sample` that everything before its question is behind. */
  positionOf(sample: PrimarySample): Lsn {
    const isUnsafe = this.#isAsynchronous || this.#mayCommitAsynchronously
    return isUnsafe ? sample.inserted : sample.flushed
  }

  get latest(): PrimarySample | null {
    return this.#sample
  }

  /** For how long it has owed an answer, ms. */
  get silentMs(): number {
    return this.#silentSinceMs === null ? 0 : this.#options.nowMs() - this.#silentSinceMs
  }

  stop(): void {
    this.#isStopped = true
    this.#pace.wake()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    while (this.#isWanted && !this.#isStopped) {
      await this.#pace.until(this.#dueAtMs)
      if (this.#isStopped) break
      this.#isHurried = false
      // Whoever comes from here on asks after this question, and gets the next one.
      this.#isWanted = false
      const epoch = ++this.#asked
      this.#askedAtMs = this.#options.nowMs()
      this.#silentSinceMs ??= this.#askedAtMs
      const sample = await this.#ask()
      if (sample === null) {
        this.#isWanted = true
        this.#pausedUntilMs = this.#options.nowMs() + failedPauseMs
        continue
      }
      this.#silentSinceMs = null
      this.#answered = epoch
      this.#sample = sample
      this.#options.onSample(sample)
    }
    this.#isRunning = false
  }

  #dueAtMs = (): number => {
    if (this.#isStopped) return Number.NEGATIVE_INFINITY
    const { hurriedEveryMs, everyMs } = this.#options
    return Math.max(
      this.#pausedUntilMs,
      this.#askedAtMs + (this.#isHurried ? hurriedEveryMs : everyMs),
    )
  }

  async #ask(): Promise<PrimarySample | null> {
    const { primary, timeline } = this.#options.snapshot()
    if (primary === null) return null
    const { nowMs } = this.#options
    const askedAtMs = nowMs()
    try {
      if (askedAtMs - this.#checkedAtMs > recheckMs) await this.#checkCommits(primary.spec)
      const row = await this.#options.connections.ask(primary.spec, positionSql)
      const [flushed, inserted, off, file] = row
      const flushLsn = parseLsn(flushed ?? '')
      const insertLsn = parseLsn(inserted ?? '')
      const own = timelineOfFile(file ?? '') ?? timeline
      if (flushLsn === null || insertLsn === null || own === null) return null
      if (off !== 'false') this.#mayCommitAsynchronously = true
      return {
        timeline: own,
        flushed: flushLsn,
        inserted: insertLsn,
        askedAtMs,
        answeredAtMs: nowMs(),
      }
    } catch {
      return null
    }
  }

  async #checkCommits(primary: NodeSpec): Promise<void> {
    const [row] = await this.#options.connections.ask(primary, asynchronousSql)
    this.#mayCommitAsynchronously = row !== 'false'
    this.#checkedAtMs = this.#options.nowMs()
  }
}

/** The first eight hexadecimal digits of a WAL file's name (documentation, "WAL Internals"). */
export function timelineOfFile(name: string): number | null {
  return /^[0-9A-F]{24}$/.test(name) ? Number.parseInt(name.slice(0, 8), 16) : null
}
