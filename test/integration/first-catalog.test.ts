import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy | null = null

const web = { user: 'web', password: 'web' }
const readers = 24
/** So many have to wait for a connection, while the others are pinned. */
const poolSize = 12

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    `CREATE ROLE web LOGIN PASSWORD 'web';
     CREATE TABLE item (id int);
     INSERT INTO item VALUES (7);
     CREATE FUNCTION known(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT id FROM item WHERE id = $1';
     CREATE VIEW shown AS SELECT known(id) AS id FROM item;
     GRANT SELECT ON item, shown TO web`,
    [],
    'shop',
  )
  await cluster.catchUp()
})

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

async function say(client: pg.Client, text: string): Promise<string> {
  const { rows } = await client.query(text)
  return String(Object.values(rows[0] ?? { none: '' })[0])
}

/** Nobody can read the catalog while this is held; nothing else needs that table. */
async function holdCatalog(): Promise<() => Promise<void>> {
  const holder = new pg.Client({ connectionString: cluster.primary.urlFor('shop') })
  holder.on('error', () => {})
  await holder.connect()
  await holder.query('BEGIN; LOCK TABLE pg_catalog.pg_foreign_table IN ACCESS EXCLUSIVE MODE')
  return () => holder.end()
}

it.each([
  ['a table', 'SELECT id FROM item'],
  ['a function', 'SELECT known(7) AS id'],
  ['a view', 'SELECT id FROM shown'],
])('ends with the first catalog what pinned readers before it: %s', async (_, text) => {
  const release = await holdCatalog()
  const clients: pg.Client[] = []
  try {
    proxy = await startTestProxy(cluster, {
      pool: { size: poolSize, checkoutTimeout: '30s' },
      routing: { consistency: 'eventual' },
    })
    clients.push(...(await Promise.all(Array.from({ length: readers }, () => proxyClient()))))
    const [first] = clients
    if (first === undefined) throw new Error('unreachable: there are readers')
    expect(await say(first, text)).toBe('7')
    expect(await say(first, 'SHOW pgsplit.last_route')).toMatch(/^primary/)
    // Nobody knows yet what a read may run: its connection is the session's till then.
    expect(await say(first, 'SHOW pgsplit.pin')).toContain('the catalog is being read')
    const reads = clients.map((client) => say(client, text))
    await waitFor('readers that wait for pinned ones', async () => {
      const [row] = await cluster.primary.query(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'web' AND state = 'idle'",
      )
      return Number(row?.n) > 1
    })
    await release()
    expect(await Promise.all(reads)).toEqual(clients.map(() => '7'))
    for (const client of clients) {
      await waitFor('a read on a replica', async () => {
        expect(await say(client, text)).toBe('7')
        return /^r\d/.test(await say(client, 'SHOW pgsplit.last_route'))
      })
      expect(await say(client, 'SHOW pgsplit.pin')).toBe('')
    }
  } finally {
    await release().catch(() => {})
    await Promise.all(clients.map((client) => client.end().catch(() => {})))
    await proxy?.stop()
    proxy = null
  }
})

function proxyClient(): Promise<pg.Client> {
  if (proxy === null) throw new Error('unreachable: it has been started')
  return proxy.client(web)
}
