import { type CatalogConnection, CatalogWatch } from '../catalog/catalog-watch.ts'
import { CatalogAge, type CatalogAgeOptions } from '../routing/catalog-age.ts'
import type { CatalogSets } from '../sql/catalog-sets.ts'
import { Classifier } from '../sql/classifier.ts'
import { hasLostProofs } from '../sql/lost-proofs.ts'
import { type Touched, touchesAnything } from '../sql/touched-names.ts'
import type { EventLog } from './event-log.ts'

/** How long a catalog that nobody needs any more is watched on, ms. */
const idleAfterMs = 5_000
/** How long a statement that a replica refused goes to the primary, at least, ms; twice that at most. */
const learnedForMs = 300_000

export interface DatabaseCatalogOptions {
  readonly database: string
  readonly log: EventLog
  readonly open: () => Promise<CatalogConnection>
  /** What later sessions start with was changed, by whomever. */
  readonly onDefaults: () => void
  /** Something that was proved to read only is not any more. */
  readonly onLostProofs: () => void
  /** Where replicas are read from: of them, and of the primary's position. */
  readonly positionAfterNow?: CatalogAgeOptions['positionAfterNow']
  readonly replayed?: CatalogAgeOptions['replayed']
  /** Whether one catalog more may be watched now. */
  readonly mayWatch: () => boolean
}

/**
 * The classifier of one database, fed by the live catalog of the primary, or of what stands for it,
 * for as long as somebody holds it. A catalog that nobody holds has no connection and proves nothing.
 */
export class DatabaseCatalog {
  readonly database: string
  readonly classifier = new Classifier()
  readonly age: CatalogAge
  /** How many have this object at hand, whether they hold the catalog or not. */
  users = 0
  readonly #watch: CatalogWatch
  readonly #mayWatch: () => boolean
  #sets: CatalogSets | null = null
  #doubted: ReadonlySet<string> | null = null
  #apart: ReadonlySet<string> = new Set()
  /** The sets with what is apart. */
  #leveled: { readonly of: CatalogSets; readonly sets: CatalogSets } | null = null
  #holders = 0
  #isAwake = false
  #idleTimer: NodeJS.Timeout | null = null
  #forgetting: NodeJS.Timeout | null = null
  #stopping: Promise<void> = Promise.resolve()
  #ready = Promise.withResolvers<void>()

  constructor(options: DatabaseCatalogOptions) {
    const { database, log, open, onDefaults, onLostProofs, mayWatch } = options
    this.database = database
    this.#mayWatch = mayWatch
    this.age = new CatalogAge({
      look: () => this.#watch.look(),
      positionAfterNow: options.positionAfterNow ?? (() => undefined),
      replayed: options.replayed ?? (() => 0n),
    })
    let last: CatalogSets | null = null
    let told = ''
    this.#watch = new CatalogWatch({
      open,
      onDefaults,
      onLook: (state, beganMs) => this.age.seen(state, beganMs),
      uses: () => this.classifier.replicaReads,
      onCatalog: (sets, doubted) => {
        this.#sets = sets
        this.#doubted = doubted
        this.#publish()
        if (sets === null) return
        told = ''
        this.#ready.resolve()
        if (sets.digest === last?.digest) return
        if (last !== null && hasLostProofs(last, sets)) onLostProofs()
        last = sets
        log.info({ event: 'catalog_loaded', database, reason: 'changed' }, 'catalog loaded')
        for (const warning of sets.warnings) {
          log.warn({ event: 'catalog_warning', database, reason: 'catalog' }, warning)
        }
      },
      onError: (error) => {
        this.#ready.resolve()
        // Once, not with every attempt.
        if (error.message === told) return
        told = error.message
        log.warn(
          { event: 'catalog_failed', database, reason: 'catalog', error },
          `the catalog of ${database} can't be read; what is not known goes to the primary`,
        )
      },
    })
  }

  /** Resolves when the catalog was looked at since it is held, whatever came of it. */
  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** It has, or is about to have, a connection. */
  get isAwake(): boolean {
    return this.#isAwake
  }

  /** See `CatalogWatch`; null also while it is not watched. */
  get currentAtMs(): number | null {
    return this.#isAwake ? this.#watch.currentAtMs : null
  }

  get isHeld(): boolean {
    return this.#holders > 0
  }

  /** Keeps the catalog up to date until the function that it returns is called. */
  hold(): () => void {
    this.#holders++
    this.wake()
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#holders--
      if (this.#holders === 0 && this.#isAwake) {
        this.#idleTimer ??= setTimeout(() => this.sleep(), idleAfterMs).unref()
      }
    }
  }

  /** Begins to watch, if it is held and there is room. */
  wake(): void {
    if (this.#holders === 0) return
    this.#stopIdleTimer()
    if (this.#isAwake) return
    if (!this.#mayWatch()) {
      this.#ready.resolve()
      return
    }
    this.#isAwake = true
    this.classifier.forgetLearned()
    this.#forgetting = setInterval(() => this.classifier.forgetLearned(), learnedForMs).unref()
    this.#ready = Promise.withResolvers<void>()
    void this.#stopping.then(() => {
      if (this.#isAwake) this.#watch.start()
    })
  }

  /** Stops watching. What was proved is proved no longer. */
  sleep(): void {
    this.#stopIdleTimer()
    if (!this.#isAwake) return
    this.#isAwake = false
    if (this.#forgetting !== null) clearInterval(this.#forgetting)
    this.#watch.withdraw()
    this.#stopping = this.#stopping.then(() => this.#watch.stop())
    this.#ready.resolve()
  }

  #stopIdleTimer(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer)
    this.#idleTimer = null
  }

  /** These parameters differ from node to node: only the primary is asked for their values. */
  setApart(names: ReadonlySet<string>): void {
    this.#apart = names
    this.#leveled = null
    this.#publish()
  }

  #publish(): void {
    const sets = this.#sets
    if (sets === null || this.#apart.size === 0) {
      this.classifier.setCatalog(sets, this.#doubted)
      return
    }
    if (this.#leveled?.of !== sets) {
      const names = [...this.#apart].sort()
      const digest = `${sets.digest} ${names.join(' ')}`
      const nodeParameters = new Set([...sets.nodeParameters, ...names])
      this.#leveled = { of: sets, sets: { ...sets, digest, nodeParameters } }
    }
    this.classifier.setCatalog(this.#leveled.sets, this.#doubted)
  }

  /** DDL has passed or is about to: what it touches is judged by the old sets no more. */
  invalidate(touched: Touched): void {
    if (touchesAnything(touched)) this.classifier.noteChange()
    this.age.noteChange()
    this.#watch.invalidate(touched)
  }

  /** Another node's catalog counts from now on: it is looked at at once, if this is held. */
  renew(): void {
    if (this.isHeld) this.#watch.renew()
    else this.leave()
  }

  /** Closes its connection; it comes back at the next look for changes, if it is held. */
  leave(): void {
    this.#watch.leave()
    if (!this.isHeld) this.sleep()
  }

  stop(): void {
    this.#holders = 0
    this.sleep()
  }
}
