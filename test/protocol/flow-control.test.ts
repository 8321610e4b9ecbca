import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandComplete, dataRow, readyForQuery } from '../../src/wire/backend-messages.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'
import type { ScriptedServer } from '../support/scripted-server.ts'

/** Bytes that may wait for a client before its server is stopped, and one read's worth beyond. */
const boundBytes = 600 * 1024

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster({ pipeBytes: 16 * 1024 })
})
afterEach(() => cluster.close())

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

describe('a client that does not read', () => {
  it('stops its server, and gets everything when it reads again', async () => {
    const row = ['x'.repeat(10_000)]
    cluster.on('SELECT rows(1)', () => ({
      rows: Array.from({ length: 500 }, () => row),
      tag: 'SELECT 500',
    }))
    const client = cluster.connect({ isSlow: true })
    client.send(front.query('SELECT rows(1)'))
    for (let i = 0; i < 300; i++) {
      await turn()
      expect(client.session.link.pendingBytes).toBeLessThan(boundBytes)
    }
    const { inFlight } = client.session
    expect(inFlight.length).toBe(1)
    client.read()
    expect((await client.ready()).length).toBeGreaterThan(500 * 10)
    expect(cluster.inUse).toBe(0)
  })

  it('stops being heard itself when it only sends small requests', async () => {
    const row = ['x'.repeat(9_000)]
    cluster.on('SELECT rows(1)', () => ({ rows: [row], tag: 'SELECT 1' }))
    const client = cluster.connect({ isSlow: true })
    const count = 400
    client.send(...Array.from({ length: count }, () => front.query('SELECT rows(1)')))
    for (let i = 0; i < 600; i++) {
      await turn()
      expect(client.session.link.pendingBytes).toBeLessThan(boundBytes)
    }
    expect(cluster.counters.queries).toBeLessThan(count)
    client.read()
    await client.ready(count)
    expect(cluster.inUse).toBe(0)
  })

  it('stops being heard when pgsplit itself answers', async () => {
    const client = cluster.connect({ isSlow: true })
    const count = 20_000
    client.send(...Array.from({ length: count }, () => front.query('SHOW pgsplit.route')))
    await turns(200)
    expect(client.session.link.pendingBytes).toBeLessThan(boundBytes)
    const before = client.frames.length
    client.read()
    // T D C Z each. Their texts, at every chunk, would take longer than the answers.
    await expect.poll(() => client.frames.length - before, { timeout: 20_000 }).toBe(4 * count)
  })

  it('does not leave its server connection deaf for the next user', async () => {
    cluster = new ScriptedCluster({ pool: { size: 1 }, pipeBytes: 1 << 20 })
    cluster.on('SELECT rows(1)', () => ({ hang: true }))
    const slow = cluster.connect({ isSlow: true })
    slow.send(front.query('SELECT rows(1)'))
    await expect.poll(() => cluster.servers[0]?.isPaused).toBe(true)
    const [server] = cluster.servers as [ScriptedServer]
    // All of it in one chunk: the answer is complete when the pipe to the client is full.
    server.say(
      Buffer.concat([
        dataRow(['x'.repeat(400_000)]),
        commandComplete('SELECT 1'),
        readyForQuery(0x49),
      ]),
    )
    server.isPaused = false
    await expect.poll(() => slow.session.inFlight.length).toBe(0)
    const other = cluster.connect()
    expect(await other.query('SELECT node()')).toBe('T · D r1 · C SELECT 1 · Z I')
  })

  it('that leaves frees its server', async () => {
    const row = ['x'.repeat(10_000)]
    cluster.on('SELECT rows(1)', () => ({
      rows: Array.from({ length: 500 }, () => row),
      tag: 'SELECT 500',
    }))
    const client = cluster.connect({ isSlow: true })
    client.send(front.query('SELECT rows(1)'))
    await turns(50)
    client.vanish()
    await expect.poll(() => cluster.inUse).toBe(0)
    expect(await cluster.connect().query('SELECT node()')).toContain('C SELECT 1')
  })

  it('on a connection that others share does not hold them up', async () => {
    cluster = new ScriptedCluster({ pipeBytes: 16 * 1024 })
    const clients = Array.from({ length: 4 }, () => cluster.connect())
    for (let i = 0; i < 6; i++) {
      await Promise.all(clients.map((client) => client.query('SELECT node()')))
    }
    // Small until now, so it shares; large for the one who does not read.
    const row = ['x'.repeat(10_000)]
    let isLarge = true
    cluster.on('SELECT node()', () => {
      if (!isLarge) return null
      isLarge = false
      return { rows: Array.from({ length: 200 }, () => row), tag: 'SELECT 200' }
    })
    const slow = cluster.connect({ isSlow: true })
    slow.send(front.query('SELECT node()'))
    await turns(2)
    for (const client of clients) client.send(front.query('SELECT node()'))
    for (const client of clients) expect(await client.ready()).toContain('C SELECT 1 · Z I')
    slow.read()
    await slow.ready()
  })
})

describe('a server that does not read', () => {
  it('stops a client that copies in, and its memory stays bounded', async () => {
    const client = cluster.connect()
    await client.send(front.query('COPY items FROM STDIN')).last('G')
    const server = cluster.server('primary')
    server.duplex.pause()
    for (let i = 0; i < 200; i++) client.send(front.copyData(Buffer.alloc(30_000, 0x61)))
    const [connection] = cluster.connections
    for (let i = 0; i < 300; i++) {
      await turn()
      expect(connection?.link.pendingBytes).toBeLessThan(boundBytes)
    }
    server.duplex.resume()
    expect(await client.send(front.copyDone).ready()).toBe('C COPY 200 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('stops a client that pipelines', async () => {
    const client = cluster.connect()
    await client.query('BEGIN; INSERT INTO items VALUES (1)')
    const server = cluster.server('primary')
    server.duplex.pause()
    const text = `INSERT INTO items VALUES ('${'x'.repeat(20_000)}')`
    const count = 100
    client.send(...Array.from({ length: count }, () => front.query(text)))
    const [connection] = cluster.connections
    for (let i = 0; i < 300; i++) {
      await turn()
      expect(connection?.link.pendingBytes).toBeLessThan(boundBytes)
    }
    server.duplex.resume()
    await client.ready(count)
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
  })

  it('stops a client that pipelines without a Sync', async () => {
    const client = cluster.connect()
    await client.query('BEGIN; INSERT INTO items VALUES (1)')
    const server = cluster.server('primary')
    client.send(front.parse('', 'INSERT INTO items VALUES ($1)'), front.flush)
    await client.last('1')
    server.duplex.pause()
    const value = 'x'.repeat(20_000)
    const count = 400
    for (let i = 0; i < count; i++) client.send(front.bind('', '', [value]), front.execute(''))
    const [connection] = cluster.connections
    // A segment is collected up to a megabyte before it goes on, and then what was read by then.
    for (let i = 0; i < 400; i++) {
      await turn()
      expect(connection?.link.pendingBytes).toBeLessThan(4 * boundBytes)
    }
    server.duplex.resume()
    client.send(front.sync)
    await client.ready()
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
  })

  it('and is lost while its client waits lets the client go on', async () => {
    const client = cluster.connect()
    await client.send(front.query('COPY items FROM STDIN')).last('G')
    const server = cluster.server('primary')
    server.duplex.pause()
    for (let i = 0; i < 100; i++) client.send(front.copyData(Buffer.alloc(30_000, 0x61)))
    await turns(100)
    server.die()
    expect(await client.ready()).toBe('E 08007 · Z I')
    client.send(front.copyDone)
    expect(await client.query('SELECT node()')).toContain('C SELECT 1')
  })
})
