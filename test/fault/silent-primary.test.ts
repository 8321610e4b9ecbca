import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../src/drizzle/index.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
const monitor = { probeInterval: '100ms', probeTimeout: '500ms' }

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item (id int PRIMARY KEY, v int); INSERT INTO item VALUES (1, 0)',
    [],
    'shop',
  )
  await cluster.catchUp()
})
afterAll(() => cluster?.stop())

/** A client that has written, at a door; `read` waits for the primary as long as no replica has that. */
interface Client {
  write(): Promise<unknown>
  read(): Promise<number>
  /** Resolves when it is known where that can be found. */
  settled(): Promise<unknown>
  hasPrimary(): boolean
  end(): Promise<void>
}

const addText = 'UPDATE item SET v = v + 1 WHERE id = 1'
const readText = 'SELECT v FROM item WHERE id = 1'

const doors: Readonly<Record<string, () => Promise<Client>>> = {
  'the proxy': async () => {
    const proxy = await startTestProxy(cluster, { monitor })
    const db = await proxy.client()
    return {
      write: () => db.query(addText),
      read: async () => (await db.query(readText)).rows[0].v,
      settled: () => db.query('SHOW pgsplit.causal_token'),
      hasPrimary: () => proxy.proxy.snapshot().primary !== null,
      end: async () => {
        await db.end()
        await proxy.stop()
      },
    }
  },
  'sessions of Drizzle': async () => {
    const sessions = createSessions({
      primary: cluster.primary.urlFor('shop'),
      replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
      monitor,
    })
    await sessions.ready
    return {
      write: () => sessions.getSession(true).execute(sql.raw(addText)),
      read: async () => {
        const { rows } = await sessions.getSession().execute<{ v: number }>(sql.raw(readText))
        return rows[0]?.v ?? -1
      },
      settled: () => sessions.causalToken(),
      hasPrimary: () => sessions.snapshot().primary !== null,
      end: () => sessions.close(),
    }
  },
}

describe.each(Object.entries(doors))('a primary that is frozen, behind %s', (_, open) => {
  it('keeps no read that a replica can answer by now', async () => {
    const client = await open()
    for (const replica of cluster.replicas) await replica.pauseReplay()
    await client.write()
    const written = await client.read()
    await client.settled()
    await cluster.primary.freeze()
    try {
      const read = client.read()
      await cluster.replicas[0]?.resumeReplay()
      // Nobody is promoted, and the primary says nothing.
      expect(await read).toBe(written)
      await waitFor('the loss', () => !client.hasPrimary())
    } finally {
      await cluster.primary.thaw()
      for (const replica of cluster.replicas) await replica.resumeReplay()
    }
    await waitFor('the primary', () => client.hasPrimary())
    await client.write()
    expect(await client.read()).toBe(written + 1)
    await client.end()
  })
})
