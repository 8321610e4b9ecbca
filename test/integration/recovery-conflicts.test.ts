import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({
    replicas: 1,
    database: 'shop',
    // What is in the way of replay goes at once, and the primary keeps no row version for it.
    settings: { max_standby_streaming_delay: '0', hot_standby_feedback: 'off', autovacuum: 'off' },
  })
  await cluster.primary.query(
    `CREATE TABLE item (id int);
     INSERT INTO item SELECT generate_series(1, 1000);
     CREATE TABLE locked (id int);
     INSERT INTO locked VALUES (1)`,
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { routing: { consistency: 'eventual' } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** Row versions go that an older snapshot still sees. */
const removeRows = async (): Promise<void> => {
  await cluster.primary.query('DELETE FROM item WHERE id % 3 = 0', [], 'shop')
  await cluster.primary.query('INSERT INTO item SELECT generate_series(3, 999, 3)', [], 'shop')
  await cluster.primary.query('VACUUM item', [], 'shop')
}
/** Who reads the table has a lock that this is not compatible with. */
const lockTable = (): Promise<unknown> =>
  cluster.primary.query('ALTER TABLE locked ALTER id SET DEFAULT 1', [], 'shop')

const long =
  'SELECT count(*) FROM item a, item b, item c WHERE a.id + b.id + c.id < 0 OR a.id > 5000'

interface Heard {
  readonly code?: string | undefined
  readonly message: string
  readonly detail?: string | undefined
  readonly hint?: string | undefined
}

const words = ({ code, message, detail, hint }: Heard): Heard => ({ code, message, detail, hint })

async function failure(client: pg.Client, text: string): Promise<Heard> {
  try {
    await client.query(text)
  } catch (error) {
    return words(error as Heard)
  }
  throw new Error(`${text} has not failed`)
}

/** How many conflicts the replica counts in the database. */
async function conflicts(): Promise<number> {
  const [row] = await replica().query(
    "SELECT conflicts::int AS n FROM pg_stat_database WHERE datname = 'shop'",
  )
  return Number(row?.n)
}

function replica(): EmbeddedCluster['primary'] {
  const [node] = cluster.replicas
  if (node === undefined) throw new Error('unreachable: there is one')
  return node
}

/** Whatever runs on it. */
function cutOff(client: pg.Client): void {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
  connection.stream.destroy()
}

async function direct(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: replica().urlFor('shop') })
  client.on('error', () => {})
  await client.connect()
  return client
}

const busy = `SELECT count(*)::int AS n FROM pg_stat_activity
  WHERE datname = 'shop' AND state = 'active' AND query LIKE 'SELECT count(*) FROM item a%'`

describe('a transaction that is in the way of what its replica replays', () => {
  const levels = ['REPEATABLE READ', 'READ COMMITTED'] as const
  const cases = levels.flatMap((level) => [
    { level, what: 'while it runs a statement', table: 'item', isRunning: true, cause: removeRows },
    {
      level,
      what: 'between its statements, by a lock',
      table: 'locked',
      isRunning: false,
      cause: lockTable,
    },
    ...(level === 'REPEATABLE READ'
      ? [
          {
            level,
            what: 'between its statements',
            table: 'item',
            isRunning: false,
            cause: removeRows,
          },
        ]
      : []),
  ])

  it.each(cases)(
    'hears 40001 as directly, or nothing: $level $what',
    async ({ level, table, isRunning, cause }) => {
      const clients = [await direct(), await proxy.client({ database: 'shop' })] as const
      try {
        const [, proxied] = clients
        // Who says so keeps such a transaction there at any isolation level.
        await proxied.query("SET pgsplit.route = 'replica'")
        await waitFor('reads on the replica', async () => {
          await proxied.query(`SELECT count(*) FROM ${table}`)
          const { rows } = await proxied.query('SHOW pgsplit.last_route')
          return String(rows[0]['pgsplit.last_route']).startsWith('r1')
        })
        for (const client of clients) {
          await client.query(`BEGIN ISOLATION LEVEL ${level} READ ONLY`)
          await client.query(`SELECT count(*) FROM ${table}`)
        }
        const before = await conflicts()
        const text = isRunning ? long : `SELECT count(*) FROM ${table}`
        const failing = isRunning ? clients.map((client) => failure(client, text)) : []
        if (isRunning) {
          await waitFor('both to run it', async () => {
            const [row] = await replica().query(busy)
            return Number(row?.n) === 2
          })
        }
        await cause()
        await cluster.catchUp()
        if (!isRunning) {
          await waitFor('both to be in the way', async () => (await conflicts()) >= before + 2)
          failing.push(...clients.map((client) => failure(client, text)))
        }
        if (isRunning && level === 'READ COMMITTED') {
          // Nothing of it was seen, and its snapshot was its own: the primary runs it.
          expect(await failing[0]).toMatchObject({ code: '40001' })
          await waitFor('it to run on the primary', async () => {
            const [row] = await cluster.primary.query(busy)
            return Number(row?.n) === 1
          })
          return
        }
        const [ownHeard, heard] = await Promise.all(failing)
        expect(ownHeard?.code === '40001' || !isRunning).toBe(true)
        expect(heard).toMatchObject({ code: '40001' })
        if (isRunning) expect(heard).toEqual(ownHeard)
        else {
          const said = await replica().logTail(20_000)
          expect(said).toContain(heard?.message)
        }
        // Whoever runs it again succeeds, on the same connection.
        await proxied.query('ROLLBACK')
        await proxied.query(`BEGIN ISOLATION LEVEL ${level} READ ONLY`)
        const { rows } = await proxied.query(`SELECT count(*)::int AS n FROM ${table}`)
        expect(rows[0].n).toBeGreaterThan(0)
        await proxied.query('COMMIT')
        expect(proxy.proxy.snapshot().nodes.find(({ id }) => id === 'r1')?.health).toBe('up')
      } finally {
        for (const client of clients) cutOff(client)
      }
    },
    60_000,
  )
})
