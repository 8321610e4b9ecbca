import { setImmediate as immediate } from 'node:timers/promises'
import { type Lsn, parseLsn } from './lsn.ts'
import { Pace } from './pace.ts'
import type { PositionConnections } from './position-connections.ts'
import { PositionWaiters } from './position-waiters.ts'
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
  /** What standbys are sent: all that they can have by now. */
  readonly flushed: Lsn
  /** Everything that was committed or shown before the question lies before it. */
  readonly inserted: Lsn
  /** When the question left, and when the answer was there, monotonic ms. */
  readonly askedAtMs: number
  readonly answeredAtMs: number
}

/** Pause after a question that was not answered, ms. */
const failedPauseMs = 50

/**
 * Where a commit that was acknowledged before the question can be found. The insert position covers
 * it whatever synchronous_commit was; the flush position doesn't where it was off, and nobody but
 * the process that committed knows that: it is a setting of the server, of a role, a database, a
 * function, of one transaction. What is inserted and not flushed is what commits at this moment, and
 * what others have written in transactions that are open: a replica has it a commit later.
 */
const positionSql = `SELECT pg_catalog.pg_current_wal_flush_lsn()::text,
  pg_catalog.pg_current_wal_insert_lsn()::text,
  pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn())`
/** What stays as it is while a server runs is asked once per connection: it takes as long as the rest. */
const sizesSql = `,
  pg_catalog.current_setting('wal_block_size'),
  pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))::text`

/** Sizes of a server's log. NaN = not told. */
interface LogSizes {
  readonly nodeIndex: number
  readonly blockBytes: number
  readonly segmentBytes: number
}

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
  /** By the question whose answer they need. */
  readonly #waiters = new PositionWaiters<number>()
  /** The question that `#sample` answers. */
  #answered = 0
  #sample: PrimarySample | null = null
  /** Of the server that was asked last; null = it is to be asked for them. */
  #sizes: LogSizes | null = null
  #isWanted = false
  #isHurried = false
  #isUrgent = false
  #isRunning = false
  #isStopped = false
  #askedAtMs = Number.NEGATIVE_INFINITY
  #pausedUntilMs = Number.NEGATIVE_INFINITY
  /** What was inserted and is not known to be flushed, and when that was seen. */
  #unflushed: { readonly lsn: Lsn; readonly sinceMs: number } | null = null
  /** How long such a position took to be flushed, as far as samples tell, ms. */
  #flushMs = 0
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

  /**
   * Reads that came in just now wait for a sample: the next question leaves at the end of this turn
   * of the event loop, or behind the one that is under way, and serves all that came before it.
   */
  ask(): number {
    const epoch = this.note()
    if (!this.#isUrgent) {
      this.#isUrgent = true
      this.#pace.wake()
    }
    return epoch
  }

  /** Somebody waits for `since(epoch)`: it is asked for at the end of this turn, if it is not yet. */
  askFor(epoch: number): void {
    if (this.#asked <= epoch) this.ask()
  }

  /** The sample of a question asked after `epoch` was given, or null: not yet. */
  since(epoch: number): PrimarySample | null {
    return this.#answered > epoch ? this.#sample : null
  }

  /** Calls back once `since(epoch)` is known. The result takes that back. */
  onSince(epoch: number, callback: () => void): () => void {
    return this.#waiters.on(epoch + 1, callback)
  }

  get latest(): PrimarySample | null {
    return this.#sample
  }

  /** For how long it has owed an answer, ms. */
  get silentMs(): number {
    return this.#silentSinceMs === null ? 0 : this.#options.nowMs() - this.#silentSinceMs
  }

  /**
   * How long it takes until what is inserted now is flushed, ms: next to nothing where others commit
   * all the time, up to a second where nobody waits for the flush.
   */
  get flushMs(): number {
    const unflushed = this.#unflushed
    if (unflushed === null) return this.#flushMs
    return Math.max(this.#flushMs, this.#options.nowMs() - unflushed.sinceMs)
  }

  /** The connection to a node has ended: there may be another server next time. */
  lost(nodeIndex: number): void {
    if (this.#sizes?.nodeIndex === nodeIndex) this.#sizes = null
  }

  stop(): void {
    this.#isStopped = true
    this.#waiters.clear()
    this.#pace.wake()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    while (this.#isWanted && !this.#isStopped) {
      await this.#pace.until(this.#dueAtMs)
      // Those whose requests came in with the same turn share it.
      if (this.#isUrgent) await immediate()
      if (this.#isStopped) break
      this.#isHurried = false
      this.#isUrgent = false
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
      this.#measure(sample)
      this.#options.onSample(sample)
      this.#waiters.reached(epoch)
    }
    this.#isRunning = false
  }

  #measure({ flushed, inserted, answeredAtMs }: PrimarySample): void {
    const unflushed = this.#unflushed
    if (unflushed !== null && flushed < unflushed.lsn) return
    // What was slow once must not be held against it for good.
    this.#flushMs = unflushed === null ? this.#flushMs / 2 : answeredAtMs - unflushed.sinceMs
    this.#unflushed = flushed < inserted ? { lsn: inserted, sinceMs: answeredAtMs } : null
  }

  #dueAtMs = (): number => {
    if (this.#isStopped) return Number.NEGATIVE_INFINITY
    const { hurriedEveryMs, everyMs } = this.#options
    if (this.#isUrgent) return this.#pausedUntilMs
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
      const sizes = this.#sizes?.nodeIndex === primary.index ? this.#sizes : null
      const sql = sizes === null ? positionSql + sizesSql : positionSql
      const row = await this.#options.connections.ask(primary.spec, sql)
      // One that was replaced meanwhile has not what its successor has acknowledged.
      const now = this.#options.snapshot()
      if (now.primary?.index !== primary.index || now.timeline !== timeline) return null
      const [flushed, inserted, file, block, segment] = row
      const flushLsn = parseLsn(flushed ?? '')
      const insertLsn = parseLsn(inserted ?? '')
      const own = timelineOfFile(file ?? '') ?? timeline
      if (flushLsn === null || insertLsn === null || own === null) return null
      const { blockBytes, segmentBytes } = sizes ?? {
        blockBytes: Number(block),
        segmentBytes: Number(segment),
      }
      if (sizes === null && this.#options.connections.isOpen(primary.index)) {
        this.#sizes = { nodeIndex: primary.index, blockBytes, segmentBytes }
      }
      return {
        timeline: own,
        flushed: flushLsn,
        inserted: endOfRecords(insertLsn, blockBytes, segmentBytes),
        askedAtMs,
        answeredAtMs: nowMs(),
      }
    } catch {
      return null
    }
  }
}

/** Sizes of the headers of a page of the log, and of the first page of a segment, bytes. */
const pageHeader = 24n
const segmentHeader = 40n

/**
 * Where the last record ends. An insert position is where the next one would begin: behind the
 * header, when the last one has filled its page, and no standby gets there before there is a next.
 * Sizes that are not told (NaN) change nothing.
 */
function endOfRecords(inserted: Lsn, blockBytes: number, segmentBytes: number): Lsn {
  if (!(blockBytes > 0 && segmentBytes > 0)) return inserted
  if (inserted % BigInt(segmentBytes) === segmentHeader) return inserted - segmentHeader
  const isPageStart = inserted % BigInt(blockBytes) === pageHeader
  return isPageStart ? inserted - pageHeader : inserted
}

/** The first eight hexadecimal digits of a WAL file's name (documentation, "WAL Internals"). */
export function timelineOfFile(name: string): number | null {
  return /^[0-9A-F]{24}$/.test(name) ? Number.parseInt(name.slice(0, 8), 16) : null
}
