import type { Lsn } from '../topology/lsn.ts'

/**
 * Of a replica's catalog: `behind`: the primary's has changed since what the replica had replayed for
 * sure; `current`: it has not; `unknown`: the primary did not tell in time.
 */
export type CatalogVerdict = 'behind' | 'current' | 'unknown'

export interface CatalogAgeOptions {
  /** Asks for a look at the primary's catalog that begins after this moment; `seen` tells of it. */
  readonly look: () => void
  /** Calls back with a position of the primary that is asked for after this moment, if one comes. */
  readonly positionAfterNow: (callback: (lsn: Lsn) => void) => void
  /** What the replica has replayed at least. */
  readonly replayed: (nodeIndex: number) => Lsn
  /** Longest wait for a look, ms. Default 1000. */
  readonly timeoutMs?: number
  /** Monotonic, ms. */
  readonly nowMs?: () => number
}

interface Waiter {
  readonly sinceMs: number
  readonly nodeIndex: number
  readonly timer: NodeJS.Timeout
  readonly callback: (verdict: CatalogVerdict) => void
}

/**
 * Does an error of a replica come of what its catalog lacks? Any SQLSTATE may: a value that an enum
 * has got, a domain that was loosened, a grant, a function with a new body. So it is not the error that
 * tells, but whether the primary's catalog has changed since the replica's position. One look serves
 * all errors that came before it.
 */
export class CatalogAge {
  readonly #options: CatalogAgeOptions
  readonly #nowMs: () => number
  #state: string | null = null
  /** Counts the states that were seen. */
  #serial = 0
  /** A position of the primary at which it had what was last seen; null: not known yet. */
  #changedBy: Lsn | null = null
  #waiters: Waiter[] = []

  constructor(options: CatalogAgeOptions) {
    this.#options = options
    this.#nowMs = options.nowMs ?? (() => performance.now())
  }

  /** A look that began at `beganMs` has found the catalog in this state. */
  seen(state: string, beganMs: number): void {
    if (state !== this.#state) {
      this.#state = state
      this.#changed()
    }
    const asked = this.#waiters
    this.#waiters = asked.filter(({ sinceMs }) => sinceMs > beganMs)
    for (const waiter of asked) {
      if (waiter.sinceMs > beganMs) continue
      clearTimeout(waiter.timer)
      waiter.callback(this.isBehind(waiter.nodeIndex) ? 'behind' : 'current')
    }
  }

  /** DDL has passed through: what a look before it has seen is not the catalog any more. */
  noteChange(): void {
    this.#state = null
    this.#changed()
  }

  /** A change was seen that the replica is not known to have. */
  isBehind(nodeIndex: number): boolean {
    const { replayed } = this.#options
    if (this.#serial === 0) return false
    return this.#changedBy === null || replayed(nodeIndex) < this.#changedBy
  }

  /**
   * Calls back once, maybe before this returns: of a replica that has just answered with an error. The
   * result takes it back.
   */
  ask(nodeIndex: number, callback: (verdict: CatalogVerdict) => void): () => void {
    if (this.isBehind(nodeIndex)) {
      callback('behind')
      return () => {}
    }
    const timer = setTimeout(() => {
      this.#forget(waiter)
      callback('unknown')
    }, this.#options.timeoutMs ?? 1_000)
    timer.unref()
    const waiter: Waiter = { sinceMs: this.#nowMs(), nodeIndex, timer, callback }
    this.#waiters.push(waiter)
    this.#options.look()
    return () => this.#forget(waiter)
  }

  #forget(waiter: Waiter): void {
    clearTimeout(waiter.timer)
    this.#waiters = this.#waiters.filter((one) => one !== waiter)
  }

  #changed(): void {
    const serial = ++this.#serial
    this.#changedBy = null
    this.#options.positionAfterNow((lsn) => {
      if (serial === this.#serial) this.#changedBy = lsn
    })
  }
}
