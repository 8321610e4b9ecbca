import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ServerNode } from '../../src/testing/server-cluster.ts'
import { type ServerCluster, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { ReadLoad } from '../support/read-load.ts'

let cluster: ServerCluster
let proxy: TestProxy
let load: ReadLoad | null = null

const replica = (index: number): ServerNode => {
  const node = cluster.replicas[index]
  if (node === undefined) throw new Error(`no replica ${index}`)
  return node
}

/** Reads that the node answers while `ms` pass, by its own count of index and table scans. */
async function isRead(node: ServerNode): Promise<boolean> {
  const scans = async () => {
    const [row] = await node.query(
      "SELECT 1 AS one FROM pg_stat_activity WHERE datname = 'shop' AND usename = 'postgres' AND query LIKE 'SELECT count(*) FROM item%' AND state_change > clock_timestamp() - interval '50 ms'",
      [],
      'template1',
    )
    return row !== undefined
  }
  return scans()
}

/** Resolves when all replicas take reads again, by their own word. */
async function allServe(): Promise<void> {
  for (const [i, node] of cluster.replicas.entries()) {
    if (!node.isRunning) await node.start()
    await proxy.waitForNode(`r${i + 1}`, ({ readable, fresh }) => readable && fresh)
  }
}

async function startLoad(clients = 16): Promise<ReadLoad> {
  load = await ReadLoad.start(proxy, clients)
  await waitFor('some reads', () => (load?.reads ?? 0) > 100)
  await waitFor(
    'reads on both',
    async () => (await isRead(replica(0))) && (await isRead(replica(1))),
  )
  return load
}

async function progress(of: ReadLoad, reads = 200): Promise<void> {
  const from = of.reads
  await waitFor('further reads', () => of.reads - from > reads)
}

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item (id int); INSERT INTO item SELECT generate_series(1, 10)',
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, {
    pool: { size: 6 },
    routing: { maxLag: '1s', maxLagResume: '500ms' },
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

describe('under a load of reads', () => {
  it.each(['fast', 'immediate', 'kill'] as const)(
    'a replica that goes down (%s) costs no client an error, and serves again when it is back',
    async (how) => {
      const reads = await startLoad()
      const node = replica(0)
      await (how === 'kill' ? node.kill() : node.stop(how))
      await proxy.waitForNode('r1', ({ readable }) => !readable)
      await progress(reads)
      expect(reads.errors).toEqual([])
      expect(await isRead(replica(1))).toBe(true)
      await node.start()
      await proxy.waitForNode('r1', ({ readable, fresh }) => readable && fresh)
      await waitFor('reads on the replica that is back', () => isRead(node))
      expect(reads.errors).toEqual([])
    },
  )

  it('a replica that lags beyond maxLag gets no reads until it has caught up', async () => {
    const reads = await startLoad(8)
    const node = replica(0)
    await node.pauseReplay()
    try {
      const writer = await proxy.client()
      const writing = setInterval(
        () => void writer.query('INSERT INTO item VALUES (0)').catch(() => {}),
        100,
      )
      try {
        await proxy.waitForNode('r1', ({ fresh }) => !fresh)
      } finally {
        clearInterval(writing)
      }
      await waitFor('no reads on the replica that lags', async () => !(await isRead(node)))
      await progress(reads)
      expect(await isRead(node)).toBe(false)
      await writer.query('DELETE FROM item WHERE id = 0')
      await writer.end()
    } finally {
      await node.resumeReplay()
    }
    await proxy.waitForNode('r1', ({ fresh }) => fresh)
    await waitFor('reads on the replica that has caught up', () => isRead(node))
    expect(reads.errors).toEqual([])
  })

  it('with all replicas out the primary serves', async () => {
    const reads = await startLoad(8)
    await Promise.all(cluster.replicas.map((node) => node.stop('immediate')))
    await progress(reads)
    expect(reads.errors).toEqual([])
    expect(await isRead(cluster.primary)).toBe(true)
    await allServe()
    await waitFor(
      'reads on both',
      async () => (await isRead(replica(0))) && (await isRead(replica(1))),
    )
    expect(reads.errors).toEqual([])
  })

  it('server connections that are terminated are healed for reads', async () => {
    const reads = await startLoad(8)
    for (let round = 0; round < 10; round++) {
      for (const node of cluster.replicas) {
        await node.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop' AND pid <> pg_backend_pid()",
          [],
          'template1',
        )
      }
      await progress(reads, 20)
    }
    expect(reads.errors).toEqual([])
    await allServe()
  })

  it('a frozen replica is left by new reads after the probe timeout', async () => {
    const reads = await startLoad(16)
    const node = replica(1)
    await node.freeze()
    try {
      await proxy.waitForNode('r2', ({ readable }) => !readable)
      const db = await proxy.client()
      for (let i = 0; i < 50; i++) await db.query('SELECT count(*) FROM item')
      expect((await db.query('SHOW pgsplit.last_route')).rows[0]['pgsplit.last_route']).toMatch(
        /^r1: /,
      )
      await db.end()
      // Those in flight on it must not hang either.
      const from = [...reads.byClient]
      await waitFor('reads of every client', () =>
        reads.byClient.every((count, i) => count - (from[i] ?? 0) > 10),
      )
    } finally {
      await node.thaw()
    }
    await allServe()
    expect(reads.errors).toEqual([])
  })
})
