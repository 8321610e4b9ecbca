/**
 * What a read waits for when pools are full: `node test/bench/micro-full-pools.ts [reads]`. One client
 * reads, pgsplit and servers on one machine; `pool.size` idle READ ONLY transactions hold the
 * connections of nobody's node, of one replica, of both. Prints the latency of a read, ms, and where
 * reads ran.
 */
import type pg from 'pg'
import { startCluster } from '../support/cluster.ts'
import { startTestProxy } from '../support/proxy.ts'
import { waitFor } from '../support/wait-for.ts'

const reads = Number(process.argv[2] ?? 500)
const size = 20

const cluster = await startCluster({ database: 'shop' })
await cluster.primary.query('CREATE TABLE item AS SELECT generate_series(1, 10) AS id', [], 'shop')
await cluster.catchUp()
const proxy = await startTestProxy(cluster, { pool: { size } })

/** A client whose transaction is on a replica, and which one. */
async function holder(): Promise<{ readonly client: pg.Client; readonly node: string }> {
  const client = await proxy.client()
  await client.query('BEGIN READ ONLY')
  await client.query('SELECT count(*) FROM item')
  const { rows } = await client.query('SHOW pgsplit.last_route')
  return { client, node: String(rows[0]?.['pgsplit.last_route']).split(':')[0] ?? '' }
}

async function measure(title: string, full: readonly string[]): Promise<void> {
  const missing = new Map(full.map((node) => [node, size]))
  const clients: pg.Client[] = []
  const elsewhere: pg.Client[] = []
  while ([...missing.values()].some((left) => left > 0)) {
    const { client, node } = await holder()
    const left = missing.get(node) ?? 0
    if (left > 0) missing.set(node, left - 1)
    const list = left > 0 ? clients : elsewhere
    list.push(client)
  }
  for (const client of elsewhere) await client.end()
  const reader = await proxy.client()
  const latenciesMs: number[] = []
  const places = new Map<string, number>()
  for (let i = 0; i < reads; i++) {
    const sinceMs = performance.now()
    await reader.query('SELECT id FROM item WHERE id = 3')
    latenciesMs.push(performance.now() - sinceMs)
    const { rows } = await reader.query('SHOW pgsplit.last_route')
    const place = String(rows[0]?.['pgsplit.last_route']).split(':')[0] ?? ''
    places.set(place, (places.get(place) ?? 0) + 1)
  }
  latenciesMs.sort((a, b) => a - b)
  const at = (part: number): string =>
    (latenciesMs[Math.floor(part * (reads - 1))] ?? Number.NaN).toFixed(2)
  const where = [...places].map(([node, count]) => `${node} ${count}`).join(', ')
  process.stdout.write(
    `${title.padEnd(24)} median ${at(0.5)}  p99 ${at(0.99)}  most ${at(1)} ms  ${where}\n`,
  )
  for (const client of [reader, ...clients]) await client.end()
}

try {
  await proxy.with((client) =>
    waitFor('reads on a replica', async () => {
      await client.query('SELECT count(*) FROM item')
      const { rows } = await client.query('SHOW pgsplit.last_route')
      return String(rows[0]?.['pgsplit.last_route']).startsWith('r')
    }),
  )
  await measure('warm-up', [])
  await measure('nothing is full', [])
  await measure('one replica is full', ['r1'])
  await measure('both replicas are full', ['r1', 'r2'])
} finally {
  await proxy.stop()
  await cluster.stop()
}
