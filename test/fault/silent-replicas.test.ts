import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EmbeddedNode } from '../../src/embedded/embedded-node.ts'
import { debianBinDir, type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { runProgram } from '../support/run-program.ts'

const binDir = debianBinDir()

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop', ...(binDir === null ? {} : { binDir }) })
  await cluster.primary.query('CREATE TABLE item AS SELECT 1 AS id', [], 'shop')
  await cluster.catchUp()
})
afterAll(() => cluster?.stop())

const replica = (index: number): EmbeddedNode => {
  const node = cluster.replicas[index]
  if (node === undefined) throw new Error(`no replica ${index}`)
  return node
}

interface Told {
  readonly code?: string
  readonly message: string
}

/** A READ ONLY transaction on the replica with this name. */
async function readOnlyAt(proxy: TestProxy, name: string): Promise<pg.Client> {
  return waitFor(`a transaction on ${name}`, async () => {
    const db = await proxy.client()
    await db.query('BEGIN READ ONLY')
    await db.query('TABLE item')
    const { rows } = await db.query('SHOW pgsplit.last_route')
    if (String(rows[0]['pgsplit.last_route']).startsWith(name)) return db
    await db.end()
    return null
  })
}

/** Only `routing.readTimeout` tells that a replica is silent: probes come much later. */
describe('with probes that are rare, a replica', () => {
  const readTimeoutMs = 1_000
  let proxy: TestProxy

  beforeAll(async () => {
    proxy = await startTestProxy(cluster, {
      monitor: { probeInterval: '10m', probeTimeout: '30s' },
      routing: { readTimeout: `${readTimeoutMs}ms`, maxLag: '1h' },
      pool: { size: 4 },
    })
  })
  afterAll(() => proxy?.stop())

  it('that works on a long query, and owes nothing else, is left alone', async () => {
    const db = await proxy.client()
    const route = async () =>
      (await db.query('SHOW pgsplit.last_route')).rows[0]['pgsplit.last_route']
    await waitFor('reads on replicas', async () => {
      await db.query('TABLE item')
      return /^r/.test(await route())
    })
    const beganMs = performance.now()
    await db.query('SELECT count(*) FROM generate_series(1, 5000) a, generate_series(1, 10000) b')
    expect(performance.now() - beganMs).toBeGreaterThan(readTimeoutMs)
    expect(await route()).toMatch(/^r/)
    await db.end()
    expect(proxy.log.filter((line) => line.includes('no sign of life'))).toEqual([])
  })

  it('that is frozen keeps no read longer than readTimeout; what can not move is told', async () => {
    const node = replica(0)
    const clients = await Promise.all(Array.from({ length: 16 }, () => proxy.client()))
    const inBlock = await readOnlyAt(proxy, 'r1')
    const errors: unknown[] = []
    const counts = clients.map(() => 0)
    let longestMs = 0
    let isDone = false
    const reading = clients.map(async (db, i) => {
      while (!isDone) {
        const beganMs = performance.now()
        const query = i % 2 === 0 ? { name: 'r', text: 'TABLE item' } : 'TABLE item'
        await db.query(query).catch((error) => errors.push(error))
        longestMs = Math.max(longestMs, performance.now() - beganMs)
        counts[i] = (counts[i] ?? 0) + 1
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })
    const progress = async (): Promise<void> => {
      const from = [...counts]
      await waitFor('reads of every client', () => counts.every((n, i) => n - (from[i] ?? 0) > 20))
    }
    await progress()
    node.freeze()
    try {
      const stuck = inBlock.query('SELECT count(*) FROM item').catch((error) => error as Told)
      await progress()
      expect(await stuck).toMatchObject({ code: '08006' })
      expect(((await inBlock.query('TABLE item').catch((e) => e)) as Told).code).toBe('25P02')
      await inBlock.query('ROLLBACK')
      expect((await inBlock.query('TABLE item')).rows).toEqual([{ id: 1 }])
    } finally {
      node.thaw()
      isDone = true
    }
    await Promise.all(reading)
    await Promise.all([...clients, inBlock].map((db) => db.end()))
    expect(errors).toEqual([])
    // The test, pgsplit and the servers share a small machine, maybe with others.
    expect(longestMs).toBeLessThan(3 * readTimeoutMs)
  })
})

describe.skipIf(binDir === null)(
  'replicas that are killed under pgbench -S with 32 clients (needs /usr/lib/postgresql/15)',
  () => {
    let proxy: TestProxy

    const pgbench = (...args: string[]) =>
      runProgram(
        `${binDir}/pgbench`,
        ['-h', '127.0.0.1', '-p', String(proxy.port), '-U', 'postgres', ...args, 'shop'],
        { PGPASSWORD: cluster.password },
      )

    beforeAll(async () => {
      proxy = await startTestProxy(cluster, { pool: { size: 10 } })
      const made = await pgbench('-i', '-s', '1', '-q')
      expect(made.code, made.err).toBe(0)
      await cluster.catchUp()
    })
    afterAll(() => proxy?.stop())

    it.each([
      ['simple', 4],
      ['extended', 3],
      ['prepared', 3],
    ] as const)('cost no client an error in mode %s, %i times', async (mode, kills) => {
      let isOver = false
      const seconds = String(2 * kills + 2)
      const load = ['-c', '32', '-j', '1', '-R', '1500', '-T', seconds]
      const running = pgbench('-S', '-n', '-M', mode, ...load).finally(() => {
        isOver = true
      })
      let killed = 0
      for (; killed < kills; killed++) {
        const node = replica(killed % 2)
        const name = `r${1 + (killed % 2)}`
        await waitFor('load on it', async () => {
          const rows = await node.query(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT abalance%'",
          )
          return rows.length > 0
        })
        expect(isOver).toBe(false)
        await node.kill()
        await proxy.waitForNode(name, ({ readable }) => !readable)
        await node.start()
        await proxy.waitForNode(name, ({ readable, fresh }) => readable && fresh)
      }
      const ran = await running
      expect(ran.err).not.toMatch(/error|aborted/i)
      expect(ran.out).toContain('number of failed transactions: 0')
      expect(ran.code).toBe(0)
      expect(killed).toBe(kills)
    })
  },
)
