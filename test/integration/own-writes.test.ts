import type pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ServerCluster, startServers, waitFor } from '../support/cluster.ts'
import { commitsDuring, startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item (id int PRIMARY KEY, v int); INSERT INTO item SELECT g, 0 FROM generate_series(1, 8) g',
    [],
    'shop',
  )
  await cluster.catchUp()
})

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

// First of all: nobody else's connections hold back what the servers count.
it('sends at most one in twenty reads of a 90/10 workload to the primary', async () => {
  const reads = 8 * 27 * 10
  const writes = 8 * 3 * 10
  const share = async (): Promise<number> => {
    const work = async (db: pg.Client, id: number): Promise<void> => {
      for (let i = 0; i < 300; i++) {
        if (i % 10 === 0) await db.query('UPDATE item SET v = v + 1 WHERE id = $1', [id])
        else await db.query('SELECT v FROM item WHERE id = $1', [id])
      }
    }
    // Longer than the default, as what else runs on the machine can hold up a replica.
    const routing = { causalWait: '100ms' }
    let early = 0
    const use = async (fresh: TestProxy): Promise<void> => {
      // Until the catalog is known, all goes to the primary: that is not what is counted here.
      await waitFor('a read on a replica', () =>
        fresh.with(async (db) => {
          await db.query('SELECT v FROM item WHERE id = $1', [1])
          const { rows } = await db.query('SHOW pgsplit.last_route')
          const isSplit = /^r\d/.test(rows[0]['pgsplit.last_route'])
          if (!isSplit) early++
          return isSplit
        }),
      )
      await Promise.all(Array.from({ length: 8 }, (_, i) => fresh.with((db) => work(db, i + 1))))
    }
    const ran = await commitsDuring(cluster, use, { routing })
    const onPrimary = (ran[cluster.primary.name] ?? 0) - writes - early
    const onReplicas = cluster.replicas.reduce((sum, { name }) => sum + (ran[name] ?? 0), 0)
    expect(onPrimary + onReplicas).toBeGreaterThanOrEqual(reads)
    return onPrimary / reads
  }
  let least = 1
  for (let round = 0; round < 3 && least > 0.05; round++) least = Math.min(least, await share())
  expect(least).toBeLessThanOrEqual(0.05)
})

/** Each client writes its row now and then, and reads it back at once; counts what it missed. */
async function staleReads(consistency: string, rounds: number, through = proxy): Promise<number> {
  let stale = 0
  await Promise.all(
    Array.from({ length: 8 }, (_, i) =>
      through.with(async (client) => {
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
  proxy = await startTestProxy(cluster)
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

/** If its reads waited for the replicas, this would take longer than a test may. */
it('keeps no read waiting for replicas that will not be there in time', async () => {
  const patient = await startTestProxy(cluster, { routing: { causalWait: '15s', maxLag: '1h' } })
  try {
    for (const replica of cluster.replicas) await replica.pauseReplay()
    for (const name of ['r1', 'r2']) {
      await patient.waitForNode(name, ({ replayPaused }) => replayPaused)
    }
    expect(await staleReads('session', 40, patient)).toBe(0)
  } finally {
    for (const replica of cluster.replicas) await replica.resumeReplay()
    await patient.stop()
  }
})

it('learns that replicas always replay late, and stops waiting for them', async () => {
  const patient = await startTestProxy(cluster, { routing: { causalWait: '1s' } })
  try {
    for (const replica of cluster.replicas) {
      await replica.configure({ recovery_min_apply_delay: '4s' })
    }
    // Each of 8 clients writes 40 times: one wait in vain per write would take 40 s.
    expect(await staleReads('session', 160, patient)).toBe(0)
  } finally {
    for (const replica of cluster.replicas) {
      await replica.configure({ recovery_min_apply_delay: '0' })
    }
    await patient.stop()
  }
  await cluster.catchUp()
})
