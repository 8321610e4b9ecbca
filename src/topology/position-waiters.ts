interface Waiter<Position> {
  readonly position: Position
  /** null = taken back. */
  callback: (() => void) | null
}

/**
 * Who waits for which position: each is called once, when it is reached, and nobody else is woken by
 * that. Kept in the order of positions, which is nearly the order in which they come.
 */
export class PositionWaiters<Position extends number | bigint> {
  #waiters: Waiter<Position>[] = []

  get size(): number {
    return this.#waiters.length
  }

  /** Calls back once `reached` was told this position or a higher one. The result takes that back. */
  on(position: Position, callback: () => void): () => void {
    const waiter: Waiter<Position> = { position, callback }
    const waiters = this.#waiters
    let at = waiters.length
    while (at > 0 && (waiters[at - 1] as Waiter<Position>).position > position) at--
    if (at === waiters.length) waiters.push(waiter)
    else waiters.splice(at, 0, waiter)
    return () => {
      waiter.callback = null
      const found = this.#waiters.lastIndexOf(waiter)
      if (found >= 0) this.#waiters.splice(found, 1)
    }
  }

  /** Calls all that wait for this position or a lower one, in their order. Who waits anew stays. */
  reached(position: Position): void {
    const waiters = this.#waiters
    let count = 0
    while (count < waiters.length && (waiters[count] as Waiter<Position>).position <= position) {
      count++
    }
    if (count === 0) return
    this.#waiters = waiters.slice(count)
    for (let i = 0; i < count; i++) (waiters[i] as Waiter<Position>).callback?.()
  }

  clear(): void {
    this.#waiters = []
  }
}
