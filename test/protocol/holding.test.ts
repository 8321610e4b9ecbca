import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SessionLimits } from '../../src/client/cluster-access.ts'
import type { Snapshot } from '../../src/topology/snapshot.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { back, front } from '../support/scripted-messages.ts'
import { isCutShort } from '../support/turns.ts'

let cluster: ScriptedCluster
let whole: Snapshot
let waiting: Set<() => void>

function setUp(limits: Partial<SessionLimits> = {}): void {
  cluster?.close()
  cluster = new ScriptedCluster({ replicas: 1, limits: { holdMs: 60_000, ...limits } })
  whole = cluster.snapshot
  waiting = new Set()
  vi.spyOn(cluster, 'onNews').mockImplementation((callback) => {
    waiting.add(callback)
    return () => waiting.delete(callback)
  })
}

beforeEach(() => setUp())
afterEach(() => cluster.close())

function losePrimary(): void {
  cluster.snapshot = { ...whole, primary: null }
}

function findPrimary(): void {
  cluster.snapshot = whole
  for (const callback of [...waiting]) {
    waiting.delete(callback)
    callback()
  }
}

const held = (count: number) => expect.poll(() => cluster.counters.held).toBe(count)
const insert = 'INSERT INTO items VALUES (1)'

describe('a request that needs a primary while there is none', () => {
  it('is held and runs on the next one, with its BEGIN, and reads go on meanwhile', async () => {
    const client = cluster.connect()
    const begun = cluster.connect()
    const extended = cluster.connect()
    await client.query(insert)
    losePrimary()
    expect(await begun.query('BEGIN')).toBe('C BEGIN · Z T')
    begun.send(front.query(insert))
    client.send(front.query(insert), front.query('SELECT node()'))
    extended.send(front.run(insert), front.sync)
    await held(3)
    expect(await cluster.connect().query('SELECT node()')).toContain('D r1')
    expect(client.unseen + begun.unseen + extended.unseen).toBe('')
    findPrimary()
    expect(await client.ready(2)).toMatch(/^C INSERT 0 1 · Z I · T · D (r1|primary) /)
    expect(await begun.ready()).toBe('C INSERT 0 1 · Z T')
    expect(await extended.ready()).toBe('1 · 2 · C INSERT 0 1 · Z I')
    expect(await begun.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.counters.held).toBe(0)
    expect(cluster.inUse).toBe(0)
  })

  it('fails with 57P03 when its time is up, and a transaction is over with it', async () => {
    setUp({ holdMs: 30 })
    const client = cluster.connect()
    losePrimary()
    expect(await client.query(insert)).toBe('E 57P03 · Z I')
    await client.query('BEGIN')
    expect(await client.query(insert)).toBe('E 57P03 · Z E')
    expect(await client.query('SELECT 1')).toBe('E 25P02 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(cluster.counters.held).toBe(0)
  })

  it('fails at once with holdWrites 0', async () => {
    setUp({ holdMs: 0 })
    losePrimary()
    expect(await cluster.connect().query(insert)).toBe('E 57P03 · Z I')
    expect(waiting.size).toBe(0)
  })

  it('fails at once when as many as maxHeld wait already', async () => {
    setUp({ maxHeld: 2 })
    losePrimary()
    const clients = [1, 2].map(() => cluster.connect().send(front.query(insert)))
    await held(2)
    expect(await cluster.connect().query(insert)).toBe('E 57P03 · Z I')
    findPrimary()
    for (const client of clients) expect(await client.ready()).toBe('C INSERT 0 1 · Z I')
    expect(cluster.counters.held).toBe(0)
  })

  it('fails at once when what waits already takes as much memory as maxHeldBytes', async () => {
    setUp({ maxHeldBytes: 100_000 })
    losePrimary()
    const long = (bytes: number) => front.query(`INSERT INTO items VALUES ('${'x'.repeat(bytes)}')`)
    // The first one may be longer than all that may wait together.
    const first = cluster.connect().send(long(120_000))
    await held(1)
    expect(await cluster.connect().query(insert)).toBe('E 57P03 · Z I')
    findPrimary()
    expect(await first.ready()).toBe('C INSERT 0 1 · Z I')
    losePrimary()
    const clients = [1, 2].map(() => cluster.connect().send(long(45_000)))
    await held(2)
    expect(await cluster.connect().send(long(45_000)).ready()).toBe('E 57P03 · Z I')
    findPrimary()
    for (const client of clients) expect(await client.ready()).toBe('C INSERT 0 1 · Z I')
    expect(cluster.counters.heldBytes).toBe(0)
  })

  it('is answered at once where no server is needed to know the answer', async () => {
    losePrimary()
    const client = cluster.connect()
    for (const [text, answer] of [
      ['ROLLBACK', 'N 25P01 · C ROLLBACK · Z I'],
      ['ABORT', 'N 25P01 · C ROLLBACK · Z I'],
      ['COMMIT', 'N 25P01 · C COMMIT · Z I'],
      ['END', 'N 25P01 · C COMMIT · Z I'],
      ['COMMIT AND CHAIN', 'E 25P01 · Z I'],
      ['ROLLBACK AND CHAIN', 'E 25P01 · Z I'],
      ['SAVEPOINT a', 'E 25P01 · Z I'],
      ['RELEASE a', 'E 25P01 · Z I'],
      ['ROLLBACK TO a', 'E 25P01 · Z I'],
      ['SET TRANSACTION READ ONLY', 'N 25P01 · C SET · Z I'],
      ['', 'I · Z I'],
    ] as const) {
      expect(await client.query(text), text).toBe(answer)
    }
    client.send(front.parse('', 'ROLLBACK'), front.bind('', ''), front.execute(), front.sync)
    expect(await client.ready()).toBe('1 · 2 · N 25P01 · C ROLLBACK · Z I')
    client.send(front.parse('', 'SAVEPOINT a'), front.bind('', ''), front.execute(), front.sync)
    expect(await client.ready()).toBe('1 · 2 · E 25P01 · Z I')
    findPrimary()
  })

  it('is forgotten when its client cancels it, vanishes or leaves, and is never run', async () => {
    losePrimary()
    const clients = [1, 2, 3].map(() => cluster.connect().send(front.query(insert)))
    await held(3)
    clients[0]?.session.cancel()
    expect(await clients[0]?.ready()).toBe('E 57014 · Z I')
    await held(2)
    clients[1]?.vanish()
    await held(1)
    clients[2]?.send(front.terminate)
    await held(0)
    await clients[2]?.closed()
    findPrimary()
    expect(await clients[0]?.query('SELECT node()')).toContain('C SELECT 1')
    expect(cluster.servers.flatMap(({ texts }) => texts)).not.toContain(insert)
    expect(cluster.inUse).toBe(0)
  })

  it('is held when its server connection can not be had, and nobody else took over', async () => {
    cluster.refused.set(0, new Error('connect ECONNREFUSED'))
    const client = cluster.connect().send(front.query(insert))
    await held(1)
    expect(client.unseen).toBe('')
    cluster.refused.delete(0)
    findPrimary()
    expect(await client.ready()).toBe('C INSERT 0 1 · Z I')
  })

  it('does not hold more of a client than a bit of what it sends behind', async () => {
    losePrimary()
    const client = cluster.connect().send(front.query(insert))
    await held(1)
    const behind = front.query(`SELECT '${'x'.repeat(20_000)}'`)
    for (let i = 0; i < 20; i++) client.send(behind)
    await expect.poll(() => client.duplex.writableLength).toBeGreaterThan(100_000)
    findPrimary()
    await client.ready(21)
  })
})

describe('a write that a demoted primary refuses', () => {
  it('waits for the new primary and runs there', async () => {
    cluster.onNode(cluster.nodes[0], insert, () => {
      losePrimary()
      return { error: { sqlstate: '25006', message: 'cannot execute INSERT', severity: 'ERROR' } }
    })
    const client = cluster.connect().send(front.query(insert))
    await held(1)
    expect(cluster.failures).toContain('primary read-only-primary')
    const [old, next] = whole.nodes
    if (old === undefined || next === undefined) throw new Error('no nodes')
    const promoted = { ...next, role: 'primary' as const, readable: false }
    for (const node of cluster.nodes) node.isReplica = node.id === 'primary'
    whole = { ...whole, nodes: [{ ...old, role: 'replica' }, promoted], primary: promoted }
    findPrimary()
    expect(await client.ready()).toBe('C INSERT 0 1 · Z I')
    expect(cluster.server('r1').texts).toContain(insert)
  })

  it('is not run again when it is a procedure, which may have committed', async () => {
    const refusal = { sqlstate: '25006', message: 'read-only transaction', severity: 'ERROR' }
    cluster.on(/^(CALL|DO) /, () => ({ error: refusal }))
    const client = cluster.connect()
    expect(await client.query('CALL work()')).toBe('E 25006 · Z I')
    expect(await client.query("DO 'BEGIN COMMIT; END'")).toBe('E 25006 · Z I')
    expect(cluster.failures).toEqual([])
  })
})

describe('a connection that goes', () => {
  it('in the middle of a transaction that was sent ahead with its COMMIT leaves its end open', async () => {
    cluster.on('DELETE FROM items', () => ({ die: true }))
    const client = cluster.connect()
    await client.query('BEGIN')
    await client.query(insert)
    client.send(front.query('DELETE FROM items'), front.query('COMMIT'))
    expect(await client.ready(2)).toBe('E 08007 · Z E · E 08007 · Z I')
    expect(await client.query('SELECT node()')).toContain('C SELECT 1')
  })

  it('while a setting is brought back in a transaction ends the transaction', async () => {
    const client = cluster.connect({ settings: { datestyle: 'German' } })
    await client.query('BEGIN')
    await client.query(insert)
    await client.query('RESET datestyle')
    const { lease } = client.session
    if (lease === null) throw new Error('no lease')
    const began = lease.request.bind(lease)
    vi.spyOn(lease, 'request').mockImplementation((...given) => {
      began(...given)
      if (lease.isSyncing) lease.destroy(new Error('gone'))
    })
    expect(await client.query('DELETE FROM items')).toBe('E 08006 · Z E')
    expect(await client.query(insert)).toBe('E 25P02 · Z E')
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(cluster.servers.flatMap(({ texts }) => texts)).not.toContain('DELETE FROM items')
  })

  it('tells a pinned session what it has lost, and ends it', async () => {
    const told = (client: ReturnType<ScriptedCluster['connect']>): string =>
      Buffer.concat(client.chunks).toString()
    const idle = cluster.connect()
    await idle.query('CREATE TEMP TABLE mine (id int)')
    await idle.query('BEGIN')
    await idle.query(insert)
    for (const server of cluster.servers) server.duplex.destroy()
    expect(await idle.closed()).toBe('E 57P01')
    expect(told(idle)).toMatch(/the open transaction and what pinned it \(temporary objects\)/)
    const reading = cluster.connect()
    await reading.query('CREATE TEMP TABLE mine (id int)')
    cluster.on('SELECT node()', () => ({ die: true }))
    expect(await reading.send(front.query('SELECT node()')).closed()).toBe('E 08006')
    expect(told(reading)).toMatch(/what pinned the session \(temporary objects\) is lost with it/)
    const writing = cluster.connect()
    await writing.query('CREATE TEMP TABLE mine (id int)')
    cluster.on(insert, () => ({ die: true }))
    expect(await writing.send(front.query(insert)).closed()).toBe('E 08007')
    expect(cluster.sessions.size).toBe(0)
    expect(cluster.load.inFlight[0]).toBe(0)
  })

  it('ends a pinned session with the server’s own last word, in its words', async () => {
    const farewell = { sqlstate: '57P01', message: 'good night', severity: 'FATAL' }
    const idle = cluster.connect()
    await idle.query('CREATE TEMP TABLE mine (id int)')
    const server = cluster.server('primary')
    server.say(back.error(farewell))
    server.duplex.end()
    expect(await idle.closed()).toBe('E 57P01')
    const busy = cluster.connect()
    await busy.query('SELECT pg_advisory_lock(1)')
    cluster.on('SELECT node()', () => ({ error: farewell }))
    busy.send(front.query('SELECT node()'), front.query('SELECT node()'))
    expect(await busy.closed()).toBe('E 57P01')
    for (const { frames } of [idle, busy]) {
      expect(frames.at(-1)?.body.toString()).toMatch(/FATAL\0.*good night/)
    }
    expect(cluster.load.inFlight[0]).toBe(0)
  })

  it.skipIf(isCutShort)(
    'leaves a session that is only pinned for what it may ask later',
    async () => {
      const user = cluster.connect()
      await user.query("SELECT nextval('s')")
      await user.query("SELECT currval('s')")
      const writer = cluster.connect()
      await writer.query("SELECT nextval('s')")
      expect(writer.session.pinReason).toBe('nextval(), and this application uses currval()')
      for (const server of cluster.servers) server.duplex.destroy()
      await user.closed()
      expect(await writer.query(insert)).toBe('C INSERT 0 1 · Z I')
    },
  )

  it('ends a client of pool mode session with its own server process, and not with a replica’s', async () => {
    const client = cluster.connect({ settings: { 'pgsplit.pool_mode': 'session' } })
    await client.query('SELECT node()')
    await client.query(insert)
    expect(cluster.inUse).toBe(2)
    cluster.server('r1').die()
    await expect.poll(() => cluster.inUse).toBe(1)
    expect(await client.query('SELECT node()')).toContain('D r1')
    const server = cluster.server('primary')
    server.say(back.error({ sqlstate: '57P05', message: 'idle', severity: 'FATAL' }))
    server.duplex.end()
    expect(await client.closed()).toBe('E 57P05')
    await expect.poll(() => cluster.inUse).toBe(0)
  })
})

describe('a client that listens', () => {
  it('hears at once that its server connection is lost, and is not left to wait in silence', async () => {
    const client = cluster.connect()
    await client.query('LISTEN news')
    cluster.server('primary').die()
    expect(await client.closed()).toBe('E 57P01')
    expect(Buffer.concat(client.chunks).toString()).toContain(
      'node primary was lost, and what pinned it',
    )
    expect(cluster.sessions.size).toBe(0)
  })

  it('gets the error of what it asked, and the end', async () => {
    const client = cluster.connect()
    await client.query('LISTEN news')
    cluster.on(insert, () => ({ die: true }))
    client.send(front.query(insert))
    expect(await client.closed()).toBe('E 08007')
  })

  it('stays when it has stopped to listen', async () => {
    const client = cluster.connect()
    await client.query('LISTEN news')
    await client.query('UNLISTEN *')
    cluster.server('primary').die()
    await expect.poll(() => cluster.connections.every(({ isClosed }) => isClosed)).toBe(true)
    expect(await client.query(insert)).toBe('C INSERT 0 1 · Z I')
  })
})

describe('with all replicas out', () => {
  beforeEach(() => {
    const nodes = whole.nodes.map((node) =>
      node.role === 'replica' ? { ...node, readable: false } : node,
    )
    cluster.snapshot = { ...whole, nodes }
  })

  it('reads queue at the connections that the primary may have', async () => {
    const clients = Array.from({ length: 60 }, () => cluster.connect())
    for (let i = 0; i < 5; i++) {
      const answers = await Promise.all(clients.map((client) => client.query('SELECT node()')))
      for (const answer of answers) expect(answer).toContain('D primary')
    }
    expect(cluster.serversOf('primary').length).toBeLessThanOrEqual(5)
    expect(cluster.serversOf('r1')).toEqual([])
  })

  it('a read that got no connection in time waits for none a second time', async () => {
    cluster.close()
    cluster = new ScriptedCluster({ replicas: 0, pool: { size: 1, checkoutTimeoutMs: 50 } })
    const holder = cluster.connect()
    await holder.query(`BEGIN; ${insert}`)
    const client = cluster.connect()
    expect(await client.query('SELECT node()')).toBe('E 53300 · Z I')
    expect(cluster.counters.retries).toBe(0)
    await holder.query('COMMIT')
  })
})

describe('a retry budget that is used up', () => {
  it('leaves a failed read its error, and the client its connection', async () => {
    vi.spyOn(cluster, 'mayRetry').mockReturnValue(false)
    let fails = 2
    cluster.on('SELECT node()', () => (fails-- > 0 ? { die: true } : null))
    const client = cluster.connect()
    expect(await client.query('SELECT node()')).toBe('E 08006 · Z I')
    expect(await client.query('SELECT node()')).toBe('E 08006 · Z I')
    expect(cluster.counters.retries).toBe(0)
    expect(await client.query('SELECT node()')).toContain('C SELECT 1')
  })
})
