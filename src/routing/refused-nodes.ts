/** Longest pause of those that a user's log-in is refused at, ms: an administrator must mend it. */
export const loginPauseMs = 10_000
/** The pause behind a first refusal, ms; each further one doubles it. */
const firstPauseMs = 50

interface Refusal {
  readonly pauseMs: number
  readonly untilMs: number
  readonly why: string
}

/**
 * Nodes that have refused what a read needs there, though they answer. It runs elsewhere, and only
 * now and then one of its like tries that node again.
 */
export class RefusedNodes {
  readonly #longestPauseMs: number
  readonly #refusals: (Refusal | undefined)[] = []
  /** Nothing is held against any node from then on. */
  #untilMs = Number.NEGATIVE_INFINITY

  constructor(longestPauseMs: number) {
    this.#longestPauseMs = longestPauseMs
  }

  /** When no node is refused any more, monotonic ms. */
  get untilMs(): number {
    return this.#untilMs
  }

  /** Bit mask of the nodes that are not to be tried now. */
  at(nowMs: number): number {
    if (nowMs >= this.#untilMs) return 0
    let mask = 0
    for (const [index, refusal] of this.#refusals.entries()) {
      if (refusal !== undefined && nowMs < refusal.untilMs) mask |= 1 << index
    }
    return mask
  }

  /** True: for the first time since it was `end`ed. */
  note(nodeIndex: number, why: string, nowMs: number): boolean {
    const before = this.#refusals[nodeIndex]
    // Others that tried at the same time say nothing new.
    if (before !== undefined && nowMs < before.untilMs) return false
    const isOld = before === undefined || nowMs - before.untilMs > this.#longestPauseMs
    const pauseMs = isOld ? firstPauseMs : Math.min(this.#longestPauseMs, before.pauseMs * 2)
    const untilMs = nowMs + pauseMs
    this.#refusals[nodeIndex] = { pauseMs, untilMs, why }
    this.#untilMs = Math.max(this.#untilMs, untilMs)
    return before === undefined
  }

  /** The node has not refused it. True: it had before. */
  end(nodeIndex: number): boolean {
    const wasRefused = this.#refusals[nodeIndex] !== undefined
    if (wasRefused) this.#refusals[nodeIndex] = undefined
    return wasRefused
  }

  /** What the node says against it; null = nothing, as far as is known. */
  why(nodeIndex: number): string | null {
    return this.#refusals[nodeIndex]?.why ?? null
  }
}

/** Has the server said no to a user's log-in? Full, unreachable or going away is another matter. */
export function isLoginRefusal(sqlstate: string): boolean {
  return sqlstate !== '' && !/^(08|53|57P)/.test(sqlstate)
}
