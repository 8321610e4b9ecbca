import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
let waiting: Set<() => void>

function setUp(pauseMs: number, maxHeld = 100): void {
  cluster?.close()
  cluster = new ScriptedCluster({ replicas: 1, limits: { pauseMs, maxHeld } })
  waiting = new Set()
  vi.spyOn(cluster, 'onNews').mockImplementation((callback) => {
    waiting.add(callback)
    return () => waiting.delete(callback)
  })
}

beforeEach(() => setUp(60_000))
afterEach(() => cluster.close())

function resume(): void {
  cluster.isPaused = false
  const callbacks = [...waiting]
  waiting.clear()
  for (const callback of callbacks) callback()
}

const held = (count: number) => expect.poll(() => cluster.counters.held).toBe(count)
const insert = 'INSERT INTO items VALUES (1)'
const read = 'SELECT node()'

describe('a pause', () => {
  it('holds what begins, reads too, and lets transactions go on to their end', async () => {
    const open = cluster.connect()
    const writer = cluster.connect()
    const reader = cluster.connect()
    await open.query('BEGIN')
    await open.query(insert)
    cluster.isPaused = true
    writer.send(front.run(insert), front.sync)
    reader.send(front.query(read))
    await held(2)
    expect(await open.query(insert)).toBe('C INSERT 0 1 · Z T')
    expect(await open.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
    open.send(front.query(read))
    await held(3)
    resume()
    expect(await writer.ready()).toBe('1 · 2 · C INSERT 0 1 · Z I')
    expect(await reader.ready()).toContain('D r1')
    expect(await open.ready()).toContain('D r1')
    expect(cluster.counters.held).toBe(0)
  })

  it('holds a pinned session between its transactions, on the connection that it keeps', async () => {
    const pinned = cluster.connect()
    await pinned.query('SELECT pg_advisory_lock(1)')
    await expect.poll(() => cluster.connections.every(({ depth }) => depth === 0)).toBe(true)
    const { inUse } = cluster
    cluster.isPaused = true
    pinned.send(front.query(read))
    await held(1)
    resume()
    expect(await pinned.ready()).toContain('D primary')
    expect(cluster.inUse).toBe(inUse)
  })

  it('tells a pinned session that has lost its connection meanwhile, and runs nothing', async () => {
    const pinned = cluster.connect()
    await pinned.query('SELECT pg_advisory_lock(1)')
    cluster.isPaused = true
    pinned.send(front.query(insert))
    await held(1)
    for (const connection of cluster.connections) connection.destroy(new Error('server is gone'))
    resume()
    expect(await pinned.closed()).toBe('E 57P01')
    expect(cluster.servers.flatMap(({ texts }) => texts)).not.toContain(insert)
  })

  it('leaves nothing of a pinned client that goes while it waits', async () => {
    const pinned = cluster.connect()
    await pinned.query('SELECT pg_advisory_lock(1)')
    cluster.isPaused = true
    pinned.send(front.query(read))
    await held(1)
    for (const session of [...cluster.sessions]) session.close()
    expect(cluster.counters.held).toBe(0)
    await expect.poll(() => cluster.inUse).toBe(0)
  })

  it('refuses who has waited too long, or who would be too many', async () => {
    setUp(30, 1)
    const pinned = cluster.connect()
    const client = cluster.connect()
    await pinned.query('SELECT pg_advisory_lock(1)')
    cluster.isPaused = true
    expect(await client.query(insert)).toBe('E 57P03 · Z I')
    expect(await pinned.query(insert)).toBe('E 57P03 · Z I')
    setUp(60_000, 1)
    const [first, second] = [cluster.connect(), cluster.connect()]
    cluster.isPaused = true
    first.send(front.query(insert))
    await held(1)
    expect(await second.query(read)).toBe('E 57P03 · Z I')
    resume()
    expect(await first.ready()).toBe('C INSERT 0 1 · Z I')
  })

  it('can be left by a CancelRequest', async () => {
    const client = cluster.connect()
    cluster.isPaused = true
    client.send(front.query(read))
    await held(1)
    for (const session of cluster.sessions) session.cancel()
    expect(await client.ready()).toBe('E 57014 · Z I')
    expect(cluster.counters.held).toBe(0)
  })
})
