/** Sleeps until something is due, or until it is woken because something is due sooner. */
export class Pace {
  readonly #nowMs: () => number
  #wake: (() => void) | null = null

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Resolves once `dueAtMs()` has come; asks it again whenever `wake` was called. */
  async until(dueAtMs: () => number): Promise<void> {
    for (;;) {
      const leftMs = dueAtMs() - this.#nowMs()
      if (!(leftMs > 0)) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(leftMs, 60_000))
        timer.unref()
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = null
    }
  }

  wake(): void {
    this.#wake?.()
  }
}
