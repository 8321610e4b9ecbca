import { loadCatalog, prepareConnection, probeChanges } from '../catalog/load-catalog.ts'
import type { Queryable } from '../catalog/catalog-rows.ts'
import type { Logger } from '../log.ts'
import { Classifier } from '../sql/classifier.ts'

type WatchedConnection = Queryable & { end(): Promise<void> }

/** The classifier of one database, fed by the live catalog of the primary. */
export class DatabaseCatalog {
  readonly classifier = new Classifier()
  /** Resolves when the catalog was looked at for the first time, whatever came of it. */
  readonly ready: Promise<void>
  #isReady: () => void = () => {}
  #isStopped = false
  #wake: (() => void) | null = null
  #isStale = true

  constructor(database: string, log: Logger, open: () => Promise<WatchedConnection>) {
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve
    })
    void this.#run(database, log, open)
  }

  async #run(database: string, log: Logger, open: () => Promise<WatchedConnection>): Promise<void> {
    let connection: WatchedConnection | null = null
    let state = ''
    while (!this.#isStopped) {
      try {
        if (connection === null) {
          connection = await open()
          await prepareConnection(connection)
        }
        const now = await probeChanges(connection)
        if (now !== state || this.#isStale) {
          this.#isStale = false
          const sets = await loadCatalog(connection)
          state = now
          if (!this.#isStale) this.classifier.setCatalog(sets)
        }
      } catch (error) {
        log.warn({ event: 'catalog_failed', database, reason: 'catalog', error }, 'catalog failed')
        this.classifier.setCatalog(null)
        this.#isStale = true
        await connection?.end().catch(() => {})
        connection = null
      }
      this.#isReady()
      if (this.#isStale && connection !== null) continue
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000)
        timer.unref()
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    await connection?.end().catch(() => {})
  }

  /** DDL has passed or is about to: nothing is judged by the old sets any more. */
  invalidate(): void {
    this.#isStale = true
    this.classifier.setCatalog(null)
    this.#wake?.()
  }

  stop(): void {
    this.#isStopped = true
    this.#wake?.()
  }
}
