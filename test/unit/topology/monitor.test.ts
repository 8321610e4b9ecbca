import { afterEach, describe, expect, it } from 'vitest'
import { Monitor } from '../../../src/topology/monitor.ts'
import type { MonitorEvent } from '../../../src/topology/monitor-event.ts'
import type { MonitorOptions } from '../../../src/topology/monitor-options.ts'
import type { NodeView } from '../../../src/topology/node.ts'
import { nodeState } from '../../../src/topology/node-state.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { coded, FakeNode, openFake, spec } from './fake-node.ts'

let running: Monitor | null = null

afterEach(async () => {
  await running?.stop()
  running = null
})

function setUp(given: Partial<MonitorOptions> = {}) {
  const nodes = [new FakeNode('primary'), new FakeNode('replica'), new FakeNode('replica')] as const
  const clock = new FakeClock()
  const events: MonitorEvent[] = []
  const monitor = new Monitor({
    nodes: nodes.map((_, index) => spec(index)),
    openProbe: openFake(nodes),
    clock,
    onEvent: (event) => events.push(event),
    ...given,
  })
  running = monitor
  const view = (index: number): NodeView => {
    const node = monitor.snapshot.nodes[index]
    if (node === undefined) throw new Error(`no node ${index}`)
    return node
  }
  const kinds = () => events.map((event) => event.kind)
  const [primary, r1, r2] = nodes
  return { primary, r1, r2, clock, events, kinds, monitor, view }
}

type Setup = ReturnType<typeof setUp>

/** Moves the primary on and the replicas with it, one probe interval. */
async function tick({ primary, clock }: Setup, replicas: readonly FakeNode[]): Promise<void> {
  primary.insertLsn += 100n
  for (const replica of replicas) replica.replayLsn = primary.insertLsn
  await clock.advance(1000)
}

describe('the monitor', () => {
  it('knows roles, lag and the primary once it has started', async () => {
    const { monitor, view } = setUp()
    expect(monitor.snapshot).toMatchObject({ version: 0, primary: null })
    await monitor.start()
    expect(monitor.snapshot.primary).toBe(view(0))
    expect(monitor.snapshot).toMatchObject({ timeline: 1, systemIdentifier: '7000000000000000001' })
    for (const index of [1, 2]) {
      expect(view(index)).toMatchObject({ role: 'replica', readable: true, fresh: true, lagMs: 0 })
    }
    expect(view(0).readable).toBe(false)
  })

  it('publishes frozen snapshots with growing versions', async () => {
    const setup = setUp()
    const versions: number[] = []
    const off = setup.monitor.onSnapshot((snapshot) => {
      versions.push(snapshot.version)
      expect(Object.isFrozen(snapshot)).toBe(true)
      expect(Object.isFrozen(snapshot.nodes)).toBe(true)
      for (const node of snapshot.nodes) {
        expect(Object.isFrozen(node)).toBe(true)
        expect(Object.isFrozen(node.spec)).toBe(true)
      }
    })
    await setup.monitor.start()
    off()
    const seen = versions.length
    await tick(setup, [setup.r1, setup.r2])
    expect(versions).toEqual([...versions].sort((a, b) => a - b))
    expect(new Set(versions).size).toBe(seen)
  })

  it('takes a stopped replica out as soon as its connection breaks', async () => {
    const { monitor, view, r1, events } = setUp()
    await monitor.start()
    r1.dial = coded('ECONNREFUSED')
    r1.cut()
    await settle()
    expect(view(1)).toMatchObject({ health: 'down', readable: false, healthReason: 'ECONNREFUSED' })
    expect(events).toContainEqual({
      kind: 'node-down',
      node: 'r1',
      reason: 'refused',
      detail: 'ECONNREFUSED',
    })
    expect(monitor.snapshot.primary).toBe(view(0))
  })

  it('takes a replica that came back in again within two probe intervals, eased in', async () => {
    const setup = setUp()
    const { monitor, view, r1, r2 } = setup
    await monitor.start()
    r1.dial = coded('ECONNREFUSED')
    r1.cut()
    await tick(setup, [r2])
    r1.dial = 'ok'
    await tick(setup, [r1, r2])
    await setup.clock.advance(200)
    expect(view(1)).toMatchObject({ health: 'up', readable: true, fresh: true })
    expect(view(1).slowStartFactor).toBeLessThan(0.5)
    for (let i = 0; i < 6; i++) await tick(setup, [r1, r2])
    expect(view(1).effectiveWeight).toBe(1)
  })

  it('takes a frozen replica out after `fall` time-outs, and the others stay on time', async () => {
    const setup = setUp({ probeTimeoutMs: 500, fall: 2 })
    const { monitor, view, r1, r2 } = setup
    await monitor.start()
    r1.answer = 'hang'
    r1.dial = 'hang'
    await tick(setup, [r2])
    await tick(setup, [r2])
    await tick(setup, [r2])
    expect(view(1)).toMatchObject({ health: 'down', healthReason: 'no answer within 500 ms' })
    expect(view(2)).toMatchObject({ health: 'up', fresh: true, lagMs: 0 })
  })

  it('keeps a node that has no connection free for the monitor, and counts its lag on', async () => {
    const setup = setUp({ maxLagMs: 5000 })
    const { monitor, view, primary, r1, r2 } = setup
    await monitor.start()
    for (const node of [primary, r1]) {
      node.dial = coded('53300', 'sorry, too many clients already')
      node.cut()
    }
    for (let i = 0; i < 5; i++) await tick(setup, [r2])
    expect(monitor.snapshot.primary).toBe(view(0))
    expect(view(1)).toMatchObject({ health: 'up', fresh: true })
    primary.dial = 'ok'
    for (let i = 0; i < 7; i++) await tick(setup, [r2])
    expect(view(1)).toMatchObject({ health: 'up', fresh: false })
    expect(view(2)).toMatchObject({ fresh: true, lagMs: 0 })
  })

  it('lets lag grow while a replica stands still, and takes it in only when it caught up', async () => {
    const setup = setUp({ maxLagMs: 3000, maxLagResumeMs: 1500 })
    const { monitor, view, r1, r2 } = setup
    await monitor.start()
    for (let i = 0; i < 3; i++) await tick(setup, [r2])
    expect(view(1)).toMatchObject({ fresh: true, readable: true, lagMs: 2000, lagBytes: 300 })
    r1.paused = true
    for (let i = 0; i < 2; i++) await tick(setup, [r2])
    expect(view(1)).toMatchObject({ fresh: false, lagMs: 4000 })
    expect(view(1).healthReason).toBe('lags 4000 ms behind, replay is paused')
    expect(setup.events.at(-1)).toMatchObject({ kind: 'node-lagging', node: 'r1', lagMs: 4000 })
    r1.replayLsn = setup.primary.insertLsn - 150n
    await setup.clock.advance(1000)
    expect(view(1)).toMatchObject({ fresh: false, lagMs: 2000 })
    r1.replayLsn = setup.primary.insertLsn
    await setup.clock.advance(1000)
    expect(view(1)).toMatchObject({ fresh: true, lagMs: 0 })
    expect(setup.kinds()).toContain('node-fresh')
  })

  it('does not take WAL that the primary has not flushed for lag', async () => {
    const { monitor, view, primary, clock } = setUp({ maxLagMs: 3000 })
    await monitor.start()
    primary.flushLsn = 1000n
    primary.insertLsn = 9000n
    await clock.advance(30_000)
    expect(view(1)).toMatchObject({ fresh: true, lagMs: 0, lagBytes: 0 })
    expect(view(0)).toMatchObject({ insertLsn: 9000n, flushLsn: 1000n })
  })

  it('does not trust a replica of which it can’t tell how far it lags', async () => {
    const { monitor, view, r1 } = setUp()
    r1.replayLsn = 500n
    await monitor.start()
    expect(view(1)).toMatchObject({ readable: true, fresh: false, lagMs: null })
  })

  it('follows a promotion and fences the old primary when that comes back', async () => {
    const setup = setUp()
    const { monitor, view, primary, r1, r2, clock, events } = setup
    await monitor.start()
    primary.dial = coded('ECONNREFUSED')
    primary.cut()
    await settle()
    expect(monitor.snapshot.primary).toBeNull()
    expect(monitor.snapshot.nodes.filter((node) => node.readable && node.fresh)).toHaveLength(2)
    r1.role = 'primary'
    r1.timeline = 2
    r1.insertLsn = 1100n
    await clock.advance(200)
    expect(monitor.snapshot.primary).toBe(view(1))
    expect(monitor.snapshot).toMatchObject({ timeline: 2, timelineStartLsn: 1000n })
    r2.timeline = 2
    r2.replayLsn = 1100n
    primary.dial = 'ok'
    await clock.advance(3000)
    expect(monitor.snapshot.primary).toBe(view(1))
    expect(view(0)).toMatchObject({ role: 'primary', readable: false })
    expect(view(0).fenced).toMatch(/former primary on timeline 1, the cluster is on 2/)
    expect(view(2)).toMatchObject({ readable: true, fresh: true })
    const changes = events.filter((event) => event.kind === 'primary-changed')
    expect(changes.map(({ from, to }) => [from, to])).toEqual([
      [null, 'primary'],
      ['primary', null],
      [null, 'r1'],
    ])
    primary.role = 'replica'
    primary.timeline = 2
    primary.replayLsn = 1100n
    await clock.advance(1000)
    expect(view(0)).toMatchObject({ fenced: null, readable: true, fresh: true })
  })

  it('reads from a replica on the old timeline only up to the promotion', async () => {
    const setup = setUp()
    const { monitor, view, primary, r1, r2, clock, events } = setup
    await monitor.start()
    primary.dial = coded('ECONNREFUSED')
    primary.cut()
    r1.role = 'primary'
    r1.timeline = 2
    await clock.advance(200)
    expect(view(2)).toMatchObject({ timeline: 1, readable: true })
    r2.replayLsn = 1001n
    await clock.advance(1000)
    expect(view(2)).toMatchObject({ readable: false })
    expect(nodeState(view(2))).toBe('strayed')
    expect(view(2).healthReason).toBe('on timeline 1, the primary is on 2')
    expect(events.filter(({ kind }) => kind === 'node-strayed')).toMatchObject([
      { node: 'r2', reason: 'other-history' },
    ])
    r2.timeline = 3
    await clock.advance(1000)
    expect(view(2).healthReason).toBe("on timeline 3, ahead of the known primary's 2")
  })

  it('keeps the sitting primary when a second one appears on its timeline, for good', async () => {
    const setup = setUp()
    const { monitor, view, primary, r1, clock } = setup
    await monitor.start()
    r1.role = 'primary'
    await clock.advance(1000)
    expect(monitor.snapshot.primary).toBe(view(0))
    expect(view(1).fenced).toMatch(/second primary/)
    primary.dial = coded('ECONNREFUSED')
    primary.cut()
    await clock.advance(2000)
    expect(monitor.snapshot.primary).toBeNull()
  })

  it('refuses a node of another cluster, whoever answers first', async () => {
    const { monitor, view, primary, r2, clock, events } = setUp()
    primary.dial = coded('ECONNREFUSED')
    r2.systemIdentifier = '6'
    r2.role = 'primary'
    await monitor.start()
    expect(monitor.snapshot.primary).toBeNull()
    expect(view(2)).toMatchObject({ readable: false })
    expect(view(2).fenced).toMatch(/another cluster \(system identifier 6/)
    primary.dial = 'ok'
    await clock.advance(2000)
    expect(monitor.snapshot.primary).toBe(view(0))
    expect(events.filter((event) => event.kind === 'node-fenced')).toHaveLength(1)
  })

  it('takes a refused node out at once and in again when a fresh connection works', async () => {
    const { monitor, view, r1 } = setUp()
    await monitor.start()
    const { dials } = r1
    monitor.reportFailure(1, 'refused', 'connection refused')
    expect(view(1)).toMatchObject({ health: 'down', healthReason: 'connection refused' })
    await settle()
    expect(r1.dials).toBe(dials + 1)
    expect(view(1)).toMatchObject({ health: 'up', slowStartFactor: 1 })
  })

  it('counts resets, and bans the replica but never the primary', async () => {
    const { monitor, view, clock, events } = setUp()
    await monitor.start()
    for (let i = 0; i < 3; i++) {
      monitor.reportFailure(0, 'reset', 'connection reset')
      monitor.reportFailure(1, 'reset', 'connection reset')
      await clock.advance(150)
    }
    expect(view(1).health).toBe('banned')
    expect(view(0).health).toBe('up')
    expect(events).toContainEqual(
      expect.objectContaining({ kind: 'node-banned', node: 'r1', forMs: 10_000 }),
    )
    await clock.advance(11_000)
    expect(view(1).health).toBe('up')
  })

  it('does not ban a replica that answers in between', async () => {
    const { monitor, view, clock } = setUp()
    await monitor.start()
    for (let i = 0; i < 9; i++) {
      monitor.reportFailure(1, 'timeout', 'no connection within 5000 ms')
      monitor.reportSuccess(1)
      await clock.advance(150)
    }
    expect(view(1).health).toBe('up')
  })

  it('sends few probes however many sessions complain', async () => {
    const { monitor, r1, clock } = setUp()
    await monitor.start()
    const { dials } = r1
    for (let i = 0; i < 1000; i++) monitor.reportFailure(1, 'refused', 'connection refused')
    await clock.advance(500)
    expect(r1.dials - dials).toBeLessThanOrEqual(3)
  })

  it('doubts a primary that refuses writes until a probe has looked, and not again and again', async () => {
    const { monitor, view, primary, clock } = setUp()
    await monitor.start()
    monitor.reportFailure(0, 'read-only-primary', 'cannot execute INSERT')
    expect(monitor.snapshot.primary).toBeNull()
    expect(view(0).role).toBe('unknown')
    await settle()
    expect(monitor.snapshot.primary).toBe(view(0))
    monitor.reportFailure(0, 'read-only-primary', 'cannot execute INSERT')
    expect(monitor.snapshot.primary).toBe(view(0))
    primary.role = 'replica'
    await clock.advance(200)
    expect(monitor.snapshot.primary).toBeNull()
    expect(view(0).role).toBe('replica')
  })

  it('drains, bans and gives back at the operator’s word', async () => {
    const { monitor, view } = setUp()
    await monitor.start()
    monitor.drain(1)
    expect(view(1)).toMatchObject({ health: 'draining', readable: false })
    monitor.undrain(1)
    expect(view(1).readable).toBe(true)
    monitor.ban(1, null)
    expect(view(1)).toMatchObject({ health: 'banned', readable: false })
    monitor.unban(1)
    await settle()
    expect(view(1)).toMatchObject({ health: 'up', readable: true })
    monitor.drain(0)
    expect(monitor.snapshot.primary).toBeNull()
  })

  it('probes after the call when asked to probe now', async () => {
    const { monitor, view, r2 } = setUp()
    await monitor.start()
    const first = monitor.probeNow(2)
    r2.replayLsn = 900n
    await monitor.probeNow(2)
    await first
    expect(view(2).replayLsn).toBe(900n)
    await monitor.probeNow()
    await monitor.probeNow(99)
  })

  it('starts although nobody answers, and finds the nodes later', async () => {
    const setup = setUp()
    const { monitor, clock, primary, r1, r2 } = setup
    for (const node of [primary, r1, r2]) node.dial = 'hang'
    const started = monitor.start()
    await clock.advance(1000)
    await started
    expect(monitor.snapshot.nodes.map(({ health }) => health)).toEqual(['down', 'down', 'down'])
    for (const node of [primary, r1, r2]) node.dial = 'ok'
    await clock.advance(5000)
    expect(monitor.snapshot.primary?.id).toBe('primary')
    expect(monitor.snapshot.nodes.filter(({ fresh }) => fresh)).toHaveLength(2)
  })

  it('takes what the most advanced standby has for fresh until there has been a primary', async () => {
    const setup = setUp()
    const { monitor, clock, primary, r1, r2, view } = setup
    primary.dial = coded('ECONNREFUSED')
    r2.replayLsn = r1.replayLsn - 50n
    await monitor.start()
    expect(monitor.snapshot.primary).toBe(null)
    expect(view(1)).toMatchObject({ readable: true, fresh: true, lagMs: 0 })
    expect(view(2)).toMatchObject({ readable: true, fresh: false, lagMs: null })
    r2.replayLsn = r1.replayLsn
    await clock.advance(1000)
    expect(view(2)).toMatchObject({ fresh: true })
    // From here on its own positions count, however far it was ahead.
    primary.insertLsn = r1.replayLsn + 1_000_000n
    primary.dial = 'ok'
    await clock.advance(5000)
    expect(monitor.snapshot.primary?.id).toBe('primary')
    expect(view(1)).toMatchObject({ fresh: false, lagMs: null })
  })

  it('leaves neither timers nor connections behind, and says no more', async () => {
    const { monitor, clock, events, primary, r1, r2 } = setUp()
    await monitor.start()
    r2.answer = 'hang'
    await clock.advance(1000)
    const told = events.length
    const { version } = monitor.snapshot
    await monitor.stop()
    await clock.advance(10_000)
    expect(clock.timers).toBe(0)
    expect([primary.open, r1.open, r2.open]).toEqual([0, 0, 0])
    expect(events).toHaveLength(told)
    monitor.reportFailure(1, 'refused', 'x')
    monitor.drain(1)
    expect(monitor.snapshot.version).toBe(version)
  })

  it('survives listeners that throw', async () => {
    const { monitor, kinds } = setUp()
    monitor.onSnapshot(() => {
      throw new Error('boom')
    })
    await monitor.start()
    expect(monitor.snapshot.primary?.id).toBe('primary')
    expect(kinds()).toContain('listener-failed')
    const deaf = setUp({
      onEvent: () => {
        throw new Error('boom')
      },
    })
    await deaf.monitor.start()
    expect(deaf.monitor.snapshot.primary?.id).toBe('primary')
    await deaf.monitor.stop()
    await monitor.stop()
  })

  it.each([
    [[], 'nodes: 0 nodes; give 1 to 31'],
    [[spec(1)], 'nodes[0]: index 1 at position 0'],
    [[spec(0), spec(1, { id: 'primary' })], "nodes[1]: the name 'primary' is taken"],
    [[spec(0, { weight: Number.NaN })], 'nodes[0].weight'],
  ])('refuses a list of nodes that can’t be watched', (nodes, message) => {
    expect(() => new Monitor({ nodes, openProbe: openFake([]) })).toThrow(message)
  })
})

describe('the timeline of a replica', () => {
  it('is not forgotten when its primary dies before the next restart point', async () => {
    const setup = setUp()
    const { primary, r1, r2, clock, monitor, view } = setup
    await monitor.start()
    // r1 is promoted; r2 follows, its control file still names timeline 1.
    primary.dial = coded('ECONNREFUSED')
    primary.answer = coded('ECONNRESET')
    primary.cut()
    r1.role = 'primary'
    r1.timeline = 2
    r1.controlTimeline = 2
    r1.insertLsn = 1200n
    r2.timeline = 2
    await clock.advance(1000)
    r2.replayLsn = r1.insertLsn
    await clock.advance(2000)
    expect(monitor.snapshot.primary?.index).toBe(1)
    expect(view(2)).toMatchObject({ readable: true, timeline: 2 })
    // Then the new primary dies, and with it r2's WAL receiver.
    r1.dial = coded('ECONNREFUSED')
    r1.answer = coded('ECONNRESET')
    r1.cut()
    r2.receiver = false
    await clock.advance(5000)
    expect(monitor.snapshot.primary).toBe(null)
    expect(view(2)).toMatchObject({ readable: true, timeline: 2 })
    // Made anew from a backup of the first primary, it is another matter.
    r2.dial = coded('ECONNREFUSED')
    r2.cut()
    await clock.advance(5000)
    r2.dial = 'ok'
    await clock.advance(5000)
    expect(view(2)).toMatchObject({ health: 'up', readable: false, timeline: 1 })
  })
})

describe('the lag of a replica', () => {
  it('stands still while there is no primary: nothing that it could replay is written', async () => {
    const setup = setUp({ maxLagMs: 2000 })
    const { primary, r1, r2, clock, monitor, view } = setup
    await monitor.start()
    await tick(setup, [r1, r2])
    // The last that was seen of the primary has reached r1, and r2 not any more.
    primary.insertLsn += 100n
    r1.replayLsn = primary.insertLsn
    await clock.advance(1000)
    primary.dial = coded('ECONNREFUSED')
    primary.answer = coded('ECONNRESET')
    primary.cut()
    await clock.advance(30_000)
    expect(monitor.snapshot.primary).toBe(null)
    expect(view(1)).toMatchObject({ readable: true, fresh: true, lagMs: 0 })
    expect(view(2)).toMatchObject({ readable: true, fresh: true })
    // With a primary it counts again.
    r1.role = 'primary'
    r1.timeline = 2
    r1.insertLsn = primary.insertLsn + 100n
    r2.timeline = 2
    await clock.advance(10_000)
    expect(view(2)).toMatchObject({ fresh: false })
  })
})
