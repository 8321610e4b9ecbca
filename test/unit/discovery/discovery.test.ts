import { afterEach, describe, expect, it } from 'vitest'
import { Discovery, type DiscoveryEvent } from '../../../src/discovery/discovery.ts'
import type { MemberList } from '../../../src/discovery/member.ts'
import { FakeClock, settle } from '../topology/fake-clock.ts'
import { list, member } from './lists.ts'

let running: Discovery | null = null

afterEach(async () => {
  await running?.stop()
  running = null
})

function setUp(intervalMs = 5000) {
  const clock = new FakeClock()
  const lists: MemberList[] = []
  const events: DiscoveryEvent[] = []
  const world = { answer: list([member('a')]) as MemberList | Error, reads: 0, isUrgent: false }
  const discovery = new Discovery({
    source: {
      kind: 'patroni',
      read: async () => {
        world.reads += 1
        if (world.answer instanceof Error) throw world.answer
        return world.answer
      },
      close: () => {},
    },
    intervalMs,
    isUrgent: () => world.isUrgent,
    onList: (given) => lists.push(given),
    onEvent: (event) => events.push(event),
    clock,
  })
  running = discovery
  const kinds = () => events.map(({ kind }) => kind)
  return { discovery, clock, lists, events, kinds, world }
}

describe('discovery', () => {
  it('looks at once and then at every interval', async () => {
    const { discovery, clock, lists } = setUp()
    await discovery.start()
    expect(lists).toHaveLength(1)
    await clock.advance(4999)
    expect(lists).toHaveLength(1)
    await clock.advance(10_001)
    expect(lists).toHaveLength(4)
  })

  it('tells a failure once, keeps quiet while it lasts, and tells its end', async () => {
    const { discovery, clock, lists, kinds, events, world } = setUp()
    world.answer = new Error('nobody answers')
    await discovery.start()
    await clock.advance(20_000)
    expect(lists).toEqual([])
    expect(kinds()).toEqual(['discovery-failed'])
    expect(events[0]?.detail).toBe('patroni: nobody answers; the nodes known so far stay')
    world.answer = list([member('a')])
    await clock.advance(5000)
    expect(lists.length).toBeGreaterThan(0)
    expect(kinds()).toEqual(['discovery-failed', 'discovery-recovered'])
  })

  it('tells a complaint that comes with a list, and takes the list', async () => {
    const { discovery, lists, kinds, world } = setUp()
    world.answer = list([member('a')], { complaint: 'one name fails' })
    await discovery.start()
    expect(lists).toHaveLength(1)
    expect(kinds()).toEqual(['discovery-failed'])
  })

  it('looks again soon when an answer expires or there is no primary', async () => {
    const { discovery, clock, world } = setUp(60_000)
    world.answer = list([], { validMs: 2000 })
    await discovery.start()
    await clock.advance(2000)
    expect(world.reads).toBe(2)
    world.answer = list([])
    world.isUrgent = true
    await clock.advance(2000)
    expect(world.reads).toBe(3)
    await clock.advance(3000)
    expect(world.reads).toBe(6)
  })

  it('looks at once when it is hurried, but not time and again', async () => {
    const { discovery, clock, world } = setUp(60_000)
    await discovery.start()
    await clock.advance(1000)
    discovery.hurry()
    await clock.advance(0)
    expect(world.reads).toBe(2)
    discovery.hurry()
    discovery.hurry()
    await clock.advance(499)
    expect(world.reads).toBe(2)
    await clock.advance(1)
    expect(world.reads).toBe(3)
  })

  it('tells when Patroni is paused and when no longer', async () => {
    const { discovery, clock, kinds, world } = setUp(1000)
    world.answer = list([], { isPaused: true })
    await discovery.start()
    await clock.advance(3000)
    world.answer = list([])
    await clock.advance(3000)
    expect(kinds()).toEqual(['discovery-paused', 'discovery-resumed'])
  })

  it('ends when it is stopped', async () => {
    const { discovery, clock, world } = setUp()
    await discovery.start()
    await discovery.stop()
    discovery.hurry()
    await clock.advance(60_000)
    await settle()
    expect(world.reads).toBe(1)
    expect(clock.timers).toBe(0)
  })
})
