import { describe, expect, it } from 'vitest'
import { Collecting } from '../../../src/client/collecting.ts'
import { LastRoute } from '../../../src/client/last-route.ts'
import type { Request } from '../../../src/client/request.ts'

const segment = {} as Request
const other = {} as Request

describe('the segment that a session collects', () => {
  it('is one from its first message to its Sync', () => {
    const collecting = new Collecting()
    expect([collecting.segment, collecting.isSkipping]).toEqual([null, false])
    expect(collecting.begin(segment)).toBe(segment)
    collecting.endOf(other)
    expect(collecting.segment).toBe(segment)
    collecting.endOf(segment)
    expect(collecting.segment).toBeNull()
    collecting.begin(segment)
    collecting.end()
    expect(collecting.segment).toBeNull()
  })

  it('is dropped up to Sync when it fails here, and stays when its server skips', () => {
    const collecting = new Collecting()
    collecting.begin(segment)
    collecting.skip()
    expect([collecting.segment, collecting.isSkipping]).toEqual([segment, true])
    collecting.stopSkipping()
    expect([collecting.segment, collecting.isSkipping]).toEqual([segment, false])
    collecting.fail()
    expect([collecting.segment, collecting.isSkipping]).toEqual([null, true])
  })
})

describe('the last route of a session', () => {
  it('is where its statement went, and why, with what of its hint was not understood', () => {
    const route = new LastRoute()
    expect([route.node, route.text]).toEqual([null, 'nothing has run yet'])
    route.choose('proved read-only', null)
    expect(route.text).toBe('proved read-only')
    route.goTo('r1')
    expect([route.node, route.text]).toEqual(['r1', 'r1: proved read-only'])
    route.amend((why) => `${why}, but …`)
    expect(route.text).toBe('r1: proved read-only, but …')
    const hint = {
      route: null,
      maxLagMs: null,
      unread: 'nonsense',
      consistency: null,
      commitVisible: null,
    } as const
    route.choose('proved read-only', hint)
    expect(route.text).toMatch(/^r1: proved read-only.+nonsense/)
  })
})
