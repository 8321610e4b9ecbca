import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatCausalToken,
  jointToken,
  parseCausalToken,
  watermarkOf,
} from '../../../src/routing/watermark.ts'
import { snapshotOf, view } from './fixtures.ts'

const token = fc.record({
  timeline: fc.integer({ min: 1, max: 0xffffffff }),
  lsn: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
  systemIdentifier: fc.option(fc.nat().map(String)),
})

describe('causal tokens', () => {
  it('are written as timeline/LSN and read back', () => {
    expect(formatCausalToken({ timeline: 2, lsn: 0x16b374d848n, systemIdentifier: '73' })).toBe(
      '2/16/B374D848@73',
    )
    fc.assert(
      fc.property(token, (given) => {
        expect(parseCausalToken(formatCausalToken(given))).toEqual(given)
      }),
    )
  })

  it.each([
    '',
    '1',
    '1/2',
    '0/1/2',
    '-1/1/2',
    '4294967296/1/2',
    '1/2/3/4',
    '1/x/2',
    '01/1/2',
    '1/1/2@',
    '1/1/2@x',
    '1/1/2@123456789012345678901',
    ' 1/1/2',
  ])('are not %j', (text) => {
    expect(parseCausalToken(text)).toBeNull()
  })

  it('never throw, whatever a client sends', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseCausalToken(text)
      }),
    )
  })

  it('joined promise what each of them does, also when the later timeline has the lower position', () => {
    fc.assert(
      fc.property(token, token, (a, b) => {
        const joint = jointToken(a, b)
        expect(jointToken(b, a)).toEqual(joint)
        for (const one of [a, b]) {
          expect(joint.timeline).toBeGreaterThanOrEqual(one.timeline)
          expect(joint.lsn >= one.lsn).toBe(true)
        }
      }),
    )
    // Written before the promotion at 300; seen after it on a replica that lags behind it.
    const promoted = snapshotOf([view(0)], { timeline: 2, timelineStartLsn: 300n })
    const joint = jointToken({ timeline: 1, lsn: 200n }, { timeline: 2, lsn: 100n })
    expect(watermarkOf(joint, promoted)).toBe(200n)
  })

  it('of an older timeline hold up to the switch point, beyond it only the primary will do', () => {
    const promoted = snapshotOf([view(0)], { timeline: 3, timelineStartLsn: 500n })
    expect(watermarkOf({ timeline: 3, lsn: 900n }, promoted)).toBe(900n)
    expect(watermarkOf({ timeline: 2, lsn: 500n }, promoted)).toBe(500n)
    expect(watermarkOf({ timeline: 2, lsn: 501n }, promoted)).toBeNull()
    expect(watermarkOf({ timeline: 4, lsn: 1n }, promoted)).toBeNull()
    const unwitnessed = snapshotOf([view(0)], { timeline: 3, timelineStartLsn: null })
    expect(watermarkOf({ timeline: 2, lsn: 1n }, unwitnessed)).toBeNull()
  })
})
