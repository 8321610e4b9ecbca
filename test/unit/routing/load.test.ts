import { describe, expect, it } from 'vitest'
import { LoadTable } from '../../../src/routing/load.ts'

describe('the load table', () => {
  it('counts what is in flight and never goes below zero', () => {
    const load = new LoadTable()
    load.start(3)
    load.start(3)
    load.finish(3, 1)
    expect(load.inFlight[3]).toBe(1)
    load.finish(3, Number.NaN)
    load.finish(3, 1)
    expect(load.inFlight[3]).toBe(0)
  })

  it('takes leases for load while nothing runs on them, and what runs on them not twice', () => {
    const load = new LoadTable()
    for (let i = 0; i < 3; i++) load.lease(2, 1)
    expect(load.busy(2)).toBe(3)
    load.start(2)
    expect(load.busy(2)).toBe(3)
    load.start(2, true)
    expect(load.busy(2)).toBe(4)
    load.finish(2, 1, 1, true)
    load.finish(2, 1)
    load.lease(2, -1)
    expect([load.busy(2), load.inFlight[2]]).toEqual([2, 0])
    load.reset(2)
    load.lease(2, -1)
    expect(load.busy(2)).toBe(0)
  })

  it('takes a slower answer at once and a faster one slowly', () => {
    let nowMs = 0
    const load = new LoadTable({ decayMs: 10_000, nowMs: () => nowMs })
    load.finish(1, 5)
    expect(load.latencyMs(1)).toBe(5)
    load.finish(1, 80)
    expect(load.latencyMs(1)).toBe(80)
    load.finish(1, 5)
    expect(load.latencyMs(1)).toBe(80)
    nowMs = 10_000
    load.finish(1, 5)
    expect(load.latencyMs(1)).toBeCloseTo(80 / Math.E + 5 * (1 - 1 / Math.E))
  })

  it('forgets an old peak, so that a node that was slow once is tried again', () => {
    let nowMs = 0
    const load = new LoadTable({ decayMs: 1000, nowMs: () => nowMs })
    load.finish(1, 500)
    nowMs = 10_000
    expect(load.latencyMs(1)).toBeLessThan(0.1)
    expect(load.latencyMs(2)).toBe(0)
  })
})
