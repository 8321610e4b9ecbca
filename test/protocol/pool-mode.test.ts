import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { back, front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster
beforeEach(() => {
  cluster = new ScriptedCluster()
})
afterEach(() => cluster.close())

const ownProcess = '/* pgsplit: primary */ SELECT pid()'

describe('pgsplit.pool_mode', () => {
  it('of the startup packet gives this client connections of its own', async () => {
    const client = cluster.connect({ settings: { 'pgsplit.pool_mode': 'session' } })
    const other = cluster.connect()
    const own = await client.query(ownProcess)
    expect(await other.query(ownProcess)).not.toBe(own)
    expect(await client.query(ownProcess)).toBe(own)
    expect(await client.query('SHOW pgsplit.pool_mode')).toContain('D session')
    expect(cluster.inUse).toBe(1)
    client.send(front.terminate)
    await client.closed()
    expect(cluster.inUse).toBe(0)
  })

  it('set to transaction gives back what was kept', async () => {
    const client = cluster.connect()
    await client.query('SET pgsplit.pool_mode = session')
    await client.query('SELECT node()')
    await client.query('INSERT INTO items VALUES (1)')
    expect(cluster.inUse).toBe(2)
    await client.query('RESET pgsplit.pool_mode')
    expect(await client.query('SHOW pgsplit.pool_mode')).toContain('D transaction')
    expect(cluster.inUse).toBe(0)
    expect(await client.query('SELECT node()')).toContain('D r1')
    expect(cluster.inUse).toBe(0)
  })

  it('set to transaction within a transaction keeps its connection to the end', async () => {
    const client = cluster.connect({ settings: { 'pgsplit.pool_mode': 'session' } })
    await client.query('BEGIN')
    await client.query('INSERT INTO items VALUES (1)')
    await client.query('SET pgsplit.pool_mode = transaction')
    expect(cluster.inUse).toBe(1)
    expect(await client.query('COMMIT')).toBe('C COMMIT · Z I')
    expect(cluster.inUse).toBe(0)
  })

  it('goes with RESET ALL and DISCARD ALL', async () => {
    const client = cluster.connect()
    for (const reset of ['RESET ALL', 'DISCARD ALL']) {
      await client.query('SET pgsplit.pool_mode = session')
      await client.query('INSERT INTO items VALUES (1)')
      expect(cluster.inUse).toBe(1)
      await client.query(reset)
      expect(await client.query('SHOW pgsplit.pool_mode')).toContain('D transaction')
      expect(cluster.inUse).toBe(0)
    }
  })

  it('takes nothing else', async () => {
    const client = cluster.connect()
    expect(await client.query('SET pgsplit.pool_mode = statement')).toBe('E 22023 · Z I')
  })
})

describe('a notification', () => {
  it('of the client itself bears the process id that the client was given', async () => {
    const client = cluster.connect()
    client.session.processId = 77
    await client.query('LISTEN news')
    const server = cluster.server('primary')
    for (const from of [server.processId, server.processId + 1]) {
      server.say(back.notification(from, 'news', ''))
      await client.last('A news')
    }
    const heard = client.frames.filter(({ type }) => type === 'A')
    expect(heard.map(({ body }) => body.readInt32BE(0))).toEqual([77, server.processId + 1])
  })
})
