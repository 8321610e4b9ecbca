/** Retries that are always possible, whatever the traffic: a node takes all it has with it. */
const reserve = 1_000

/**
 * Bounds what is run again to a share of what is run: when everything fails, retries must not double
 * the load. A bucket that every request fills a little and every retry takes one from.
 */
export class RetryBudget {
  readonly #share: number
  #tokens = reserve
  #seen = 0

  /** `share`: retries per request, 0 to 1. */
  constructor(share: number) {
    this.#share = share
  }

  /** May one request be run again? `requests`: how many there were in all. */
  take(requests: number): boolean {
    this.#tokens = Math.min(reserve, this.#tokens + (requests - this.#seen) * this.#share)
    this.#seen = requests
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
