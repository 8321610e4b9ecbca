import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mayTake, mostHolds, mostReads } from '../../../src/pool/claim.ts'

const size = fc.integer({ min: 1, max: 200 })
const share = fc.integer({ min: 1, max: 90 }).map((percent) => percent / 100)

describe('what is kept of a pool', () => {
  it('is a quarter for clients that are not pinned, and of that for writes, by default', () => {
    const kept = [1, 2, 3, 4, 8, 20].map((n) => [n, mostHolds(n, 0.25), mostReads(n, 0, 0.25)])
    expect(kept).toEqual([
      [1, 1, 1],
      [2, 2, 1],
      [3, 2, 2],
      [4, 2, 3],
      [8, 6, 6],
      [20, 15, 15],
    ])
    expect(mostReads(20, 15, 0.25)).toBe(4)
  })

  it('leaves room for a read and for a write from four connections on, whatever is pinned', () => {
    fc.assert(
      fc.property(size, share, (n, part) => {
        const holds = mostHolds(n, part)
        expect(holds).toBeGreaterThanOrEqual(Math.min(n, 2))
        const reads = mostReads(n, holds, part)
        if (n >= 4) {
          expect(reads).toBeGreaterThanOrEqual(1)
          expect(holds + reads).toBeLessThan(n)
        }
        if (n === 3) expect(holds).toBe(2)
        // Nothing pinned: reads and pins have their part in any pool.
        expect(mostReads(n, 0, part)).toBeGreaterThanOrEqual(1)
        expect(mayTake('work', { reads: n, holds: n }, n, part)).toBe(true)
        expect(mayTake('read', { reads, holds }, n, part)).toBe(false)
        expect(mayTake('hold', { reads: 0, holds }, n, part)).toBe(false)
      }),
    )
  })

  it('is nothing where that is wanted', () => {
    expect([mostHolds(7, 0), mostReads(7, 2, 0)]).toEqual([7, 5])
    expect(mayTake('hold', { reads: 0, holds: 7 }, 7, 0)).toBe(true)
  })
})
