import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, sql, startCluster, waitFor } from '../support/cluster.ts'
import { copyData, flush, query, quick, sync } from '../support/conversation-frames.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { RawClient } from '../support/raw-client.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'odd' })
  await cluster.primary.query('CREATE TABLE heard (what text)', [], 'odd')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 2 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** What a client hears that sends all of it and closes its side; types of messages. */
async function heard(port: number, ...frames: readonly Buffer[]): Promise<string> {
  const { password } = cluster
  const client = await RawClient.logIn({ port, user: 'postgres', password, database: 'odd' })
  client.send(...frames)
  client.halfClose()
  await client.closed()
  return client.types
}

const talks: Readonly<Record<string, readonly Buffer[]>> = {
  'a write': [query("INSERT INTO heard VALUES ('write')")],
  'a read that takes its time': [query('SELECT pg_sleep(0.3)')],
  'several, one after the other': [
    query("INSERT INTO heard VALUES ('first')"),
    query('SELECT 1'),
    query('SELECT 1/0'),
    query('SELECT count(*) > 0 FROM heard'),
  ],
  'a pipeline': [
    ...quick("INSERT INTO heard VALUES ('pipe')"),
    sync,
    ...quick('SELECT pg_sleep(0.1)'),
    sync,
    ...quick('SELECT 2'),
    sync,
  ],
  'a transaction': [query('BEGIN'), query("INSERT INTO heard VALUES ('tx')"), query('COMMIT')],
  'a transaction without its end': [query('BEGIN'), query("INSERT INTO heard VALUES ('lost')")],
  'half a message': [query('SELECT 3'), query('SELECT 4').subarray(0, 8)],
}

describe('a client that closes its side', () => {
  it.each(Object.entries(talks))('after %s hears what PostgreSQL says', async (_name, frames) => {
    const direct = await heard(cluster.primary.port, ...frames)
    expect(await heard(proxy.port, ...frames)).toBe(direct)
  })

  it('in the middle of what is too long to be collected leaves no server connection behind', async () => {
    const long = query(`SELECT '${'x'.repeat(18 * 1024 * 1024)}'`)
    // More often than there are connections in the pool.
    for (let i = 0; i < 4; i++) await heard(proxy.port, long.subarray(0, 2 * 1024 * 1024))
    await heard(proxy.port, query("INSERT INTO heard VALUES ('behind half a message')"))
    const rows = await sql(
      cluster.primary.urlFor('odd'),
      "DELETE FROM heard WHERE what = 'behind half a message' RETURNING what",
    )
    expect(rows).toHaveLength(1)
  })

  it('in the middle of a COPY stores nothing', async () => {
    await heard(proxy.port, query('COPY heard FROM STDIN'), copyData('lost\n'))
    await heard(proxy.port, ...quick('COPY heard FROM STDIN'), copyData('lost\n'), flush)
  })

  it('has its writes done and leaves nothing open', async () => {
    const url = cluster.primary.url
    const rows = await sql<{ what: string }>(url, 'SELECT what FROM heard ORDER BY 1')
    const twice = ['first', 'pipe', 'tx', 'write'].flatMap((what) => [{ what }, { what }])
    expect(rows).toEqual(twice)
    await waitFor('no open transaction', async () => {
      const open = await sql(url, "SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in%'")
      return open.length === 0
    })
  })
})
