import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cancelServer } from '../../src/server/cancel-request.ts'
import { type EmbeddedCluster, sql, startCluster, waitFor } from '../support/cluster.ts'
import { query } from '../support/conversation-frames.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { type RawClient, rows, sqlstate } from '../support/raw-client.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'late', replicas: 1 })
  await sql(
    cluster.primary.urlFor('late'),
    'CREATE TABLE counter (id int PRIMARY KEY, n int); INSERT INTO counter VALUES (1, 0), (2, 0)',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 2, checkoutTimeout: '20s' } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const cancel = ({ login }: RawClient): Promise<void> =>
  cancelServer({
    target: { host: '127.0.0.1', port: proxy.port },
    processId: login.processId,
    secretKey: login.secretKey,
  })

/** Locks on tables of the test's database. */
const locks = async (): Promise<number> => {
  const [row] = await sql<{ n: number }>(
    cluster.primary.urlFor('late'),
    "SELECT count(*)::int AS n FROM pg_locks WHERE relation = 'counter'::regclass AND pid <> pg_backend_pid()",
  )
  return row?.n ?? -1
}

describe('a cancel request that comes as its statement ends', () => {
  it.each([
    ['reads', 'SELECT n FROM counter WHERE id = 1'],
    ['writes', 'UPDATE counter SET n = n + 1 WHERE id = 1'],
  ])(
    'hits nobody else, 200 times, among %s on 2 connections',
    async (_name, text) => {
      const others = await Promise.all(Array.from({ length: 4 }, () => proxy.raw()))
      const hasty = await proxy.raw()
      let isOver = false
      const wrong: unknown[] = []
      const work = others.map(async (client, i) => {
        const own =
          i % 2 === 0
            ? 'SELECT txid_current() > 0, pg_sleep(0.002)'
            : 'SELECT count(*) FROM counter'
        while (!isOver) {
          const state = sqlstate(await client.query(own))
          if (state !== null) wrong.push({ own, state })
        }
      })
      const states = new Set<string | null>()
      for (let round = 0; round < 200; round++) {
        hasty.send(query(text))
        // In front of the answer, and right behind it.
        const asked = round % 2 === 0 ? cancel(hasty) : null
        states.add(sqlstate(await hasty.until('Z')))
        await (asked ?? cancel(hasty))
      }
      isOver = true
      await Promise.all(work)
      expect(wrong).toEqual([])
      states.delete('57014')
      expect([...states]).toEqual([null])
      for (const client of [...others, hasty]) client.end()
    },
    90_000,
  )
})

describe('a client that closes its side', () => {
  it('in an idle transaction is rolled back at once', async () => {
    const client = await proxy.raw()
    await client.query('BEGIN')
    await client.query('UPDATE counter SET n = n + 1 WHERE id = 2')
    expect(await locks()).toBeGreaterThan(0)
    client.halfClose()
    await waitFor('no lock', async () => (await locks()) === 0, 5_000)
  })

  it('while a statement of its transaction waits is rolled back as soon as that has ended', async () => {
    const [client, holder] = await Promise.all([proxy.raw(), proxy.raw()])
    await holder.query('SELECT pg_advisory_lock(77)')
    await client.query('BEGIN')
    await client.query('UPDATE counter SET n = n + 1 WHERE id = 2')
    client.send(query('SELECT pg_advisory_xact_lock(77)'))
    await waitFor('it to wait', async () => {
      const waiting = await sql(
        cluster.primary.url,
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
      )
      return waiting.length > 0
    })
    client.halfClose()
    await holder.query('SELECT pg_advisory_unlock(77)')
    await waitFor('no lock', async () => (await locks()) === 0, 5_000)
    const found = await holder.query('SELECT n FROM counter WHERE id = 2')
    expect(rows(found)).toEqual([['0']])
    holder.end()
  })

  it('behind a write has it done, and in front of COMMIT it has not', async () => {
    const client = await proxy.raw()
    client.send(query('UPDATE counter SET n = 100 WHERE id = 2'), query('BEGIN'))
    client.send(query('UPDATE counter SET n = 200 WHERE id = 2'))
    client.halfClose()
    await client.closed()
    await waitFor('no lock', async () => (await locks()) === 0, 5_000)
    expect(await sql(cluster.primary.urlFor('late'), 'SELECT n FROM counter WHERE id = 2')).toEqual(
      [{ n: 100 }],
    )
  })
})
