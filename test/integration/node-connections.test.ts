import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { proxySettings, startProxyWith, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  for (const name of ['anna', 'bela', 'cora']) {
    await cluster.primary.query(`CREATE ROLE ${name} LOGIN PASSWORD '${cluster.password}'`)
  }
  await cluster.catchUp()
  const settings = JSON.parse(JSON.stringify(proxySettings(cluster)))
  Object.assign(settings.clusters.main.primary, { maxConnections: 3 })
  settings.clusters.main.pool = { size: 10 }
  proxy = await startProxyWith(cluster, settings)
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

it('a node gets no more connections than its maxConnections, and every user a part of them', async () => {
  const users = ['anna', 'bela', 'cora']
  const clients = await Promise.all(
    Array.from({ length: 24 }, (_, i) => proxy.client({ user: users[i % 3] ?? '' })),
  )
  const done = { anna: 0, bela: 0, cora: 0 }
  let most = 0
  let isDone = false
  const counting = (async () => {
    while (!isDone) {
      const [row] = await cluster.primary.query(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename IN ('anna', 'bela', 'cora')",
      )
      most = Math.max(most, Number(row?.n))
    }
  })()
  await Promise.all(
    clients.map(async (db, i) => {
      for (let n = 0; n < 20; n++) {
        await db.query('BEGIN')
        await db.query('SELECT pg_sleep(0.002), txid_current()')
        await db.query('COMMIT')
        done[users[i % 3] as 'anna']++
      }
    }),
  )
  isDone = true
  await counting
  await Promise.all(clients.map((db) => db.end()))
  expect(done).toEqual({ anna: 160, bela: 160, cora: 160 })
  expect(most).toBeGreaterThan(0)
  // One that is being closed may still be seen while its successor logs in.
  expect(most).toBeLessThanOrEqual(4)
})
