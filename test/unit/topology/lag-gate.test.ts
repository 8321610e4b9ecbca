import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LagGate } from '../../../src/topology/lag-gate.ts'

describe('the lag gate', () => {
  it('lets out above the limit and in again only at the lower one', () => {
    const gate = new LagGate(1000, 600)
    expect(gate.observe(900)).toBe(true)
    expect(gate.fresh).toBe(true)
    gate.observe(1001)
    expect(gate.fresh).toBe(false)
    gate.observe(900)
    expect(gate.fresh).toBe(false)
    gate.observe(600)
    expect(gate.fresh).toBe(true)
  })

  it('keeps a node with unknown lag out', () => {
    const gate = new LagGate(1000, 600)
    gate.observe(null)
    expect(gate.fresh).toBe(false)
    gate.observe(0)
    gate.observe(null)
    expect(gate.fresh).toBe(false)
  })

  it('does not flap while lag moves between the two limits', () => {
    const between = fc.array(fc.integer({ min: 601, max: 1000 }), { minLength: 1 })
    fc.assert(
      fc.property(fc.boolean(), between, (fresh, lags) => {
        const gate = new LagGate(1000, 600)
        gate.observe(0)
        if (!fresh) gate.observe(5000)
        for (const lag of lags) expect(gate.observe(lag)).toBe(false)
        expect(gate.fresh).toBe(fresh)
      }),
    )
  })

  it('never calls anything above the limit fresh', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 3000 }))), (lags) => {
        const gate = new LagGate(1000, 5000)
        for (const lag of lags) {
          gate.observe(lag)
          if (gate.fresh) expect(lag).toBeLessThanOrEqual(1000)
        }
      }),
    )
  })
})
