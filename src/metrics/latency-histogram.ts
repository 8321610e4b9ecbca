import type { Sample } from './metric.ts'

/** Times are counted in quarters of a microsecond. */
const unitsPerMs = 4_000
/** 64 parts of each power of two: a time is known to 1/64 of itself, its middle to 1/128. */
const partBits = 6
const parts = 2 ** partBits
const maxUnits = 2 ** 31 - 1
const size = indexOf(maxUnits) + 1

/** How many buckets a histogram has: the length of what `addTo` takes. */
export const latencyBuckets = size

/** Bounds of Prometheus' buckets, in units: powers of two from 16 µs to 16.8 s, and one between two. */
const bounds = Array.from({ length: 41 }, (_, i) => (i % 2 === 0 ? 1 : 1.5) * 2 ** (6 + (i >> 1)))

/**
 * Latencies of one kind, from 0.25 µs to 9 minutes (longer ones count as that), in log-linear buckets
 * as HdrHistogram has them. Counts only grow.
 */
export class LatencyHistogram {
  /** Numbers that stay exact to 2^53: 32 bits would overflow within days. */
  readonly #counts = new Float64Array(size)
  #count = 0
  #sumMs = 0

  get count(): number {
    return this.#count
  }

  get sumMs(): number {
    return this.#sumMs
  }

  record(ms: number): void {
    const units = ms * unitsPerMs
    // Also what is no number, or a clock that went back.
    const index = units >= 1 ? indexOf(units < maxUnits ? units | 0 : maxUnits) : 0
    this.#counts[index] = (this.#counts[index] as number) + 1
    this.#count++
    if (ms > 0) this.#sumMs += ms
  }

  /** See `latencyQuantiles`. */
  quantiles(shares: readonly number[]): readonly (number | null)[] {
    return latencyQuantiles(this.#counts, this.#count, shares)
  }

  /** Adds its counts to `sum`, of `latencyBuckets` numbers. */
  addTo(sum: Float64Array): void {
    for (let i = 0; i < size; i++) sum[i] = (sum[i] as number) + (this.#counts[i] as number)
  }

  /** As Prometheus takes it, in seconds: cumulative buckets, sum and count. */
  samples(labels: Sample['labels']): Sample[] {
    const samples: Sample[] = []
    let index = 0
    let below = 0
    for (const bound of bounds) {
      for (const end = indexOf(bound); index < end; index++) below += this.#counts[index] as number
      const le = String(bound / unitsPerMs / 1000)
      samples.push({ labels: { ...labels, le }, value: below, suffix: '_bucket' })
    }
    return [
      ...samples,
      { labels: { ...labels, le: '+Inf' }, value: this.#count, suffix: '_bucket' },
      { labels, value: this.#sumMs / 1000, suffix: '_sum' },
      { labels, value: this.#count, suffix: '_count' },
    ]
  }
}

/**
 * The times, ms, that these shares of all (0 to 1, in ascending order) were not above; null: there
 * were none. Off by less than 1 %, or by 0.25 µs.
 * @param counts by bucket, as `addTo` gives them
 * @param count their sum
 */
export function latencyQuantiles(
  counts: Float64Array,
  count: number,
  shares: readonly number[],
): readonly (number | null)[] {
  let index = -1
  let below = 0
  return shares.map((share) => {
    if (count === 0) return null
    const wanted = Math.max(1, Math.ceil(share * count))
    while (below < wanted && index < size - 1) below += counts[++index] as number
    return (lowerBound(index) + lowerBound(index + 1)) / 2 / unitsPerMs
  })
}

/** Of the bucket of a whole number of units, at most `maxUnits`. */
function indexOf(units: number): number {
  if (units < parts) return units
  const shift = 31 - Math.clz32(units) - partBits
  return (shift << partBits) + (units >>> shift)
}

/** The least number of units in a bucket. */
function lowerBound(index: number): number {
  if (index < 2 * parts) return index
  const shift = (index >> partBits) - 1
  return (index - (shift << partBits)) * 2 ** shift
}
