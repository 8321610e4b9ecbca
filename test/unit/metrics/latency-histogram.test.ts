import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LatencyHistogram } from '../../../src/metrics/latency-histogram.ts'

function histogramOf(times: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram()
  for (const ms of times) histogram.record(ms)
  return histogram
}

describe('a histogram of latencies', () => {
  it('gives any quantile within 1 % or 0.25 µs, from microseconds to minutes', () => {
    const times = fc.array(fc.double({ min: 0.001, max: 500_000, noNaN: true }), { minLength: 1 })
    const shares = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1 })
    fc.assert(
      fc.property(times, shares, (given, unsorted) => {
        const asked = unsorted.toSorted((a, b) => a - b)
        const sorted = given.toSorted((a, b) => a - b)
        const found = histogramOf(given).quantiles(asked)
        for (const [i, share] of asked.entries()) {
          const exact = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1] ?? 0
          expect(Math.abs((found[i] ?? 0) - exact)).toBeLessThanOrEqual(exact * 0.01 + 0.00025)
        }
      }),
    )
  })

  it('counts into Prometheus buckets exactly what lies below their bounds', () => {
    const times = fc.array(fc.double({ min: 0, max: 60_000, noNaN: true }))
    fc.assert(
      fc.property(times, (given) => {
        const samples = histogramOf(given).samples({ node: 'r1' })
        for (const { labels, value, suffix } of samples) {
          expect(labels.node).toBe('r1')
          if (suffix !== '_bucket') continue
          const units = (ms: number) => Math.floor(ms * 4000)
          const below = given.filter((ms) => units(ms) < Number(labels.le) * 4_000_000)
          expect(value, labels.le).toBe(labels.le === '+Inf' ? given.length : below.length)
        }
        const [sum, count] = samples.slice(-2)
        expect(sum?.value).toBeCloseTo(given.reduce((all, ms) => all + ms, 0) / 1000, 6)
        expect(count?.value).toBe(given.length)
      }),
    )
  })

  it('takes what is no time, and more than it can tell apart', () => {
    const histogram = histogramOf([-1, Number.NaN, 0, 1e9, Number.POSITIVE_INFINITY])
    expect(histogram.count).toBe(5)
    expect(histogram.quantiles([0.5, 1])).toEqual([expect.closeTo(0, 3), expect.any(Number)])
    expect(histogram.quantiles([1])[0]).toBeGreaterThan(500_000)
    expect(new LatencyHistogram().quantiles([0.5])).toEqual([null])
  })
})
