/**
 * Time as the monitor sees it, injected so that tests turn the hands themselves. `nowMs` is
 * monotonic: wall clocks jump, and lag is measured with this one.
 */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes backwards. */
  nowMs(): number
  /** Calls `fn` once after at least `delayMs`, unless the returned function was called first. */
  after(delayMs: number, fn: () => void): () => void
}

/** The process's own clock. Its timers never keep the process alive. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, fn) {
    const timer = setTimeout(fn, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
