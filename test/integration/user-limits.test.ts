import type pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy
/** An administrator's. */
let admin: pg.Client

/** One role for each thing that is tested, each with its own limits. */
const limits = {
  few: { connections: 2 },
  turns: { concurrency: 1 },
  short: { statementTime: '150ms' },
  rows: { rows: 10 },
  bytes: { bytes: '8kB' },
}
const roles = [...Object.keys(limits), 'told', 'plain']

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1, database: 'shop' })
  await cluster.primary.query(
    `CREATE TABLE item (id int PRIMARY KEY, n int DEFAULT 0);
     INSERT INTO item SELECT g FROM generate_series(1, 100) g;
     ${roles.map((name) => `CREATE ROLE ${name} LOGIN PASSWORD '${cluster.password}'; GRANT ALL ON item TO ${name}`).join(';')}`,
    [],
    'shop',
  )
  await cluster.catchUp()
  const own = { password: 'unused', serverPassword: cluster.password }
  proxy = await startTestProxy(cluster, {
    pool: { checkoutTimeout: '2s' },
    auth: {
      method: 'trust',
      users: [
        ...Object.entries(limits).map(([name, limit]) => ({ name, ...own, limits: limit })),
        { name: 'told', ...own, route: 'primary', maxLag: '3s' },
        { name: 'plain', ...own, poolSize: 1 },
      ],
      rules: [
        { user: 'told', consistency: 'eventual', poolMode: 'session', limits: { rows: 50 } },
        { application: 'report', access: 'read', limits: { rows: 5 } },
        {},
      ],
    },
  })
  admin = await proxy.client({ database: 'pgsplit' })
})
afterAll(async () => {
  await admin?.end()
  await proxy?.stop()
  await cluster?.stop()
})

const by = (user: string) => proxy.client({ user, database: 'shop' })
const clients: pg.Client[] = []
async function open(user: string, config: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = await proxy.client({ user, database: 'shop' }, config)
  clients.push(client)
  return client
}
async function closeAll(): Promise<void> {
  await Promise.all(clients.splice(0).map((client) => client.end().catch(() => {})))
}

async function rule(user: string): Promise<Record<string, unknown>> {
  const { rows } = await admin.query('SHOW RULES')
  return rows.find((row) => row.user === user) ?? {}
}

async function failure(work: Promise<unknown>): Promise<{ code?: string; message: string }> {
  return work.then(
    () => ({ message: 'none' }),
    (error: { code?: string; message: string }) => error,
  )
}

it('refuses a connection more than a user may have, and lets in when one has gone', async () => {
  await open('few')
  const second = await open('few')
  await expect(by('few')).rejects.toMatchObject({
    code: '53300',
    message: 'too many connections for user "few": 2 of 2 are open',
  })
  // Others are not concerned.
  await open('plain')
  expect(await rule('few')).toMatchObject({
    clients: '2',
    max_clients: '2',
    source: 'users and rules[2]',
  })
  await second.end()
  await waitFor('room for another one', async () => (await rule('few')).clients === '1')
  await open('few')
  await closeAll()
})

it('lets so many work at a time: others wait for their turn, and not for ever', async () => {
  const [one, two, three] = await Promise.all([open('turns'), open('turns'), open('turns')])
  if (one === undefined || two === undefined || three === undefined) throw new Error('unreachable')
  await one.query('BEGIN')
  await one.query('UPDATE item SET n = 1 WHERE id = 1')
  const waits = two.query('SELECT 1 AS one')
  await waitFor('one that waits', async () => (await rule('turns')).waiting === '1')
  expect(await rule('turns')).toMatchObject({ running: '1', max_running: '1' })
  // What goes on in the transaction never waits: it is what makes room.
  await one.query('UPDATE item SET n = 2 WHERE id = 1')
  await one.query('COMMIT')
  expect((await waits).rows).toEqual([{ one: 1 }])
  await waitFor('nobody at work', async () => (await rule('turns')).running === '0')

  await one.query('BEGIN')
  await one.query('SELECT 1 FROM item FOR UPDATE')
  const late = await failure(three.query({ text: 'SELECT 3', values: [] }))
  expect(late).toMatchObject({
    code: '53300',
    message: expect.stringContaining('no turn for this'),
  })
  await one.query('COMMIT')
  // It goes on.
  expect((await three.query('SELECT 3 AS three')).rows).toEqual([{ three: 3 }])

  // Who leaves in the middle, or while it waits, keeps nobody.
  await one.query('BEGIN')
  await one.query('SELECT 1 FROM item FOR UPDATE')
  const left = failure(two.query('SELECT 2'))
  await waitFor('one that waits', async () => (await rule('turns')).waiting === '1')
  two.connection.stream.destroy()
  await left
  one.connection.stream.destroy()
  await waitFor('nobody at work', async () => {
    const { running, waiting } = await rule('turns')
    return running === '0' && waiting === '0'
  })
  expect((await three.query('SELECT 4 AS four')).rows).toEqual([{ four: 4 }])
  await closeAll()
})

it('cancels what runs too long, says why, and goes on', async () => {
  const client = await open('short')
  const said = {
    code: '57014',
    message: 'canceling statement: it has run for 150 ms',
  }
  expect(await failure(client.query('SELECT pg_sleep(30)'))).toMatchObject(said)
  expect(await failure(client.query({ text: 'SELECT pg_sleep($1)', values: [30] }))).toMatchObject(
    said,
  )
  expect(await failure(client.query({ name: 's', text: 'SELECT pg_sleep(30)' }))).toMatchObject(
    said,
  )
  // No setting of the client's changes it.
  await client.query('SET statement_timeout = 0')
  await client.query('BEGIN')
  await client.query('UPDATE item SET n = 9 WHERE id = 9')
  expect(await failure(client.query('SELECT pg_sleep(30)'))).toMatchObject(said)
  expect(await failure(client.query('SELECT 1'))).toMatchObject({ code: '25P02' })
  await client.query('ROLLBACK')
  expect((await client.query('SELECT n FROM item WHERE id = 9')).rows).toEqual([{ n: 0 }])
  expect(await rule('short')).toMatchObject({ timed_out: '4', max_statement_ms: '150' })
  const [running] = await cluster.primary.query(
    `SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE '%pg_sleep(%' AND state = 'active' AND pid <> pg_backend_pid()`,
  )
  expect(running).toEqual({ n: 0 })
  await closeAll()
})

it('closes where an answer has more rows or bytes than the client may take, and not before', async () => {
  const client = await open('rows')
  expect((await client.query('SELECT id FROM item LIMIT 10')).rows).toHaveLength(10)
  const said = { code: '54000', message: expect.stringContaining('more than the 10 rows') }
  expect(await failure(client.query('SELECT id FROM item'))).toMatchObject(said)
  for (const query of [
    { text: 'SELECT id FROM item WHERE id > $1', values: [0] },
    'COPY item TO STDOUT',
    'SELECT id FROM item LIMIT 6; SELECT id FROM item LIMIT 6',
  ]) {
    const other = await open('rows')
    expect(await failure(other.query(query))).toMatchObject(said)
  }
  // A write that answers too much is undone with its transaction.
  const writer = await open('rows')
  await writer.query('BEGIN')
  expect(await failure(writer.query('UPDATE item SET n = 7 RETURNING id'))).toMatchObject(said)
  await waitFor('the transaction to be gone', async () => {
    const [row] = await cluster.primary.query(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'postgres' AND state = 'idle in transaction'`,
    )
    return row?.n === 0
  })
  const [changed] = await cluster.primary.query(
    'SELECT count(*)::int AS n FROM item WHERE n = 7',
    [],
    'shop',
  )
  expect(changed).toEqual({ n: 0 })
  expect(await rule('rows')).toMatchObject({ cut: '5', max_rows: '10' })

  const heavy = await open('bytes')
  const fits = await heavy.query("SELECT repeat('x', 8000) AS text")
  expect(fits.rows[0].text).toHaveLength(8000)
  const raw = await proxy.raw({ user: 'bytes', database: 'shop' })
  raw.drop()
  const messages = await raw
    .query("SELECT repeat('x', 100) FROM generate_series(1, 1000000)")
    .catch(() => [])
  expect(messages).toEqual([])
  await raw.closed()
  expect(raw.droppedBytes).toBeLessThanOrEqual(8192)
  expect(raw.droppedBytes).toBeGreaterThan(7900)
  // One row that is too long by itself.
  expect(await failure(heavy.query("SELECT repeat('x', 3000000)"))).toMatchObject({ code: '54000' })
  await closeAll()
})

it('gives what users and rules say, to be changed by the client; the stricter limit holds', async () => {
  const shows = async (client: pg.Client, name: string): Promise<unknown> =>
    Object.values((await client.query(`SHOW pgsplit.${name}`)).rows[0] ?? {})[0]
  const told = await open('told')
  expect(await shows(told, 'route')).toBe('primary')
  expect(await shows(told, 'consistency')).toBe('eventual')
  expect(await shows(told, 'max_lag')).toBe('3000ms')
  expect(await shows(told, 'pool_mode')).toBe('session')
  expect(await shows(told, 'limits')).toBe('rows=50')
  expect(await shows(told, 'access')).toBe('all')
  await told.query('SELECT count(*) FROM item')
  expect(await shows(told, 'last_route')).toMatch(/^primary/)
  await told.query("SET pgsplit.route = 'auto'")
  await told.query('RESET pgsplit.route')
  expect(await shows(told, 'route')).toBe('primary')
  // By what a client says of itself.
  const report = await open('rows', { application_name: 'report' })
  expect(await shows(report, 'access')).toBe('read')
  expect(await shows(report, 'limits')).toBe('rows=5')
  await expect(report.query('DELETE FROM item')).rejects.toMatchObject({ code: '25006' })
  const [one, two] = await Promise.all([open('plain'), open('plain')])
  await one?.query('BEGIN')
  await one?.query('UPDATE item SET n = 3 WHERE id = 3')
  // One connection per node: the primary's is taken.
  await expect(two?.query('UPDATE item SET n = 4 WHERE id = 4')).rejects.toMatchObject({
    code: '53300',
  })
  await one?.query('ROLLBACK')
  await closeAll()
})
