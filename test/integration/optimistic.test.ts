import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { endOfLog, ranAt, tagged } from '../support/node-log.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { message, RawClient, type RawLogin } from '../support/raw-client.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

const schema = `
CREATE TABLE pr (a int PRIMARY KEY, made timestamptz DEFAULT now());
INSERT INTO pr VALUES (1, '2026-01-01'), (2, '2026-01-02');
CREATE UNLOGGED TABLE ul (a int); INSERT INTO ul VALUES (3);
CREATE SEQUENCE s; CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE feelings (m mood, d date); INSERT INTO feelings VALUES ('sad', '2026-01-01');
CREATE VIEW plain AS SELECT a, made::date AS day FROM pr;
CREATE VIEW recent AS SELECT a FROM pr WHERE made > CURRENT_DATE - 10000;
CREATE VIEW converted AS SELECT a::text::date FROM pr WHERE false;
CREATE FUNCTION add_one(i int) RETURNS int LANGUAGE sql STABLE AS 'SELECT i + 1';
CREATE FUNCTION asks() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()';
CREATE FUNCTION asks_by_body() RETURNS date LANGUAGE sql STABLE RETURN CURRENT_DATE;
CREATE FUNCTION asks_through() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT asks()';
CREATE FUNCTION converts(t text) RETURNS date LANGUAGE sql STABLE AS 'SELECT t::date';
CREATE FUNCTION in_plpgsql() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END';
CREATE DOMAIN day AS date; CREATE DOMAIN fresh AS int CHECK (VALUE > 0 AND now() IS NOT NULL);
CREATE TABLE account (id int PRIMARY KEY, v int); INSERT INTO account VALUES (1, 0);
CREATE TABLE owned (a int, who text); INSERT INTO owned VALUES (1, 'postgres');
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON owned USING (who = CURRENT_USER);
CREATE TABLE timed (a int); ALTER TABLE timed ENABLE ROW LEVEL SECURITY;
CREATE POLICY now_only ON timed USING (LOCALTIMESTAMP IS NOT NULL);
CREATE ROLE nr; GRANT SELECT ON pr TO nr;
CREATE ROLE repeater LOGIN SUPERUSER PASSWORD 'repeater';
ALTER ROLE repeater SET default_transaction_isolation = 'repeatable read'`

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop', settings: { log_statement: 'all' } })
  await cluster.primary.query(schema, [], 'shop')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, {
    routing: { transactions: 'optimistic', causalWait: '2s' },
  })
  await waitFor('a transaction on a replica', () => proxy.with((db) => endsOnReplica(db)))
}, 120_000)

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

async function node(db: pg.Client): Promise<string> {
  const { rows } = await db.query('SHOW pgsplit.last_route')
  return rows[0]['pgsplit.last_route']
}

async function endsOnReplica(db: pg.Client, text = 'SELECT a FROM pr'): Promise<boolean> {
  await db.query('BEGIN')
  await db.query(text)
  const where = await node(db)
  await db.query('ROLLBACK')
  return /^r\d: optimistic/.test(where)
}

const reads: Readonly<Record<string, string>> = {
  read: 'SELECT a FROM pr ORDER BY a',
  'time of the transaction': "SELECT now() = now() AND now() > '2026-01-01'",
  'unlogged table': 'SELECT a FROM ul',
  'node-local function': 'SELECT pg_is_in_recovery()',
}

const seconds: Readonly<Record<string, readonly string[]>> = {
  nothing: [],
  reads: ['SELECT a FROM pr WHERE a = 2', "SELECT 'x'::mood", 'SELECT count(*) FROM feelings'],
  write: ['INSERT INTO pr VALUES (9)', 'SELECT a FROM pr ORDER BY a'],
  'write with RETURNING': ['WITH w AS (DELETE FROM pr RETURNING a) SELECT a FROM w ORDER BY a'],
  nextval: ["SELECT nextval('s') > 0", "SELECT currval('s') > 0"],
  'temporary table': ['CREATE TEMP TABLE tt (a int) ON COMMIT DROP', 'SELECT * FROM tt'],
  lock: ['LOCK pr IN SHARE MODE', 'SELECT a FROM pr FOR UPDATE'],
  'advisory lock': ['SELECT pg_advisory_xact_lock(5)', 'SELECT pg_try_advisory_xact_lock(5)'],
  'local role': ['SET LOCAL ROLE nr', 'SELECT current_user', 'INSERT INTO pr VALUES (9)'],
  'local setting': [
    "SELECT set_config('app.tenant', 'x', true)",
    "SELECT current_setting('app.tenant')",
    'INSERT INTO pr VALUES (9)',
    "SELECT current_setting('app.tenant')",
  ],
  setting: ["SET work_mem = '5MB'", 'SHOW work_mem', 'INSERT INTO pr VALUES (9)'],
  cursor: ['DECLARE c CURSOR FOR SELECT a FROM pr ORDER BY a', 'FETCH 1 FROM c', 'FETCH 1 FROM c'],
  savepoint: [
    'SAVEPOINT x',
    'INSERT INTO pr VALUES (9)',
    'ROLLBACK TO x',
    'SELECT a FROM pr ORDER BY a',
    'RELEASE x',
  ],
  'savepoint around a mistake': [
    'SAVEPOINT x',
    'SELECT 1 / 0',
    'SELECT a FROM pr',
    'ROLLBACK TO x',
    'INSERT INTO pr VALUES (9)',
    'SELECT a FROM pr ORDER BY a',
  ],
  'nested savepoints': [
    'SAVEPOINT x',
    'SET LOCAL work_mem = 1234',
    'SAVEPOINT y',
    'SET LOCAL work_mem = 2345',
    'ROLLBACK TO y',
    'RELEASE x',
    'SELECT a FROM pr WHERE a = 1',
    'INSERT INTO pr VALUES (9)',
    "SELECT current_setting('work_mem')",
    'ROLLBACK TO x',
  ],
  'no such savepoint': ['ROLLBACK TO nowhere', 'SELECT 1'],
  mistake: ['SELECT 1 / 0', 'SELECT 1', 'INSERT INTO pr VALUES (9)'],
  'mistake in a name': ['SELECT nothing FROM pr', 'SELECT 1'],
  'mistake in a write': ['INSERT INTO pr VALUES (1)', 'SELECT 1'],
  'another BEGIN': ['BEGIN', 'SELECT a FROM pr WHERE a = 1'],
  modes: ['SET TRANSACTION READ ONLY', 'INSERT INTO pr VALUES (9)'],
  'late level': ['SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'SELECT 1'],
  'what it is': ['SHOW transaction_isolation', 'SHOW transaction_read_only'],
  constraints: ['SET CONSTRAINTS ALL DEFERRED', 'SELECT a FROM pr WHERE a = 1'],
  chain: ['ROLLBACK AND CHAIN', 'SELECT a FROM pr WHERE a = 1', 'INSERT INTO pr VALUES (9)'],
  prepared: ['PREPARE p AS SELECT a FROM pr ORDER BY a', 'EXECUTE p', 'DEALLOCATE p'],
  notify: ['NOTIFY ch', 'SELECT a FROM pr WHERE a = 1'],
  copy: ['COPY pr (a) TO STDOUT', 'COPY (SELECT a FROM pr ORDER BY a) TO STDOUT'],
  explain: ['EXPLAIN (COSTS OFF) SELECT a FROM ul', 'EXPLAIN (COSTS OFF) DELETE FROM ul'],
  'two-phase commit': ["PREPARE TRANSACTION 'none'", "ROLLBACK PREPARED 'none'", 'SELECT 1'],
  'failed two-phase commit': ['SELECT 1 / 0', "PREPARE TRANSACTION 'none'", 'SELECT 1'],
  ddl: ['CREATE TABLE made (a int)', 'SELECT * FROM made', 'ALTER TABLE made ADD b int'],
  'empty text': ['', '-- nothing', 'SELECT 1'],
}

interface Talk {
  readonly name: string
  readonly texts: readonly string[]
}

function* talks(): Generator<Talk> {
  for (const [first, read] of Object.entries(reads)) {
    for (const [second, texts] of Object.entries(seconds)) {
      for (const end of first === 'read' ? ['COMMIT', 'ROLLBACK'] : ['ROLLBACK']) {
        const isKept = texts.some((text) => /^(INSERT|WITH|CREATE TABLE)/.test(text))
        if (isKept && end === 'COMMIT') continue
        yield { name: `${first}, ${second}, ${end}`, texts: ['BEGIN', read, ...texts, end] }
      }
    }
  }
}

const run = (text: string): Buffer[] => [
  message('P', '', text, 0),
  message('B', '', '', 0, 0, 0),
  message('D', Buffer.from('P'), ''),
  message('E', '', Buffer.alloc(4)),
]

/** The ways of saying the same: one by one, or all at once. */
const ways: Readonly<
  Record<string, (client: RawClient, texts: readonly string[]) => Promise<string[]>>
> = {
  'one Query after the other': (client, texts) =>
    inTurns(
      client,
      texts.map((text) => [message('Q', text)]),
    ),
  'one segment after the other': (client, texts) =>
    inTurns(
      client,
      texts.map((text) => [...run(text), message('S')]),
    ),
  'all Queries at once': async (client, texts) => {
    client.send(...texts.map((text) => message('Q', text)))
    return hear(client, texts.length)
  },
  'all segments at once': async (client, texts) => {
    client.send(...texts.flatMap((text) => [...run(text), message('S')]))
    return hear(client, texts.length)
  },
}

async function inTurns(client: RawClient, turns: readonly Buffer[][]): Promise<string[]> {
  const heard: string[] = []
  for (const frames of turns) {
    client.send(...frames)
    heard.push(...(await hear(client, 1)))
  }
  return heard
}

async function hear(client: RawClient, count: number): Promise<string[]> {
  const heard: string[] = []
  for (let left = count; left > 0; left--) {
    for (const { type, body } of await client.until('Z')) {
      // Of a table that the transaction has made.
      if (type === 'T') body.fill(0, body.indexOf(0, 2) + 1, body.indexOf(0, 2) + 5)
      // Reported beside the answer, in any order.
      if (type !== 'S') heard.push(`${type} ${body.toString('latin1')}`)
    }
  }
  return heard
}

it.each(Object.entries(ways))(
  'answers byte for byte as PostgreSQL does: %s',
  async (_name, hold) => {
    const login: RawLogin = {
      port: cluster.primary.port,
      user: 'postgres',
      password: cluster.password,
      database: 'shop',
    }
    const [direct, split] = await Promise.all([
      RawClient.logIn(login),
      RawClient.logIn({ ...login, port: proxy.port }),
    ])
    let count = 0
    try {
      for (const { name, texts } of talks()) {
        const expected = await hold(direct, texts)
        expect({ name, heard: await hold(split, texts) }).toEqual({ name, heard: expected })
        count++
      }
    } finally {
      direct.end()
      split.end()
    }
    expect(count).toBeGreaterThan(100)
  },
  120_000,
)

it('runs at least 95 of 100 transactions that only read on replicas, and none on two nodes', async () => {
  const offsets = [cluster.primary, ...cluster.replicas].map((one) => endOfLog(one))
  await proxy.with(async (db) => {
    for (let i = 0; i < 100; i++) {
      await db.query('BEGIN')
      await db.query(`SELECT a FROM pr ${tagged('onlyreads', i)}`)
      await db.query(`SELECT count(*) FROM feelings ${tagged('onlyreads', i)}`)
      await db.query('COMMIT')
    }
  })
  const nodes = [cluster.primary, ...cluster.replicas]
  const [onPrimary, ...others] = nodes.map((one, i) => ranAt(one, 'onlyreads', offsets[i]))
  expect(onPrimary?.size).toBeLessThanOrEqual(5)
  expect(others.reduce((sum, set) => sum + set.size, onPrimary?.size ?? 0)).toBe(100)
})

it('asks for the time of a transaction on one node only, however it is asked for', async () => {
  await proxy.with(async (db) => {
    for (const text of [
      'SELECT a FROM recent',
      'SELECT * FROM converted',
      'SELECT asks()',
      'SELECT asks_by_body()',
      'SELECT asks_through()',
      "SELECT converts('2026-01-01')",
      'SELECT a::text::day FROM pr WHERE false',
      "SELECT '1'::fresh",
      "SELECT day 'today'",
      'SELECT a FROM timed',
      "SELECT d FROM feelings WHERE d < 'today'",
    ]) {
      expect(await endsOnReplica(db, text), text).toBe(false)
    }
    for (const text of [
      'SELECT a, made FROM pr',
      'SELECT * FROM plain',
      'SELECT add_one(1)',
      'SELECT m FROM feelings',
      'SELECT a FROM owned',
      "SELECT d FROM feelings WHERE d < '2026-02-02'",
    ]) {
      expect(await endsOnReplica(db, text), text).toBe(true)
    }
    await db.query('BEGIN')
    await db.query('SELECT $1::text', ['unknown'])
    expect(await node(db)).toMatch(/^r/)
    await db.query('SELECT $1::timestamptz', ['now'])
    expect(await node(db)).toMatch(/^primary/)
    await db.query('COMMIT')
  })
})

it('leaves transactions alone whose level is another one by default', async () => {
  await proxy.with(
    async (db) => {
      expect(await endsOnReplica(db)).toBe(false)
      await db.query('BEGIN')
      expect((await db.query('SHOW transaction_isolation')).rows[0].transaction_isolation).toBe(
        'repeatable read',
      )
      await db.query('ROLLBACK')
    },
    { user: 'repeater', password: 'repeater' },
  )
})

it('sees in each read what anybody has committed before it', async () => {
  const beside = new pg.Client({ connectionString: cluster.primary.urlFor('shop') })
  await beside.connect()
  let onReplicas = 0
  await proxy.with(async (db) => {
    for (let i = 0; i < 50; i++) {
      await db.query('BEGIN')
      for (let read = 0; read < 3; read++) {
        const { rows } = await beside.query('UPDATE account SET v = v + 1 RETURNING v')
        const seen = await db.query('SELECT v FROM account')
        expect(seen.rows[0].v).toBe(rows[0].v)
        if ((await node(db)).startsWith('r')) onReplicas++
      }
      await db.query('COMMIT')
    }
  })
  await beside.end()
  expect(onReplicas).toBeGreaterThan(0)
})

it('loses no update that is made under a lock of the application', async () => {
  await cluster.primary.query('UPDATE account SET v = 0', [], 'shop')
  const clients = await Promise.all(Array.from({ length: 4 }, () => proxy.client()))
  let lock: Promise<unknown> = Promise.resolve()
  const add = async (db: pg.Client): Promise<void> => {
    await db.query('BEGIN')
    const { rows } = await db.query('SELECT v FROM account WHERE id = 1')
    await db.query('UPDATE account SET v = $1 WHERE id = 1', [rows[0].v + 1])
    await db.query('COMMIT')
  }
  for (let i = 0; i < 200; i++) lock = lock.then(() => add(clients[i % 4] as pg.Client))
  await lock
  const rows = await cluster.primary.query('SELECT v FROM account', [], 'shop')
  expect(rows).toEqual([{ v: 200 }])
  for (const client of clients) await client.end()
})

it('goes on though its replica ends the connection, between statements and within one', async () => {
  await proxy.with(async (db) => {
    const kill = async (where: string): Promise<void> => {
      for (const replica of cluster.replicas) {
        await replica.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop' AND ${where}`,
        )
      }
    }
    await db.query('BEGIN')
    await db.query('SAVEPOINT a')
    await db.query('SELECT a FROM pr')
    expect(await node(db)).toMatch(/^r/)
    await kill("state = 'idle in transaction'")
    expect((await db.query('INSERT INTO pr VALUES (7) RETURNING a')).rows).toEqual([{ a: 7 }])
    await db.query('ROLLBACK TO a')
    await db.query('COMMIT')
    await waitFor('a transaction on a replica again', () => endsOnReplica(db))
    await db.query('BEGIN')
    await db.query('SELECT a FROM pr')
    const slow = db.query('SELECT count(*) FROM generate_series(1, 20000000) slow')
    const slept = async (): Promise<boolean> => {
      const found = await Promise.all(
        cluster.replicas.map((replica) =>
          replica.query(
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%0000) slow'",
          ),
        ),
      )
      return found.some((rows) => rows.length > 0)
    }
    await Promise.race([slow, waitFor('the read to run', slept)])
    await kill("state = 'active'")
    expect((await slow).rows).toHaveLength(1)
    await db.query('COMMIT')
  })
}, 60_000)
