/** Listeners that are called once, at the next news. */
export class News {
  #waiting = new Set<() => void>()

  /** Calls back once. The result takes that back. */
  onNext(callback: () => void): () => void {
    this.#waiting.add(callback)
    return () => {
      this.#waiting.delete(callback)
    }
  }

  /** Who listens again meanwhile waits for the next time. */
  tell(): void {
    if (this.#waiting.size === 0) return
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const callback of waiting) callback()
  }

  clear(): void {
    this.#waiting.clear()
  }
}
