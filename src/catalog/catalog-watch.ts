/**
 * Keeps one database's sets up to date: loads them from the primary, polls cheaply for changes, and
 * takes away at once what DDL that passed through pgsplit touches, until it has been read again. While
 * there is no primary a standby's catalog serves: it is all that reads can meet now.
 */
import type { CatalogSets } from '../sql/catalog-sets.ts'
import type { Touched } from '../sql/touched-names.ts'
import type { Queryable } from './catalog-rows.ts'
import {
  CatalogLoader,
  type Changes,
  type LoadedCatalog,
  prepareConnection,
  probeChanges,
  type WholeState,
  wholeState,
} from './load-catalog.ts'

export interface CatalogConnection extends Queryable {
  /** A standby's, in the place of a primary that isn't there. Default false. */
  readonly isStandby?: boolean
  end(): void
}

/** The part of the timers that is needed; injected in tests. */
export interface WatchTimers {
  setTimeout(callback: () => void, ms: number): unknown
  clearTimeout(handle: unknown): void
}

export interface CatalogWatchOptions {
  /** Connects to the database at the primary or what stands for it, with the monitor's credential. */
  readonly open: () => Promise<CatalogConnection>
  /**
   * New sets, or null: what was given before must not be used any longer. What they say of names
   * in `doubted` is worth nothing.
   */
  readonly onCatalog: (sets: CatalogSets | null, doubted: ReadonlySet<string> | null) => void
  /** What later sessions start with has changed (ALTER ROLE … SET, a reload). */
  readonly onDefaults?: () => void
  /** `look` was asked for: the state of all that reads depend on, and when the look began, ms. */
  readonly onLook?: (state: string, beganMs: number) => void
  /** A failed attempt; the next one follows by itself. */
  readonly onError?: (error: Error) => void
  /** Time between two looks for changes made elsewhere, ms. Default 1000. */
  readonly pollMs?: number
  /** The same while `uses` grows, ms. Default 100. */
  readonly busyPollMs?: number
  /** How many reads have run by the sets so far. */
  readonly uses?: () => number
  /** Longest wait for a connection or an answer, ms. Default 15000. */
  readonly timeoutMs?: number
  /** Wait after `invalidate`, so that DDL has ended and a series of it is read once, ms. Default 20. */
  readonly settleMs?: number
  readonly timers?: WatchTimers
  /** Monotonic, ms. */
  readonly nowMs?: () => number
}

const REAL_TIMERS: WatchTimers = {
  setTimeout: (callback, ms) => setTimeout(callback, ms).unref(),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
}

/** Longest time that the old sets are in use while changes made elsewhere are read, ms. */
const GRACE_MS = 50

/** A look may take this part of the time between two, however large the catalog. */
const MAX_SHARE = 0.25

/** Longest pause between two looks that errors wait for, ms. */
const MAX_REST_MS = 250

/** Longest pause between two readings while DDL goes on, ms. */
const MAX_SETTLE_MS = 2_000

/** Longest pause after failed attempts, in polls. */
const MAX_BACKOFF = 10

/** While no server can be reached the last sets stay in use: nothing can change them through one. */
export class CatalogWatch {
  readonly #open: () => Promise<CatalogConnection>
  readonly #onCatalog: CatalogWatchOptions['onCatalog']
  readonly #onDefaults: () => void
  readonly #onLook: (state: string, beganMs: number) => void
  readonly #onError: (error: Error) => void
  readonly #pollMs: number
  readonly #busyPollMs: number
  readonly #uses: (() => number) | null
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
  /** Names that DDL has touched, and all at once, with the epochs of it, since the last load. */
  readonly #touched = new Map<string, number>()
  #touchedAll = 0
  /** All DDL up to this epoch was read again, at a primary: a standby may lack some of it. */
  #confirmed = 0
  /** The sets of looks before this epoch are nobody's any more. */
  #withdrawn = 0
  /** Of the last look on this connection. */
  #changes: Changes | null = null
  #tookMs = 0
  #isLookWanted = false
  /** The pause behind the last reading was for what came meanwhile. */
  #hasRested = false
  /** Another server is to be looked at, now. */
  #isRenewed = false
  /** Of the last such look on this connection; when it ended, and how long it took. */
  #whole: WholeState | null = null
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #lookTookMs = 0
  /** The next change is one that touches nothing, and needs no hurry. */
  #isExpected = false
  /** When the last look began that took nothing for unchanged. */
  #fullAtMs = Number.NEGATIVE_INFINITY
  #usesSeen = 0
  readonly #loader = new CatalogLoader()
  /** What sessions started with at the last look; null before the first. */
  #defaults: string | null = null
  /** When this connection's server process read its configuration. */
  #reloaded: string | null = null
  #loaded: LoadedCatalog | null = null
  #published: CatalogSets | null = null
  #doubted: ReadonlySet<string> | null = null
  #wake: (() => void) | null = null
  /** Ends the wait for a connection or an answer. */
  #interrupt: ((error: Error) => void) | null = null
  #failures = 0
  #currentAtMs: number | null = null

  constructor(options: CatalogWatchOptions) {
    this.#open = options.open
    this.#onCatalog = options.onCatalog
    this.#onDefaults = options.onDefaults ?? (() => undefined)
    this.#onLook = options.onLook ?? (() => undefined)
    this.#onError = options.onError ?? (() => undefined)
    this.#pollMs = options.pollMs ?? 1000
    this.#busyPollMs = options.busyPollMs ?? 100
    this.#uses = options.uses ?? null
    this.#timeoutMs = options.timeoutMs ?? 15_000
    this.#settleMs = options.settleMs ?? 20
    this.#timers = options.timers ?? REAL_TIMERS
    this.#nowMs = options.nowMs ?? (() => performance.now())
  }

  /** The catalog was as the sets say at this moment, at least; null: it was not read yet. Monotonic, ms. */
  get currentAtMs(): number | null {
    return this.#currentAtMs
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
   * DDL has been committed through pgsplit: what it touches, and what depends on that, is withdrawn
   * before this returns and given again when it has been read anew. To be called when the DDL's
   * completion has come from the server (for DDL in a transaction block: the COMMIT's), before it is
   * passed on to the client.
   */
  invalidate(touched: Touched = null): void {
    if (touched !== null && touched.length === 0) {
      this.#isExpected = true
      return
    }
    this.#epoch++
    this.#pending = true
    if (touched === null) this.#touchedAll = this.#epoch
    let isNew = touched === null
    for (const name of touched ?? []) {
      isNew ||= !this.#touched.has(name)
      this.#touched.set(name, this.#epoch)
    }
    if (isNew && this.#published !== null) {
      const doubted = touched === null ? null : this.#dependents()
      if (doubted === null) this.#publish(null, null)
      else this.#publish(this.#published, doubted)
    }
    this.#wake?.()
  }

  /** Nobody needs the sets for now; they come again when this is started anew. */
  withdraw(): void {
    this.#withdrawn = ++this.#epoch
    this.#publish(null, null)
  }

  /** Asks for a look that begins after this moment; `onLook` tells of it, if it succeeds. */
  look(): void {
    this.#isLookWanted = true
    if (this.#failures === 0) this.#wake?.()
  }

  async #lookAtAll(): Promise<void> {
    const restMs = this.#lookedAtMs + this.#lookTookMs / MAX_SHARE - this.#nowMs()
    if (restMs > 0) await this.#sleep(Math.min(restMs, MAX_REST_MS), false)
    if (this.#stopping) return
    const connection = await this.#connect()
    const beganMs = this.#nowMs()
    this.#isLookWanted = false
    // It can't tell what the primary has beyond it.
    if (connection.isStandby === true) return
    const whole = await this.#bounded(wholeState(connection, this.#whole), 'a look at the catalog')
    this.#lookedAtMs = this.#nowMs()
    this.#lookTookMs = this.#lookedAtMs - beganMs
    if (this.#connection === connection) this.#whole = whole
    if (!this.#stopping) this.#onLook(whole.state, beganMs)
  }

  /** All that depends on what was touched since the last load; null: nothing is known to be left. */
  #dependents(): ReadonlySet<string> | null {
    return this.#loaded?.dependents.of(this.#touched.keys()) ?? null
  }

  /**
   * Closes the connection, also one that is being opened or asked; the next look opens another, by
   * then maybe to another primary.
   */
  leave(): void {
    this.#drop()
    this.#interrupt?.(new LeftError('the connection was given up'))
  }

  /** The same, as another server is to be read from now on: the next look is at once. */
  renew(): void {
    this.leave()
    this.#failures = 0
    this.#isRenewed = true
    this.#wake?.()
  }

  get #isAsked(): boolean {
    return this.#pending || this.#isLookWanted || this.#isRenewed
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      // It may not have ended yet, and others follow: one reading for all of them.
      if (this.#pending && !this.#hasRested) await this.#sleep(this.#settleMs, false)
      this.#hasRested = false
      if (this.#stopping) break
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
        this.#hasRested = true
      } else await this.#pause()
    }
    this.#drop()
  }

  /** Up to the next poll, or to the end of the step in which a read has run. */
  async #pause(): Promise<void> {
    if (this.#failures > 0 || this.#uses === null) {
      const times = Math.min(MAX_BACKOFF, 2 ** Math.max(0, this.#failures - 1))
      await this.#sleep(this.#pollMs * times, true)
      return
    }
    const stepMs = Math.min(this.#pollMs, Math.max(this.#busyPollMs, this.#tookMs / MAX_SHARE))
    for (let leftMs = this.#pollMs; leftMs > 0; leftMs -= stepMs) {
      await this.#sleep(stepMs, true)
      const uses = this.#uses()
      if (uses !== this.#usesSeen || this.#isAsked || this.#stopping) {
        this.#usesSeen = uses
        return
      }
    }
  }

  /** One look at the catalog; afterwards the sets are current or `#pending` is still set. */
  async #round(): Promise<void> {
    this.#isRenewed = false
    if (this.#isLookWanted) await this.#lookAtAll()
    if (this.#stopping) return
    const epoch = this.#epoch
    const connection = await this.#connect()
    // Asked before the load, so that a change in between is found by the next round.
    const startedMs = this.#nowMs()
    const isBrief = !this.#pending && startedMs < this.#fullAtMs + this.#pollMs
    if (!isBrief) this.#fullAtMs = startedMs
    const isStandby = connection.isStandby === true
    const probing = probeChanges(connection, { last: this.#changes, isBrief, isStandby })
    const changes = await this.#bounded(probing, 'the change probe')
    this.#tookMs = this.#nowMs() - startedMs
    if (this.#connection === connection) this.#changes = changes
    // A standby counts for itself what was deleted, and reloads its own configuration.
    if (!isStandby && this.#hasNewDefaults(changes) && !this.#stopping) this.#onDefaults()
    const loaded =
      changes.state === this.#loaded?.state ? this.#loaded : await this.#load(connection, changes)
    if (this.#stopping) return
    this.#settle(loaded, epoch, isStandby)
    if (!this.#pending && !isStandby) this.#currentAtMs = startedMs
  }

  async #load(connection: CatalogConnection, changes: Changes): Promise<LoadedCatalog> {
    // Somebody else has changed something: if that takes long to read, it may be anything till then.
    const isUnseen = !this.#pending && !this.#isExpected
    this.#isExpected = false
    const grace = this.#timers.setTimeout(() => {
      if (isUnseen && !this.#pending && !this.#stopping) this.#publish(null, null)
    }, GRACE_MS)
    try {
      const loading = this.#loader.load(connection, changes)
      // Loaded after a later invalidation or not: what was read is true for its state.
      const loaded = await this.#bounded(loading, 'the catalog')
      this.#loaded = loaded
      this.#changes = this.#connection === connection ? { ...changes, state: loaded.state } : null
      return loaded
    } finally {
      this.#timers.clearTimeout(grace)
    }
  }

  /** `loaded` has all that was done up to `epoch`, if it is a primary's. */
  #settle(loaded: LoadedCatalog, epoch: number, isStandby: boolean): void {
    if (!isStandby) {
      this.#confirmed = epoch
      for (const [name, touchedAt] of this.#touched) {
        if (touchedAt <= epoch) this.#touched.delete(name)
      }
    }
    this.#pending = epoch !== this.#epoch
    if (this.#touchedAll > this.#confirmed || this.#withdrawn > epoch) return
    const doubted = this.#touched.size === 0 ? null : this.#dependents()
    if (this.#touched.size > 0 && doubted === null) {
      this.#publish(null, null)
      return
    }
    const isSame =
      this.#published?.digest === loaded.sets.digest && doubted === null && this.#doubted === null
    if (!isSame) this.#publish(loaded.sets, doubted)
  }

  #hasNewDefaults({ defaults, reloaded }: Changes): boolean {
    const isNew =
      (this.#defaults !== null && this.#defaults !== defaults) ||
      (this.#reloaded !== null && this.#reloaded !== reloaded)
    this.#defaults = defaults
    this.#reloaded = reloaded
    return isNew
  }

  #publish(sets: CatalogSets | null, doubted: ReadonlySet<string> | null): void {
    if (sets === null && this.#published === null) return
    this.#published = sets
    this.#doubted = doubted
    this.#onCatalog(sets, doubted)
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
    this.#changes = null
    this.#whole = null
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
      if (this.#stopping || (wakeable && this.#isAsked && this.#failures === 0)) done()
    })
  }
}

/** No failure: the connection was given up on purpose. */
class LeftError extends Error {}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
