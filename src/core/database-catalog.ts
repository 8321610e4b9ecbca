import { type CatalogConnection, CatalogWatch } from '../catalog/catalog-watch.ts'
import { Classifier } from '../sql/classifier.ts'
import type { EventLog } from './event-log.ts'

/** The classifier of one database, fed by the live catalog of the primary. */
export class DatabaseCatalog {
  readonly database: string
  readonly classifier = new Classifier()
  /** Resolves when the catalog was looked at for the first time, whatever came of it. */
  readonly ready: Promise<void>
  readonly #watch: CatalogWatch

  /** `onDefaults`: what later sessions start with was changed, by whomever. */
  constructor(
    database: string,
    log: EventLog,
    open: () => Promise<CatalogConnection>,
    onDefaults: () => void,
  ) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.database = database
    this.ready = promise
    let digest = ''
    this.#watch = new CatalogWatch({
      open,
      onDefaults,
      onCatalog: (sets) => {
        this.classifier.setCatalog(sets)
        resolve()
        if (sets === null || sets.digest === digest) return
        digest = sets.digest
        log.info({ event: 'catalog_loaded', database, reason: 'changed' }, 'catalog loaded')
        for (const warning of sets.warnings) {
          log.warn({ event: 'catalog_warning', database, reason: 'catalog' }, warning)
        }
      },
      onError: (error) => {
        resolve()
        log.warn(
          { event: 'catalog_failed', database, reason: 'catalog', error },
          `the catalog of ${database} can't be read; what is not known goes to the primary`,
        )
      },
    })
    this.#watch.start()
  }

  /** DDL has passed or is about to: nothing is judged by the old sets any more. */
  invalidate(): void {
    this.classifier.noteChange()
    this.#watch.invalidate()
  }

  /** Closes its connection; it comes back at the next look for changes. */
  leave(): void {
    this.#watch.leave()
  }

  stop(): void {
    void this.#watch.stop()
  }
}
