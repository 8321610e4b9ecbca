import {
  type LatencyHistogram,
  latencyBuckets,
  latencyQuantiles,
} from '../metrics/latency-histogram.ts'

/** Percentiles of what histograms that only grow have taken in since the last time they were asked. */
export class RecentLatencies {
  #last = new Float64Array(latencyBuckets)
  #now = new Float64Array(latencyBuckets)
  readonly #grown = new Float64Array(latencyBuckets)

  /** In ms, for shares in ascending order; NaN: nothing came. */
  quantiles(histograms: readonly LatencyHistogram[], shares: readonly number[]): number[] {
    const now = this.#now.fill(0)
    for (const histogram of histograms) histogram.addTo(now)
    let count = 0
    for (let i = 0; i < latencyBuckets; i++) {
      // A node that left has taken its counts with it.
      const grown = Math.max(0, (now[i] as number) - (this.#last[i] as number))
      this.#grown[i] = grown
      count += grown
    }
    this.#now = this.#last
    this.#last = now
    return latencyQuantiles(this.#grown, count, shares).map((ms) => ms ?? Number.NaN)
  }
}
