import type { Claim } from './claim.ts'
import type { NodePool } from './node-pool.ts'
import type { Pooled, UseMode, Waiter } from './pooled.ts'

/** How a joint wait ends: exactly one of the first three is called, once, unless it is ended before. */
export interface JointWaitEvents<C extends Pooled> {
  onConnection(connection: C): void
  /** Every pool has failed; this is the last one's error. */
  onError(error: Error): void
  /** No pool had a connection in time. */
  onTimeout(waitedMs: number): void
  /** One pool has failed; `isLast`: and so have all others, `onError` comes next. */
  onLost(pool: NodePool<C>, isLast: boolean): void
}

/**
 * Waits in several pools at once, in each one in the order of arrival there. The first connection
 * ends it; it is taken out of the other pools before anybody hears of it, so that no second one is
 * given to it. The time-out is that of the pool where it has waited longest.
 */
export class JointWait<C extends Pooled> {
  readonly #mode: UseMode
  readonly #stateKey: object
  readonly #events: JointWaitEvents<C>
  readonly #waiters = new Map<NodePool<C>, Waiter<C>>()
  #isOver = false

  constructor(mode: UseMode, stateKey: object, events: JointWaitEvents<C>) {
    this.#mode = mode
    this.#stateKey = stateKey
    this.#events = events
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Where it waits. */
  get pools(): ReadonlyMap<NodePool<C>, unknown> {
    return this.#waiters
  }

  /** Waits in this pool, too. Nothing happens where it waits already, or when it is over. */
  add(pool: NodePool<C>, claim: Claim): void {
    if (this.#isOver || this.#waiters.has(pool)) return
    const waiter: Waiter<C> = {
      mode: this.#mode,
      stateKey: this.#stateKey,
      claim,
      onConnection: (connection) => {
        this.#leave(pool)
        this.#events.onConnection(connection)
      },
      onError: (error) => {
        this.#waiters.delete(pool)
        const isLast = this.#waiters.size === 0
        if (isLast) this.#isOver = true
        this.#events.onLost(pool, isLast)
        if (isLast) this.#events.onError(error)
      },
      onTimeout: (waitedMs) => {
        this.#leave(pool)
        this.#events.onTimeout(waitedMs)
      },
    }
    this.#waiters.set(pool, waiter)
    pool.wait(waiter)
  }

  /** Waits no longer; nothing is called any more. */
  end(): void {
    this.#leave(null)
  }

  /** `done`: the pool that has taken its waiter out itself. */
  #leave(done: NodePool<C> | null): void {
    this.#isOver = true
    for (const [pool, waiter] of this.#waiters) if (pool !== done) pool.forget(waiter)
    this.#waiters.clear()
  }
}
