import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { electPrimary } from '../../../src/topology/election.ts'

describe('the election of the primary', () => {
  it('gives the only claim the seat', () => {
    expect(electPrimary([{ index: 2, timeline: 3 }], null, 0)).toEqual({
      winner: 2,
      fenced: [],
      timeline: 3,
    })
  })

  it('prefers the higher timeline to the sitting primary and fences that one', () => {
    const claims = [
      { index: 0, timeline: 1 },
      { index: 1, timeline: 2 },
    ]
    expect(electPrimary(claims, 0, 1)).toEqual({
      winner: 1,
      fenced: [{ index: 0, reason: 'older-timeline' }],
      timeline: 2,
    })
  })

  it('does not seat a replaced primary that comes back alone', () => {
    expect(electPrimary([{ index: 0, timeline: 1 }], 1, 2)).toEqual({
      winner: null,
      fenced: [{ index: 0, reason: 'older-timeline' }],
      timeline: 2,
    })
  })

  it('keeps the sitting primary when two claim one timeline', () => {
    const claims = [
      { index: 0, timeline: 2 },
      { index: 1, timeline: 2 },
    ]
    expect(electPrimary(claims, 1, 2).winner).toBe(1)
    expect(electPrimary(claims, null, 2).winner).toBe(0)
    expect(electPrimary(claims, 1, 2).fenced).toEqual([{ index: 0, reason: 'second-primary' }])
  })

  it('has at most one winner, always on the highest timeline, and fences all others', () => {
    const claims = fc.uniqueArray(fc.record({ index: fc.nat(8), timeline: fc.nat(4) }), {
      selector: ({ index }) => index,
    })
    fc.assert(
      fc.property(claims, fc.option(fc.nat(8)), fc.nat(4), (given, sitting, highest) => {
        const { winner, fenced, timeline } = electPrimary(given, sitting, highest)
        expect(timeline).toBe(Math.max(highest, ...given.map((claim) => claim.timeline)))
        const seated = given.filter(({ index }) => index === winner)
        expect(seated).toHaveLength(winner === null ? 0 : 1)
        for (const claim of seated) expect(claim.timeline).toBe(timeline)
        expect(fenced).toHaveLength(given.length - seated.length)
      }),
    )
  })
})
