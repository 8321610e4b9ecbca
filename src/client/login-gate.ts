/**
 * The clients that have not authenticated yet. Past `max` the oldest makes room for the newest: who
 * means it is through in milliseconds, so connections that only sit there can't lock others out.
 */
export class LoginGate {
  max: number
  /** In order of arrival. */
  #waiting = new Set<() => void>()

  constructor(max = 5_000) {
    this.max = max
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Counts a client until the returned function is called; `evict` is called to make room. */
  enter(evict: () => void): () => void {
    while (this.#waiting.size >= this.max) {
      const [oldest] = this.#waiting
      if (oldest === undefined) break
      this.#waiting.delete(oldest)
      oldest()
    }
    // A function of its own: the same `evict` may be handed in twice.
    const entry = (): void => evict()
    this.#waiting.add(entry)
    return () => {
      this.#waiting.delete(entry)
    }
  }
}
