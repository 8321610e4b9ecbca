import type { Clock } from '../../../src/topology/clock.ts'

interface Timer {
  readonly dueMs: number
  readonly fn: () => void
}

/** A clock whose hands the test turns. */
export class FakeClock implements Clock {
  #nowMs = 1000
  #timers: Timer[] = []

  nowMs(): number {
    return this.#nowMs
  }

  get timers(): number {
    return this.#timers.length
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, fn }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Turns forward, running what falls due in order and letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await settle()
    for (;;) {
      const next = this.#timers
        .filter(({ dueMs }) => dueMs <= endMs)
        .sort((a, b) => a.dueMs - b.dueMs)[0]
      if (next === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#nowMs = Math.max(this.#nowMs, next.dueMs)
      next.fn()
      await settle()
    }
    this.#nowMs = endMs
    await settle()
  }

  /** Jumps without running anything: the event loop stood still. */
  stall(ms: number): void {
    this.#nowMs += ms
  }
}

/** Lets everything that only waits for promises happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 40; i++) await Promise.resolve()
}
