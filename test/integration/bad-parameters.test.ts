import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

/** What one client does wrong is its own error, and sends nobody's reads to the primary. */

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'shop', replicas: 1 })
  await cluster.primary.query(
    `CREATE TABLE pr (a int, t text); INSERT INTO pr VALUES (1, 'x');
     CREATE MATERIALIZED VIEW mv AS SELECT a FROM pr WITH NO DATA`,
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

/** A statement, a value that it fails with on any node, and one that it doesn't. */
const mistakes: readonly (readonly [text: string, bad: string, good: string])[] = [
  ['SELECT date_trunc($1, now()), a FROM pr', 'timezone', 'day'],
  ["SELECT date_part($1, date '2020-01-01'), a FROM pr", 'timezone', 'day'],
  ['SELECT date_bin($1::interval, now(), now()), a FROM pr', '1 month', '1 day'],
  ['SELECT array_position($1::int[], a) FROM pr', '{{1,2},{3,4}}', '{1,2}'],
  ['SELECT array_remove($1::int[], a) FROM pr', '{{1,2},{3,4}}', '{1,2}'],
  ['SELECT array_fill(a, $1::int[]) FROM pr', '{1,2,3,4,5,6,7}', '{2}'],
  ['SELECT regexp_match(t, t, $1) FROM pr', 'g', 'i'],
  ['SELECT generate_series(1, 3, $1::int), a FROM pr', '0', '1'],
  ['SELECT int4range(a, $1::int) FROM pr', '-5', '5'],
  ['SELECT a FROM pr WHERE a = $1::int', 'x', '1'],
  ['SELECT a FROM pr LIMIT $1::int', '-1', '1'],
  ['SELECT a / $1::int FROM pr', '0', '1'],
  ['SELECT pg_catalog.normalize(t, $1) FROM pr', 'nfx', 'NFC'],
  ['SELECT json_object($1::text[]), a FROM pr', '{a}', '{a,b}'],
]

async function failure(client: Client, text: string, values?: readonly string[]): Promise<string> {
  return client.query({ text, ...(values && { values: [...values] }) }).then(
    () => 'no error',
    ({ code, message }: { code?: string; message: string }) => `${code} ${message}`,
  )
}

const toReplicas = "SET pgsplit.consistency = 'eventual'"

async function where(client: Client): Promise<string> {
  const { rows } = await client.query('SHOW pgsplit.last_route')
  return String(rows[0]['pgsplit.last_route'])
}

async function withBoth(work: (direct: Client, one: Client, other: Client) => Promise<void>) {
  const direct = new Client({ connectionString: cluster.primary.urlFor('shop') })
  await direct.connect()
  try {
    await proxy.with(async (one) => {
      await proxy.with(async (other) => {
        for (const client of [one, other]) {
          await client.query(toReplicas)
          await waitFor('a read on a replica', async () => {
            await client.query('SELECT a FROM pr')
            return /^r\d/.test(await where(client)) || undefined
          })
        }
        await work(direct, one, other)
      })
    })
  } finally {
    await direct.end()
  }
}

describe('a bad value', () => {
  it.each(mistakes)(
    'fails for its client as directly, and for nobody else: %s',
    async (text, bad, good) => {
      await withBoth(async (direct, one, other) => {
        const expected = await failure(direct, text, [bad])
        expect(expected).not.toBe('no error')
        for (let round = 0; round < 3; round++) {
          expect(await failure(one, text, [bad])).toBe(expected)
          for (const client of [other, one]) {
            await client.query(text, [good])
            expect(await where(client)).toMatch(/^r\d/)
          }
        }
      })
    },
  )
})

it('a materialized view that has no data yet is read from replicas when it has some', async () => {
  await withBoth(async (direct, one, other) => {
    const text = 'SELECT a FROM mv'
    const expected = await failure(direct, text)
    for (let round = 0; round < 3; round++) expect(await failure(one, text)).toBe(expected)
    await direct.query('REFRESH MATERIALIZED VIEW mv')
    await cluster.catchUp()
    await waitFor('a read on a replica', async () => {
      await other.query(text)
      return /^r\d/.test(await where(other)) || undefined
    })
  })
})
