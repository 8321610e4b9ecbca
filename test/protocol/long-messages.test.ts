import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ScriptedClient } from '../support/scripted-client.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster({ limits: { maxRequestBytes: 100_000 }, pipeBytes: 16 * 1024 })
})
afterEach(() => cluster.close())

const big = 'x'.repeat(3_000_000)

/** Sends bytes in pieces, as a network may cut them: never all at once. */
async function sendCut(client: ScriptedClient, size: number, ...frames: Buffer[]): Promise<void> {
  const bytes = Buffer.concat(frames)
  for (let at = 0; at < bytes.length; at += at < 60 ? size : 900_000) {
    client.send(bytes.subarray(at, at < 60 ? at + size : at + 900_000))
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** The same, where it matters little how. */
function slowly(client: ScriptedClient, ...frames: Buffer[]): Promise<void> {
  return sendCut(client, 900_000, ...frames)
}

describe('a message longer than is collected', () => {
  it.each([1, 5, 7, 4_096, 70_000, 5_000_000])(
    'is passed on as it comes in: Bind, cut from byte %i on',
    async (size) => {
      const client = cluster.connect()
      const head = front.parse('s', 'INSERT INTO items VALUES ($1)')
      client.send(head)
      await sendCut(client, size, front.bind('s', '', [big]), front.execute(), front.sync)
      expect(await client.ready()).toBe('1 · 2 · C INSERT 0 1 · Z I')
      expect(await client.query('SELECT node()')).toContain('D r1')
      expect(cluster.inUse).toBe(0)
    },
  )

  it('is a read: with a value it runs on the primary, and pins nothing', async () => {
    const client = cluster.connect()
    client.send(front.parse('', 'SELECT node()'))
    await slowly(client, front.bind('', '', [big]), front.execute(), front.sync)
    expect(await client.ready()).toBe('1 · 2 · D primary · C SELECT 1 · Z I')
    expect(await client.query('SELECT node()')).toContain('D r1')
  })

  it('behind a Flush of a read on a replica moves with it to the primary', async () => {
    const client = cluster.connect()
    client.send(front.parse('s', 'SELECT node()'), front.describe('S', 's'), front.flush)
    await slowly(client, front.bind('s', '', [big]), front.execute(), front.sync)
    expect(await client.ready()).toBe('1 · t · T · 2 · D primary · C SELECT 1 · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('is a text: nobody has read it, so it runs on the primary and pins the session', async () => {
    const client = cluster.connect()
    const text = `SELECT node() /* ${big} */`
    await slowly(client, front.query(text))
    expect(await client.ready()).toBe('T · D primary · C SELECT 1 · Z I')
    expect(await client.query('SELECT node()')).toContain('D primary')
    for (const { pinReason } of cluster.sessions) expect(pinReason).toContain('too long to be read')
    expect(await client.query('DISCARD ALL')).toContain('C DISCARD ALL')
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })

  it('is a Parse, with a name or without', async () => {
    const client = cluster.connect()
    const text = `SELECT node() /* ${big} */`
    await slowly(client, front.parse('long', text), front.describe('S', 'long'), front.sync)
    expect(await client.ready()).toBe('1 · t · T · Z I')
    client.send(front.bind('long'), front.execute(), front.sync)
    expect(await client.ready()).toBe('2 · D primary · C SELECT 1 · Z I')
    await slowly(client, front.run(text), front.sync)
    expect(await client.ready()).toBe('1 · 2 · D primary · C SELECT 1 · Z I')
    client.send(front.bind(''), front.execute(), front.sync)
    expect(await client.ready()).toBe('2 · D primary · C SELECT 1 · Z I')
    expect(client.unseen).toBe('')
    expect(cluster.servers.every(({ complaint }) => complaint === null)).toBe(true)
  })

  it('is dropped up to its end where the session skips or has lost its transaction', async () => {
    const client = cluster.connect()
    client.send(front.run('syntax error'), front.flush)
    expect(await client.last('E 42601')).toBe('E 42601')
    await slowly(client, front.bind('', '', [big]), front.query(big), front.sync)
    expect(await client.ready()).toBe('Z I')
    await client.query('BEGIN')
    await client.query('INSERT INTO items VALUES (1)')
    cluster.server('primary').die()
    await slowly(client, front.query(`SELECT node() -- ${big}`))
    expect(await client.ready()).toBe('E 08006 · Z E')
    client.send(front.parse('', 'SELECT 1'))
    await slowly(client, front.bind('', '', [big]), front.execute(), front.sync)
    expect(await client.ready()).toMatch(/E 25P02 · Z E$/)
    expect(await client.query('ROLLBACK')).toBe('C ROLLBACK · Z I')
    expect(client.unseen).toBe('')
    expect(cluster.inUse).toBe(0)
  })

  it('whose server goes in its middle is told, and the rest of it dropped', async () => {
    const client = cluster.connect()
    const bytes = Buffer.concat([front.query(`INSERT INTO items VALUES (1) -- ${big}`)])
    client.send(bytes.subarray(0, 1_000_000))
    await expect.poll(() => cluster.inUse).toBe(1)
    cluster.server('primary').die()
    client.send(bytes.subarray(1_000_000))
    expect(await client.ready()).toBe('E 08007 · Z I')
    expect(await client.query('SELECT node()')).toContain('D ')
    expect(client.unseen).toBe('')
    expect(cluster.inUse).toBe(0)
  })

  it('of a client that goes in its middle leaves no connection behind', async () => {
    const client = cluster.connect()
    client.send(front.query(`SELECT node() -- ${big}`).subarray(0, 1_000_000))
    await expect.poll(() => cluster.inUse).toBe(1)
    client.vanish()
    await expect.poll(() => cluster.inUse).toBe(0)
  })

  it('and is of no kind that may be long ends the session', async () => {
    const client = cluster.connect()
    await slowly(client, front.describe('S', big))
    expect(await client.closed()).toContain('E 54000')
  })
})
