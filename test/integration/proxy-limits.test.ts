import { createHash } from 'node:crypto'
import net from 'node:net'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { type ProxyOverrides, startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop', replicas: 1 })
  await cluster.primary.query(
    'CREATE TABLE item (id int); INSERT INTO item SELECT generate_series(1, 10)',
    [],
    'shop',
  )
  await cluster.catchUp()
})
afterAll(() => cluster?.stop())

async function behind<T>(
  overrides: ProxyOverrides,
  use: (proxy: TestProxy) => Promise<T>,
): Promise<T> {
  const proxy = await startTestProxy(cluster, overrides)
  try {
    return await use(proxy)
  } finally {
    await proxy.stop()
  }
}

const pid = async (db: pg.Client): Promise<number> =>
  (await db.query('SELECT pg_backend_pid() AS pid')).rows[0].pid

describe('limits', () => {
  it('lets nobody wait longer than checkoutTimeout for a server connection', async () => {
    await behind({ pool: { size: 1, checkoutTimeout: '200ms' } }, async (proxy) => {
      const holder = await proxy.client()
      await holder.query('BEGIN')
      await holder.query('SELECT 1 FROM item FOR UPDATE')
      const waiter = await proxy.client()
      const failed = await waiter.query('UPDATE item SET id = id').catch((error) => error)
      expect(failed).toMatchObject({ code: '53300', severity: 'ERROR' })
      expect(failed.message).toMatch(/node primary within \d+ ms \(1 in use/)
      expect(failed.hint).toContain('pool.checkoutTimeout')
      await holder.query('COMMIT')
      expect((await waiter.query('UPDATE item SET id = id')).rowCount).toBe(10)
      await Promise.all([holder.end(), waiter.end()])
    })
  })

  it('passes on messages that are longer than what may wait for a client', async () => {
    await behind({}, async (proxy) => {
      const client = await proxy.client()
      const lengths: (number | undefined)[] = []
      client.on('notice', ({ message }) => lengths.push(message?.length))
      await client.query(
        `DO $$ BEGIN RAISE NOTICE '%', repeat('x', 300000); PERFORM pg_sleep(0.1); END $$`,
      )
      expect(lengths).toEqual([300_000])
      await client.end()
    })
  })

  it('streams values and statements that are longer than it collects', async () => {
    await behind({ limits: { maxBufferedRequest: '100kB' } }, async (proxy) => {
      const client = await proxy.client()
      const value = 'äx'.repeat(4_000_000)
      const md5 = createHash('md5').update(value).digest('hex')
      const ask = { text: 'SELECT md5($1) AS md5, $1::text AS echo', values: [value] }
      for (const name of ['unnamed', 'named', 'named']) {
        const { rows } = await client.query(name === 'named' ? { ...ask, name } : ask)
        expect(rows[0].md5).toBe(md5)
        expect(rows[0].echo === value).toBe(true)
      }
      await client.query('SELECT 1')
      const pin = async () => (await client.query('SHOW pgsplit.pin')).rows[0]['pgsplit.pin']
      expect(await pin()).not.toContain('too long')
      expect((await client.query(`SELECT md5('${value}')`)).rows).toEqual([{ md5 }])
      expect((await client.query(`SELECT md5('${value}')`, [])).rows).toEqual([{ md5 }])
      expect(await pin()).toContain('too long')
      await client.query('DISCARD ALL')
      expect(await pin()).not.toContain('too long')
      await client.end()
    })
  })

  it('refuses one client too many with 53300, and takes another when one has left', async () => {
    await behind({ limits: { maxClients: 2 } }, async (proxy) => {
      const first = await proxy.client()
      const second = await proxy.client()
      await expect(proxy.client()).rejects.toMatchObject({ code: '53300' })
      await first.end()
      const third = await waitFor('a free place', () => proxy.client().catch(() => null))
      await Promise.all([second.end(), third.end()])
    })
  })

  it('counts replication clients among them for as long as they are connected', async () => {
    await behind({ limits: { maxClients: 2 } }, async (proxy) => {
      const first = await proxy.client()
      const walSender = await proxy.raw({}, { replication: 'database' })
      await expect(proxy.client()).rejects.toMatchObject({ code: '53300' })
      walSender.end()
      const third = await waitFor('a free place', () => proxy.client().catch(() => null))
      await Promise.all([first.end(), third.end()])
    })
  })

  it('closes a server connection that is idle for too long', async () => {
    await behind({ pool: { idleTimeout: '300ms' } }, async (proxy) => {
      const db = await proxy.client({}, { application_name: 'idle-server' })
      await db.query('UPDATE item SET id = id')
      const held = () =>
        cluster.primary.query(
          "SELECT 1 FROM pg_stat_activity WHERE application_name = 'idle-server'",
        )
      expect(await held()).toHaveLength(1)
      await waitFor('the server connection to go', async () => (await held()).length === 0)
      expect((await db.query('UPDATE item SET id = id')).rowCount).toBe(10)
      await db.end()
    })
  })

  it('cuts off who does not log in within authTimeout', async () => {
    await behind({ limits: { authTimeout: '200ms' } }, async (proxy) => {
      const silent = net.connect(proxy.port, '127.0.0.1')
      silent.on('error', () => {})
      silent.resume()
      await new Promise((resolve) => silent.once('close', resolve))
    })
  })

  it('refuses a database that no cluster lists with 3D000', async () => {
    await behind({ databases: ['shop'] }, async (proxy) => {
      await expect(proxy.client({ database: 'postgres' })).rejects.toMatchObject({ code: '3D000' })
      const known = await proxy.client()
      await known.end()
    })
  })

  it('says 57P03 and why when reads may not fall back to the primary', async () => {
    await behind({ routing: { fallbackToPrimary: false } }, async (proxy) => {
      const db = await proxy.client()
      // Before the catalog is known reads belong to the primary.
      await waitFor('a read on the replica', async () => {
        await db.query('SELECT count(*) FROM item')
        const { rows } = await db.query('SHOW pgsplit.last_route')
        return rows[0]['pgsplit.last_route'].startsWith('r1')
      })
      await cluster.replicas[0]?.stop()
      try {
        await proxy.waitForNode('r1', ({ readable }) => !readable)
        await expect(db.query('SELECT count(*) FROM item')).rejects.toMatchObject({
          code: '57P03',
          message: expect.stringContaining('fallbackToPrimary'),
        })
        expect((await db.query('UPDATE item SET id = id')).rowCount).toBe(10)
      } finally {
        await cluster.replicas[0]?.start()
        await db.end()
      }
      await proxy.waitForNode('r1', ({ readable, fresh }) => readable && fresh)
    })
  })
})

describe('poolMode', () => {
  it('session keeps the server connection until the client leaves', async () => {
    await behind({ pool: { mode: 'session', size: 2 } }, async (proxy) => {
      const one = await proxy.client()
      const two = await proxy.client()
      const first = await pid(one)
      const second = await pid(two)
      expect(second).not.toBe(first)
      for (let i = 0; i < 5; i++) {
        expect([await pid(one), await pid(two)]).toEqual([first, second])
        await one.query('SELECT count(*) FROM item')
      }
      await one.end()
      const three = await proxy.client()
      expect((await three.query('UPDATE item SET id = id')).rowCount).toBe(10)
      await Promise.all([two.end(), three.end()])
    })
  })

  it('session, also for one client alone, gives the client the process id of its server process', async () => {
    await behind({}, async (proxy) => {
      const own = { options: '-c pgsplit.pool_mode=session' }
      const db = await proxy.client({}, own)
      const other = await proxy.client({}, own)
      expect(db).toMatchObject({ processID: await pid(db) })
      expect(other).toMatchObject({ processID: await pid(other) })
      await db.query('SELECT count(*) FROM item')
      expect(db).toMatchObject({ processID: await pid(db) })
      const sleeping = db.query('SELECT pg_sleep(60)')
      sleeping.catch(() => {})
      await waitFor('its process to sleep', async () => {
        const { rows } = await other.query(
          "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'",
          [Reflect.get(db, 'processID')],
        )
        return rows.length === 1
      })
      await other.query('SELECT pg_cancel_backend($1)', [Reflect.get(db, 'processID')])
      await expect(sleeping).rejects.toMatchObject({ code: '57014' })
      await Promise.all([db.end(), other.end()])
    })
  })

  it('transaction shares few server connections among many clients', async () => {
    await behind({ pool: { size: 2 } }, async (proxy) => {
      const clients = await Promise.all(Array.from({ length: 10 }, () => proxy.client()))
      // Not asked by the clients: who asks for pg_backend_pid() keeps that server process.
      const writes = clients.map((db) => db.query('UPDATE item SET id = id WHERE id = 1'))
      await Promise.all(writes)
      const [found] = await cluster.primary.query(
        `SELECT count(*)::int AS count FROM pg_stat_activity
          WHERE datname = $1 AND backend_type = 'client backend' AND query LIKE 'UPDATE item%'`,
        [cluster.database],
      )
      expect(found?.count).toBeGreaterThan(0)
      expect(found?.count).toBeLessThanOrEqual(2)
      const counts = await Promise.all(clients.map((db) => db.query('SELECT count(*) FROM item')))
      expect(counts.every(({ rowCount }) => rowCount === 1)).toBe(true)
      await Promise.all(clients.map((db) => db.end()))
    })
  })
})

describe('shutting down', () => {
  it('finishes what is in flight and then says 57P01', async () => {
    const proxy = await startTestProxy(cluster)
    const idle = await proxy.client()
    const busy = await proxy.client()
    const errors: unknown[] = []
    for (const db of [idle, busy]) db.on('error', (error) => errors.push(error))
    const slept = busy.query("SELECT pg_sleep(0.3), 'done' AS word")
    await waitFor('the request to be in flight', async () => {
      const found = await Promise.all(
        cluster.nodes.map((node) =>
          node.query("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(0.3)%'"),
        ),
      )
      return found.flat().length > 0
    })
    const stopped = proxy.proxy.stop({ drain: true })
    expect((await slept).rows[0].word).toBe('done')
    await stopped
    const farewells = () => errors.filter((error) => (error as pg.DatabaseError).code === '57P01')
    await waitFor('both farewells', () => farewells().length === 2)
  })
})
