/**
 * Keeps a replica that hovers at the limit from flapping: out above `maxLagMs`, in again only at
 * or below `resumeMs`. Unknown lag is out: what is not proved fresh is not fresh.
 */
export class LagGate {
  #maxLagMs: number
  #resumeMs: number
  #fresh = false
  #wasFresh = false

  /** @param resumeMs at most `maxLagMs`; larger values are cut to it */
  constructor(maxLagMs: number, resumeMs: number) {
    this.#maxLagMs = maxLagMs
    this.#resumeMs = Math.min(resumeMs, maxLagMs)
  }

  /** Other thresholds, from the next measurement on. */
  retune(maxLagMs: number, resumeMs: number): void {
    this.#maxLagMs = maxLagMs
    this.#resumeMs = Math.min(resumeMs, maxLagMs)
  }

  get fresh(): boolean {
    return this.#fresh
  }

  /** Judges one measurement and returns whether the verdict changed. */
  observe(lagMs: number | null): boolean {
    const before = this.#fresh
    // The first measurement ever gets the wide threshold: nothing has flapped yet.
    const limit = before || !this.#wasFresh ? this.#maxLagMs : this.#resumeMs
    this.#fresh = lagMs !== null && lagMs <= limit
    if (this.#fresh) this.#wasFresh = true
    return this.#fresh !== before
  }
}
