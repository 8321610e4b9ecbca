import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../src/drizzle/index.ts'
import { type ServerCluster, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: ServerCluster
let proxy: TestProxy | null = null

/** Nobody is promoted here, and a read must not have to wait for it. */
const overrides = { failover: { holdWrites: '20s' } }
const countItems = 'SELECT count(*)::int AS n FROM item WHERE is_sold(id)'

beforeAll(async () => {
  cluster = await startServers()
  for (const database of ['shop', 'later', 'doors']) {
    await cluster.primary.query(`CREATE DATABASE ${database}`)
    await cluster.primary.query(
      `CREATE TABLE item (id int);
       INSERT INTO item SELECT generate_series(1, 10);
       CREATE FUNCTION is_sold(id int) RETURNS bool LANGUAGE sql STABLE AS 'SELECT id > 0'`,
      [],
      database,
    )
  }
  await cluster.catchUp()
  await cluster.primary.kill()
  proxy = await startTestProxy(cluster, overrides)
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

function running(): TestProxy {
  if (proxy === null) throw new Error('the proxy is not there')
  return proxy
}

describe('a pgsplit that starts while the primary is down', () => {
  it.each(['shop', 'later'])('serves reads of %s by what a replica knows', async (database) => {
    expect(running().proxy.snapshot().primary).toBeNull()
    await running().with(
      async (db) => {
        expect((await db.query(countItems)).rows).toEqual([{ n: 10 }])
        const { rows } = await db.query('SHOW pgsplit.last_route')
        expect(JSON.stringify(rows)).toMatch(/r[12].*proved read-only/)
      },
      { database },
    )
  })

  it('serves reads of the in-process door', async () => {
    const sessions = createSessions({
      primary: cluster.primary.urlFor('doors'),
      replicas: cluster.replicas.map((replica) => replica.urlFor('doors')),
      failover: { holdWrites: '20s' },
    })
    try {
      const { rows } = await sessions.getSession(false).execute(sql.raw(countItems))
      expect(rows).toEqual([{ n: 10 }])
    } finally {
      await sessions.close()
    }
  })

  it('serves reads of the door onto the proxy', async () => {
    const sessions = createSessions({ proxy: running().url({ database: 'doors' }) })
    try {
      const { rows } = await sessions.getSession(false).execute(sql.raw(countItems))
      expect(rows).toEqual([{ n: 10 }])
    } finally {
      await sessions.close()
    }
  })
})

describe('the primary that comes back', () => {
  it("is asked for its own catalog, which may be ahead of the replica's", async () => {
    const reader = await running().client({ database: 'shop' })
    expect((await reader.query(countItems)).rows).toEqual([{ n: 10 }])
    for (const replica of cluster.replicas) await replica.pauseReplay()
    await cluster.primary.start()
    // Behind pgsplit's back: only the primary's catalog tells that the function writes by now.
    await cluster.primary.query(
      `CREATE OR REPLACE FUNCTION is_sold(id int) RETURNS bool LANGUAGE plpgsql VOLATILE AS
         $$BEGIN INSERT INTO item VALUES (-id); RETURN true; END$$`,
      [],
      'shop',
    )
    await waitFor('the proxy to judge by the primary', async () => {
      const { rows } = await reader.query(`EXPLAIN (ROUTE) ${countItems}`)
      return JSON.stringify(rows).includes('primary')
    })
    expect((await reader.query('SELECT is_sold(1)')).rows).toEqual([{ is_sold: true }])
    const written = await cluster.primary.query('SELECT id FROM item WHERE id < 0', [], 'shop')
    expect(written).toEqual([{ id: -1 }])
    for (const replica of cluster.replicas) await replica.resumeReplay()
    await reader.end()
  })
})
