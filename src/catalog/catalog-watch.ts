/**
 * Keeps one database's sets up to date: loads them from the primary, polls cheaply for changes, and
 * takes them away at once when DDL passed through pgsplit, until they have been read again.
 */
import type { CatalogSets } from '../sql/catalog-sets.ts'
import type { Queryable } from './catalog-rows.ts'
import { type Changes, loadCatalog, prepareConnection, probeChanges } from './load-catalog.ts'

export interface CatalogConnection extends Queryable {
  end(): void
}

/** The part of the timers that is needed; injected in tests. */
export interface WatchTimers {
  setTimeout(callback: () => void, ms: number): unknown
  clearTimeout(handle: unknown): void
}

export interface CatalogWatchOptions {
  /** Connects to the primary's database, with the monitor's credential. */
  readonly open: () => Promise<CatalogConnection>
  /** New sets, or null: what was given before must not be used any longer. */
  readonly onCatalog: (sets: CatalogSets | null) => void
  /** What later sessions start with has changed (ALTER ROLE … SET, a reload). */
  readonly onDefaults?: () => void
  /** A failed attempt; the next one follows by itself. */
  readonly onError?: (error: Error) => void
  /** Time between two looks for changes made elsewhere, ms. Default 1000. */
  readonly pollMs?: number
  /** Longest wait for a connection or an answer, ms. Default 15000. */
  readonly timeoutMs?: number
  /** Wait after `invalidate`, so that a series of DDL is read once, ms. Default 20. */
  readonly settleMs?: number
  readonly timers?: WatchTimers
  /** Monotonic, ms. */
  readonly nowMs?: () => number
}

const REAL_TIMERS: WatchTimers = {
  setTimeout: (callback, ms) => setTimeout(callback, ms).unref(),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
}

/** Longest pause between two readings while DDL goes on, ms. */
const MAX_SETTLE_MS = 2_000

/** Longest pause after failed attempts, in polls. */
const MAX_BACKOFF = 10

/**
 * While the primary can't be reached the last sets stay in use: nothing can change them through a
 * primary that is down, and reads go on at the replicas.
 */
export class CatalogWatch {
  readonly #open: () => Promise<CatalogConnection>
  readonly #onCatalog: (sets: CatalogSets | null) => void
  readonly #onDefaults: () => void
  readonly #onError: (error: Error) => void
  readonly #pollMs: number
  readonly #timeoutMs: number
  readonly #settleMs: number
  readonly #timers: WatchTimers
  readonly #nowMs: () => number
  #running: Promise<void> | null = null
  #stopping = false
  #connection: CatalogConnection | null = null
  /** Counts invalidations: what was read before the last one is worth nothing. */
  #epoch = 0
  #pending = false
  /** What the sets below were loaded from; null before the first load. */
  #state: string | null = null
  /** What sessions started with at the last look; null before the first. */
  #defaults: string | null = null
  /** When this connection's server process read its configuration. */
  #reloaded: string | null = null
  #sets: CatalogSets | null = null
  #published: CatalogSets | null = null
  #wake: (() => void) | null = null
  /** Ends the wait for a connection or an answer. */
  #interrupt: ((error: Error) => void) | null = null
  #failures = 0

  constructor(options: CatalogWatchOptions) {
    this.#open = options.open
    this.#onCatalog = options.onCatalog
    this.#onDefaults = options.onDefaults ?? (() => undefined)
    this.#onError = options.onError ?? (() => undefined)
    this.#pollMs = options.pollMs ?? 1000
    this.#timeoutMs = options.timeoutMs ?? 15_000
    this.#settleMs = options.settleMs ?? 20
    this.#timers = options.timers ?? REAL_TIMERS
    this.#nowMs = options.nowMs ?? (() => performance.now())
  }

  /** Begins to load and poll; the first sets come by `onCatalog`. */
  start(): void {
    if (this.#running !== null) return
    this.#stopping = false
    this.#running = this.#run()
  }

  /** Ends the loop and the connection. No callback follows. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#wake?.()
    this.leave()
    await this.#running
    this.#running = null
  }

  /**
   * DDL has been committed through pgsplit: the sets are withdrawn before this returns and given
   * again when they have been read anew. To be called when the DDL's completion has come from the
   * server (for DDL in a transaction block: the COMMIT's), before it is passed on to the client.
   */
  invalidate(): void {
    this.#epoch++
    this.#pending = true
    if (this.#published !== null) this.#publish(null)
    this.#wake?.()
  }

  /**
   * Closes the connection, also one that is being opened or asked; the next look opens another, by
   * then maybe to another primary.
   */
  leave(): void {
    this.#drop()
    this.#interrupt?.(new LeftError('the connection was given up'))
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const sinceMs = this.#nowMs()
      try {
        await this.#round()
        this.#failures = 0
      } catch (error) {
        this.#drop()
        if (!(error instanceof LeftError)) {
          this.#failures++
          if (!this.#stopping) this.#onError(asError(error))
        }
      }
      if (this.#stopping) break
      if (this.#pending && this.#failures === 0) {
        // Long readings in a row would hold the primary's old row versions all the while, which
        // VACUUM and CREATE INDEX CONCURRENTLY wait for.
        const tookMs = Math.min(this.#nowMs() - sinceMs, MAX_SETTLE_MS)
        await this.#sleep(Math.max(this.#settleMs, tookMs), false)
      } else await this.#sleep(this.#pauseMs(), true)
    }
    this.#drop()
  }

  #pauseMs(): number {
    return this.#pollMs * Math.min(MAX_BACKOFF, 2 ** Math.max(0, this.#failures - 1))
  }

  /** One look at the catalog; afterwards the sets are current or `#pending` is still set. */
  async #round(): Promise<void> {
    const epoch = this.#epoch
    const connection = await this.#connect()
    // Asked before the load, so that a change in between is found by the next round.
    const changes = await this.#bounded(probeChanges(connection), 'the change probe')
    const { state } = changes
    if (this.#hasNewDefaults(changes) && !this.#stopping) this.#onDefaults()
    if (state !== this.#state || this.#sets === null) {
      const sets = await this.#bounded(loadCatalog(connection), 'the catalog')
      // Loaded after a later invalidation or not: what was read is true for this state.
      this.#sets = sets
      this.#state = state
    }
    if (this.#stopping || epoch !== this.#epoch) return
    this.#pending = false
    const same = this.#published !== null && this.#published.digest === this.#sets.digest
    if (!same) this.#publish(this.#sets)
  }

  #hasNewDefaults({ defaults, reloaded }: Changes): boolean {
    const isNew =
      (this.#defaults !== null && this.#defaults !== defaults) ||
      (this.#reloaded !== null && this.#reloaded !== reloaded)
    this.#defaults = defaults
    this.#reloaded = reloaded
    return isNew
  }

  #publish(sets: CatalogSets | null): void {
    this.#published = sets
    this.#onCatalog(sets)
  }

  async #connect(): Promise<CatalogConnection> {
    if (this.#connection !== null) return this.#connection
    const opening = this.#open()
    let connection: CatalogConnection
    try {
      connection = await this.#bounded(opening, 'a connection for the catalog')
    } catch (error) {
      // It may still open after the deadline.
      opening.then(
        (late) => late.end(),
        () => undefined,
      )
      throw error
    }
    this.#connection = connection
    await this.#bounded(prepareConnection(connection), 'the settings of the catalog connection')
    return connection
  }

  #drop(): void {
    const connection = this.#connection
    this.#connection = null
    this.#reloaded = null
    if (connection !== null) connection.end()
  }

  async #bounded<T>(promise: Promise<T>, what: string): Promise<T> {
    let handle: unknown
    const deadline = new Promise<never>((_resolve, reject) => {
      this.#interrupt = reject
      handle = this.#timers.setTimeout(
        () => reject(new Error(`${what} did not come within ${this.#timeoutMs} ms`)),
        this.#timeoutMs,
      )
    })
    try {
      return await Promise.race([promise, deadline])
    } finally {
      this.#interrupt = null
      this.#timers.clearTimeout(handle)
      // The loser must not end the process as an unhandled rejection.
      promise.catch(() => undefined)
    }
  }

  /** `wakeable`: an invalidation ends the pause. */
  #sleep(ms: number, wakeable: boolean): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#timers.clearTimeout(handle)
        this.#wake = null
        resolve()
      }
      const handle = this.#timers.setTimeout(done, ms)
      this.#wake = () => {
        if (wakeable || this.#stopping) done()
      }
      // Invalidated or stopped while nobody slept.
      if (this.#stopping || (wakeable && this.#pending && this.#failures === 0)) done()
    })
  }
}

/** No failure: the connection was given up on purpose. */
class LeftError extends Error {}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
