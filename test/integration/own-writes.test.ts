import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item (id int PRIMARY KEY, v int); INSERT INTO item SELECT g, 0 FROM generate_series(1, 8) g',
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
})

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** Each client writes its row now and then, and reads it back at once; counts what it missed. */
async function staleReads(consistency: string, rounds: number): Promise<number> {
  let stale = 0
  await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      proxy.with(async (client) => {
        await client.query(`SET pgsplit.consistency = '${consistency}'`)
        const from = await client.query('SELECT v FROM item WHERE id = $1', [i + 1])
        let expected = Number(from.rows[0]?.v)
        for (let round = 0; round < rounds; round++) {
          if (round % 4 === 0) {
            expected++
            await client.query('UPDATE item SET v = $2 WHERE id = $1', [i + 1, expected])
          }
          const { rows } = await client.query('SELECT v FROM item WHERE id = $1', [i + 1])
          if (rows[0]?.v !== expected) stale++
        }
      }),
    ),
  )
  return stale
}

it('shows every client its own writes while the replicas replay nothing', async () => {
  for (const replica of cluster.replicas) await replica.pauseReplay()
  try {
    expect(await staleReads('session', 40)).toBe(0)
    // The check itself: without the promise, paused replicas show old rows.
    expect(await staleReads('eventual', 8)).toBeGreaterThan(0)
  } finally {
    for (const replica of cluster.replicas) await replica.resumeReplay()
  }
})

it('shows every client its own writes while the replicas follow', async () => {
  expect(await staleReads('session', 200)).toBe(0)
})

it('reads from a replica again when it has replayed the write', async () => {
  await proxy.with(async (client) => {
    await client.query('UPDATE item SET v = v + 1 WHERE id = 1')
    let route = ''
    for (let i = 0; i < 2000 && !/^r\d/.test(route); i++) {
      await client.query('SELECT v FROM item WHERE id = 1')
      const { rows } = await client.query('SHOW pgsplit.last_route')
      route = String(rows[0]?.['pgsplit.last_route'])
    }
    expect(route).toMatch(/^r\d: proved read-only/)
  })
})
