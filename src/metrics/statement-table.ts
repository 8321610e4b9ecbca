import { createHash } from 'node:crypto'
import { LatencyHistogram } from './latency-histogram.ts'
import type { AnsweredRequest } from './request-meter.ts'

/** What is known of a statement beside how it ran: of a class, which is shared by all such texts. */
export interface StatementFacts {
  /** Without literals; absent: it is no single text of a client. */
  readonly text?: string
  /** One clause for people: why it is, or is not, a read. */
  readonly reason: string
  /** What of its function could be declared otherwise. */
  readonly volatileCall?: string
  /** The same object for as long as the class is known. */
  readonly timing: object
}

/** How one statement has run. Counters only grow; times in ms. */
export class StatementStats {
  readonly database: string
  readonly text: string
  calls = 0
  primaryCalls = 0
  primaryMs = 0
  replicaMs = 0
  rows = 0
  /** Of its answers. */
  bytes = 0
  errors = 0
  /** How often it was run again elsewhere. */
  retries = 0
  /** By word of routing: the time that it took on the primary. */
  readonly primaryMsBy = new Map<string, number>()
  readonly served = new LatencyHistogram()
  /** As it was judged last. */
  reason = ''
  volatileCall: string | null = null
  /** It is proved to read only: by itself it could run on a replica. */
  isRead = false
  /** Time of those that had its place before, ms: so much may be missing of its own. */
  readonly inheritedMs: number
  isGone = false
  #id: string | null = null

  constructor(database: string, text: string, inheritedMs: number) {
    this.database = database
    this.text = text
    this.inheritedMs = inheritedMs
  }

  /** The same for the same text in the same database, in any process. */
  get id(): string {
    // Whoever looks for one asks all of them.
    this.#id ??= createHash('sha256')
      .update(`${this.database}\0${this.text}`)
      .digest('hex')
      .slice(0, 16)
    return this.#id
  }

  get totalMs(): number {
    return this.primaryMs + this.replicaMs
  }

  /** What decides who stays (space-saving: never less than its true time). */
  get weightMs(): number {
    return this.inheritedMs + this.totalMs
  }

  /** Why it ran on the primary for most of the time there; null: it did not. */
  get mainWord(): string | null {
    let main: string | null = null
    let mostMs = -1
    for (const [word, ms] of this.primaryMsBy) {
      if (ms <= mostMs) continue
      main = word
      mostMs = ms
    }
    return main
  }
}

/**
 * The statements that take most time, in bounded memory: a statement that is new where all places are
 * taken gets the place, and the weight, of the one that weighs least (Metwally's space-saving). Who
 * takes more than 1/`places` of all the time is certainly in it.
 */
export class StatementTable {
  readonly #places: number
  readonly #byText = new Map<string, StatementStats>()
  /** By `timing` of its class. */
  readonly #known = new WeakMap<object, StatementStats>()

  constructor(places = 500) {
    this.#places = places
  }

  get all(): IterableIterator<StatementStats> {
    return this.#byText.values()
  }

  /** @param servedMs from when it was sent to the end of the answer */
  answered(
    database: string,
    cls: StatementFacts,
    request: AnsweredRequest & { readonly attempts: number; readonly error: object | null },
    isRead: boolean,
    onReplica: boolean,
    servedMs: number,
  ): void {
    if (cls.text === undefined || cls.text === '') return
    let stats = this.#known.get(cls.timing)
    if (stats === undefined || stats.isGone || stats.database !== database) {
      stats = this.#find(database, cls.text)
      this.#known.set(cls.timing, stats)
    }
    stats.calls++
    stats.rows += request.trace.rows
    stats.bytes += request.answerBytes
    stats.retries += request.attempts
    if (request.error !== null) stats.errors++
    stats.served.record(servedMs)
    stats.reason = cls.reason
    stats.isRead = isRead
    stats.volatileCall = cls.volatileCall ?? null
    if (onReplica) {
      stats.replicaMs += servedMs
      return
    }
    const { why } = request.trace
    stats.primaryCalls++
    stats.primaryMs += servedMs
    stats.primaryMsBy.set(why, (stats.primaryMsBy.get(why) ?? 0) + servedMs)
  }

  #find(database: string, text: string): StatementStats {
    const key = `${database}\0${text}`
    const found = this.#byText.get(key)
    if (found !== undefined) return found
    const inheritedMs = this.#byText.size < this.#places ? 0 : this.#dropLightest()
    const stats = new StatementStats(database, text, inheritedMs)
    this.#byText.set(key, stats)
    return stats
  }

  #dropLightest(): number {
    let lightest: StatementStats | null = null
    for (const stats of this.#byText.values()) {
      if (lightest === null || stats.weightMs < lightest.weightMs) lightest = stats
    }
    if (lightest === null) return 0
    lightest.isGone = true
    this.#byText.delete(`${lightest.database}\0${lightest.text}`)
    return lightest.weightMs
  }
}
