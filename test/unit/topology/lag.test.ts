import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LagRing } from '../../../src/topology/lag.ts'

describe('lag against our own clock', () => {
  it('is unknown before a primary was seen', () => {
    expect(new LagRing().lagMs(100n, 0)).toBeNull()
  })

  it('is zero for a node that has replayed everything, however long the primary has idled', () => {
    const ring = new LagRing()
    ring.push(100n, 1000)
    ring.push(100n, 2000)
    expect(ring.lagMs(100n, 3_600_000)).toBe(0)
    expect(ring.size).toBe(1)
  })

  it('is the age of the oldest position that was not replayed', () => {
    const ring = new LagRing()
    ring.push(100n, 1000)
    ring.push(200n, 2000)
    ring.push(300n, 3000)
    expect(ring.lagMs(100n, 3500)).toBe(1500)
    expect(ring.lagMs(250n, 3500)).toBe(500)
    expect(ring.lagMs(300n, 3500)).toBe(0)
  })

  it('grows while a replica is cut off, also when the primary writes nothing more', () => {
    const ring = new LagRing()
    ring.push(100n, 1000)
    ring.push(200n, 2000)
    ring.push(200n, 9000)
    expect(ring.lagMs(150n, 10_000)).toBe(8000)
    expect(ring.lagMs(150n, 20_000)).toBe(18_000)
  })

  it('is unknown for a node behind the first position seen: it may be hours behind', () => {
    const ring = new LagRing()
    ring.push(100n, 1000)
    expect(ring.lagMs(99n, 1001)).toBeNull()
  })

  it('counts what was written unseen as written right after the last look', () => {
    const ring = new LagRing(5000)
    ring.push(100n, 1000)
    ring.push(100n, 2000)
    ring.push(500n, 60_000)
    expect(ring.lagMs(100n, 60_010)).toBe(58_010)
    expect(ring.lagMs(500n, 60_010)).toBe(0)
  })

  it('does not wait for a record of which only whole pages were flushed', () => {
    const ring = new LagRing(5000)
    ring.push(8000n, 0)
    for (let ms = 1000; ms <= 60_000; ms += 1000) ring.push(8192n, ms)
    expect(ring.lagMs(8000n, 60_000)).toBe(0)
    ring.push(8300n, 61_000)
    expect(ring.lagMs(8000n, 61_500)).toBe(500)
    const fresh = new LagRing()
    fresh.push(16_777_216n, 0)
    expect(fresh.lagMs(16_777_216n, 5000)).toBe(0)
  })

  it('forgets positions that a promotion has left behind', () => {
    const ring = new LagRing()
    ring.push(100n, 1000)
    ring.push(300n, 2000)
    ring.push(200n, 3000)
    expect(ring.newest).toBe(200n)
    expect(ring.lagMs(200n, 9000)).toBe(0)
  })

  it('never reports less than an unbounded ring would, and little more for recent lag', () => {
    const steps = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 1, max: 900 })),
      {
        minLength: 1,
        maxLength: 300,
      },
    )
    fc.assert(
      fc.property(steps, fc.nat(20_000), fc.integer({ min: 4, max: 16 }), (moves, at, capacity) => {
        const bounded = new LagRing(5000, capacity)
        const exact = new LagRing(5000, 1_000_000)
        let lsn = 100n
        let nowMs = 0
        for (const [bytes, ms] of moves) {
          lsn += BigInt(bytes)
          nowMs += ms
          bounded.push(lsn, nowMs)
          exact.push(lsn, nowMs)
        }
        expect(bounded.size).toBeLessThanOrEqual(capacity + 1)
        const replayed = 100n + BigInt(at)
        const truth = exact.lagMs(replayed, nowMs)
        const measured = bounded.lagMs(replayed, nowMs)
        if (truth === null) expect(measured).toBeNull()
        else expect(measured).toBeGreaterThanOrEqual(truth)
        if (truth === 0) expect(measured).toBe(0)
      }),
    )
  })

  it('never shrinks for a replica that stands still while the primary goes on', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 2, maxLength: 200 })
    fc.assert(
      fc.property(steps, (moves) => {
        const ring = new LagRing(5000, 8)
        let lsn = 100n
        let before = 0
        ring.push(lsn, 0)
        moves.forEach((bytes, i) => {
          lsn += BigInt(bytes)
          ring.push(lsn, (i + 1) * 100)
          const lag = ring.lagMs(100n, (i + 1) * 100) ?? -1
          expect(lag).toBeGreaterThanOrEqual(before)
          before = lag
        })
      }),
    )
  })
})
