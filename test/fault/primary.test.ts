import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { ReadLoad } from '../support/read-load.ts'

let cluster: ServerCluster
let proxy: TestProxy
let load: ReadLoad | null = null

interface Told {
  readonly code?: string
  readonly message: string
}

const told = (error: unknown): Told => error as Told

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item (id int); INSERT INTO item SELECT generate_series(1, 10)',
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, {
    pool: { size: 8 },
    // Nobody is promoted here.
    failover: { holdWrites: '500ms' },
  })
})
afterEach(async () => {
  await load?.stop()
  load = null
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

async function terminate(filter: string): Promise<number> {
  const rows = await cluster.primary.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop' AND ${filter}`,
    [],
    'template1',
  )
  return rows.length
}

describe('a server connection of the primary that is terminated', () => {
  it('costs its own transaction a clear error, and nobody else anything', async () => {
    const writers = await Promise.all(Array.from({ length: 6 }, () => proxy.client()))
    const errors: Told[] = []
    let isDone = false
    const writing = writers.map(async (db) => {
      while (!isDone)
        await db.query('UPDATE item SET id = id WHERE id = 1').catch((e) => errors.push(told(e)))
    })
    const victim = await proxy.client()
    await victim.query('BEGIN')
    await victim.query("UPDATE item SET id = id WHERE id = 2 AND 'victim' = 'victim'")
    expect(await terminate("query LIKE '%victim%'")).toBe(1)
    const first = told(await victim.query('SELECT 1').catch((error) => error))
    expect(first.code).toBe('08006')
    expect(told(await victim.query('SELECT 1').catch((error) => error)).code).toBe('25P02')
    await victim.query('ROLLBACK')
    expect((await victim.query('SELECT count(*)::int AS n FROM item')).rows).toEqual([{ n: 10 }])
    await victim.end()
    isDone = true
    await Promise.all(writing)
    await Promise.all(writers.map((db) => db.end()))
    expect(errors).toEqual([])
  })

  it('leaves open whether a write of its own took effect (08007), and the client connected', async () => {
    const db = await proxy.client()
    const slow = db
      .query('UPDATE item SET id = id FROM pg_sleep(20) WHERE id = 3')
      .catch((error) => error)
    await waitFor(
      'the write to run',
      async () => (await terminate("query LIKE '%pg_sleep(20)%'")) > 0,
    )
    const error = told(await slow)
    expect(error.code).toBe('08007')
    expect(error.message).toContain('primary')
    expect((await db.query('UPDATE item SET id = id WHERE id = 3')).rowCount).toBe(1)
    await db.end()
  })
})

describe('a primary that is killed', () => {
  it('leaves reads at the replicas and tells writers why, and all clients stay connected', async () => {
    load = await ReadLoad.start(proxy, 8)
    const reads = load
    await waitFor('some reads', () => reads.reads > 100)
    const writers: pg.Client[] = await Promise.all(Array.from({ length: 3 }, () => proxy.client()))
    const inBlock = await proxy.client()
    await inBlock.query('BEGIN')
    await inBlock.query('UPDATE item SET id = id')
    await cluster.primary.kill()
    const lost = told(await inBlock.query('SELECT 1').catch((error) => error))
    expect(lost.code).toBe('08006')
    await inBlock.query('ROLLBACK')
    await waitFor('the proxy to notice', () => proxy.proxy.snapshot().primary === null)
    for (const db of writers) {
      const error = told(await db.query('UPDATE item SET id = id').catch((failure) => failure))
      expect(['57P03', '08006']).toContain(error.code)
      expect((await db.query('SELECT count(*)::int AS n FROM item')).rows).toEqual([{ n: 10 }])
    }
    const from = reads.reads
    await waitFor('further reads', () => reads.reads - from > 200)
    expect(reads.errors).toEqual([])
    await cluster.primary.start()
    await waitFor('writes', async () =>
      writers[0]
        ?.query('UPDATE item SET id = id')
        .then(() => true)
        .catch(() => false),
    )
    for (const db of [...writers, inBlock]) {
      expect((await db.query('UPDATE item SET id = id')).rowCount).toBe(10)
      await db.end()
    }
  })
})
