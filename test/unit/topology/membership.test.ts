import { afterEach, describe, expect, it } from 'vitest'
import { Monitor } from '../../../src/topology/monitor.ts'
import type { MonitorEvent } from '../../../src/topology/monitor-event.ts'
import type { NodeSpec, NodeView } from '../../../src/topology/node.ts'
import { nodeAt } from '../../../src/topology/snapshot.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { coded, FakeNode, openFake, spec } from './fake-node.ts'

let running: Monitor | null = null

afterEach(async () => {
  await running?.stop()
  running = null
})

/** Nodes by index; the first `known` of them are there from the start. */
function setUp(known: number, roles: readonly ('primary' | 'replica')[]) {
  const nodes = roles.map((role) => new FakeNode(role))
  const clock = new FakeClock()
  const events: MonitorEvent[] = []
  const monitor = new Monitor({
    nodes: nodes.slice(0, known).map((_, index) => spec(index)),
    isOpen: true,
    openProbe: openFake(nodes),
    clock,
    onEvent: (event) => events.push(event),
  })
  running = monitor
  const view = (index: number): NodeView | undefined => nodeAt(monitor.snapshot, index)
  const node = (index: number): FakeNode => nodes[index] as FakeNode
  const named = (index: number, id: string, given: Partial<NodeSpec> = {}) =>
    spec(index, { id, ...given })
  const kinds = () => events.map(({ kind }) => kind)
  return { monitor, clock, events, kinds, view, node, named }
}

describe('a cluster whose nodes come and go', () => {
  it('may begin without any node', async () => {
    const { monitor, view, clock } = setUp(0, ['primary', 'replica'])
    await monitor.start()
    expect(monitor.snapshot).toMatchObject({ nodes: [], primary: null })
    monitor.add(spec(0))
    monitor.add(spec(1))
    expect(view(1)).toMatchObject({ health: 'unknown', readable: false })
    await settle()
    await clock.advance(1000)
    expect(monitor.snapshot.primary?.index).toBe(0)
    expect(view(1)).toMatchObject({ readable: true, fresh: true })
  })

  it('elects no first primary before every node that joined has been asked', async () => {
    const { monitor, node, clock } = setUp(0, ['primary', 'primary'])
    node(1).timeline = 2
    node(1).answer = 'hang'
    await monitor.start()
    monitor.add(spec(0))
    monitor.add(spec(1))
    await settle()
    expect(monitor.snapshot.primary).toBe(null)
    node(1).answer = 'ok'
    await clock.advance(3000)
    expect(monitor.snapshot.primary?.index).toBe(1)
    expect(nodeAt(monitor.snapshot, 0)?.fenced).toMatch(/former primary/)
  })

  it('gives a node that joins reads as soon as it has answered', async () => {
    const { monitor, view, kinds } = setUp(2, ['primary', 'replica', 'replica'])
    await monitor.start()
    monitor.add(spec(2))
    expect(view(2)).toMatchObject({ health: 'unknown', readable: false })
    await settle()
    expect(view(2)).toMatchObject({ health: 'up', readable: true, fresh: true })
    expect(kinds()).toContain('node-joined')
  })

  it('gives a node that leaves nothing new, and forgets it later', async () => {
    const { monitor, view, kinds, node, clock } = setUp(3, ['primary', 'replica', 'replica'])
    await monitor.start()
    monitor.leave(1, 'is no longer listed')
    expect(view(1)).toMatchObject({
      health: 'draining',
      healthReason: 'is no longer listed',
      readable: false,
      leaving: true,
    })
    const asked = node(1).questions
    await clock.advance(5000)
    expect(node(1).questions).toBe(asked)
    monitor.undrain(1)
    expect(view(1)?.readable).toBe(false)
    monitor.remove(1)
    expect(view(1)).toBe(undefined)
    expect(view(2)).toMatchObject({ id: 'r2', readable: true })
    expect(node(1).open).toBe(0)
    expect(kinds()).toEqual(expect.arrayContaining(['node-leaving', 'node-left']))
  })

  it('knows a node that is given a used index as another one', async () => {
    const { monitor, view, named } = setUp(2, ['primary', 'replica'])
    await monitor.start()
    monitor.leave(1, 'gone')
    monitor.remove(1)
    monitor.add(named(1, 'other'))
    expect(view(1)).toMatchObject({ id: 'other', health: 'unknown', lagMs: null })
    await settle()
    expect(view(1)).toMatchObject({ id: 'other', readable: true })
  })

  it('refuses a second node with an index that is taken', async () => {
    const { monitor } = setUp(2, ['primary', 'replica'])
    await monitor.start()
    expect(() => monitor.add(spec(1))).toThrow('taken')
  })

  it('elects a new primary after the old one has left', async () => {
    const { monitor, node, clock } = setUp(2, ['primary', 'replica'])
    await monitor.start()
    monitor.leave(0, 'gone')
    expect(monitor.snapshot.primary).toBe(null)
    monitor.remove(0)
    node(1).role = 'primary'
    node(1).timeline = 2
    await clock.advance(1000)
    expect(monitor.snapshot).toMatchObject({ timeline: 2, primary: { index: 1 } })
  })

  it('moves a primary to its new address without ever having none or two', async () => {
    const { monitor, node, clock, events, view } = setUp(2, ['primary', 'replica', 'primary'])
    await monitor.start()
    node(2).dial = coded('ECONNREFUSED')
    const primaries: (number | null)[] = []
    monitor.onSnapshot(({ primary }) => primaries.push(primary?.index ?? null))
    monitor.add(spec(2, { id: 'primary' }), 0)
    await clock.advance(3000)
    expect(monitor.snapshot.primary?.index).toBe(0)
    node(2).dial = 'ok'
    await clock.advance(3000)
    expect(monitor.snapshot.primary?.index).toBe(2)
    expect(view(0)).toMatchObject({ leaving: true, health: 'draining' })
    expect(primaries).not.toContain(null)
    expect(events.map(({ kind }) => kind)).not.toContain('node-fenced')
  })

  it('does not move a node to the address of another cluster', async () => {
    const { monitor, node, clock, view } = setUp(2, ['primary', 'replica', 'primary'])
    node(2).systemIdentifier = '7000000000000000009'
    await monitor.start()
    monitor.add(spec(2, { id: 'primary' }), 0)
    await clock.advance(3000)
    expect(monitor.snapshot.primary?.index).toBe(0)
    expect(view(2)?.fenced).toMatch(/another cluster/)
  })

  it('takes a new weight and zone for a node that stays', async () => {
    const { monitor, view } = setUp(2, ['primary', 'replica'])
    await monitor.start()
    monitor.respec(1, 0, 'b')
    expect(view(1)).toMatchObject({ effectiveWeight: 0, spec: { weight: 0, zone: 'b' } })
  })
})

describe('a monitor whose limits are changed while it runs', () => {
  it('probes and judges by the new ones', async () => {
    const { monitor, node, clock, view } = setUp(2, ['primary', 'replica'])
    await monitor.start()
    expect(view(1)).toMatchObject({ readable: true, fresh: true })
    const before = node(1).questions
    monitor.retune({ probeIntervalMs: 100, maxLagMs: 50, fall: 1 })
    await settle()
    await clock.advance(500)
    expect(node(1).questions - before).toBeGreaterThanOrEqual(5)
    node(1).answer = 'hang'
    monitor.retune({ probeIntervalMs: 100, probeTimeoutMs: 70, fall: 1 })
    await settle()
    await clock.advance(200)
    expect(view(1)).toMatchObject({ health: 'down' })
  })
})
