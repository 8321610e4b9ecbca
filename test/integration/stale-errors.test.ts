import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy
let replica: pg.Client

/** What a replica lacks, and the read that it can't answer for that. */
interface Lack {
  readonly name: string
  readonly before?: string
  readonly ddl: string
  readonly read: string
  readonly values?: readonly unknown[]
}

const lacks: readonly Lack[] = [
  {
    name: 'a value of an enum',
    before: "CREATE TYPE e1 AS ENUM ('a')",
    ddl: "ALTER TYPE e1 ADD VALUE 'b'",
    read: "SELECT 'b'::e1::text AS a",
  },
  {
    name: 'a value of an enum, as parameter',
    before: "CREATE TYPE e2 AS ENUM ('a')",
    ddl: "ALTER TYPE e2 ADD VALUE 'b'",
    read: 'SELECT $1::e2::text AS a',
    values: ['b'],
  },
  {
    name: 'a renamed value of an enum',
    before: "CREATE TYPE e3 AS ENUM ('a')",
    ddl: "ALTER TYPE e3 RENAME VALUE 'a' TO 'z'",
    read: "SELECT 'z'::e3::text AS a",
  },
  {
    name: 'a loosened domain',
    before: 'CREATE DOMAIN d1 AS int CONSTRAINT few CHECK (value < 10)',
    ddl: 'ALTER DOMAIN d1 DROP CONSTRAINT few',
    read: 'SELECT 50::d1::int AS a',
  },
  {
    name: 'a domain that takes NULL',
    before: 'CREATE DOMAIN d2 AS int NOT NULL',
    ddl: 'ALTER DOMAIN d2 DROP NOT NULL',
    read: 'SELECT NULL::d2::int AS a',
  },
  {
    name: 'a column',
    before: 'CREATE TABLE t1 (a int); GRANT SELECT ON t1 TO reader',
    ddl: 'ALTER TABLE t1 ADD b int DEFAULT 7',
    read: 'SELECT count(b) AS a FROM t1',
  },
  {
    name: 'a renamed column',
    before: 'CREATE TABLE t2 (a int); GRANT SELECT ON t2 TO reader',
    ddl: 'ALTER TABLE t2 RENAME a TO z',
    read: 'SELECT count(z) AS a FROM t2',
  },
  {
    name: 'a column of another type',
    before: "CREATE TABLE t3 (a text); INSERT INTO t3 VALUES ('1'); GRANT SELECT ON t3 TO reader",
    ddl: 'ALTER TABLE t3 ALTER a TYPE int USING a::int',
    read: 'SELECT sum(a) AS a FROM t3',
  },
  {
    name: 'a function',
    before: 'CREATE FUNCTION f1(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN 1',
    ddl: 'CREATE FUNCTION f1(text) RETURNS int LANGUAGE sql IMMUTABLE RETURN 2',
    read: "SELECT f1('x'::text) AS a",
  },
  {
    name: 'a body that raises no more',
    before:
      "CREATE FUNCTION f2() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RAISE ''old''; END'",
    ddl: "CREATE OR REPLACE FUNCTION f2() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 2; END'",
    read: 'SELECT f2() AS a',
  },
  {
    name: 'a body that divides by zero no more',
    before:
      "CREATE FUNCTION f3(i int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1 / i; END'",
    ddl: "CREATE OR REPLACE FUNCTION f3(i int) RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN i; END'",
    read: 'SELECT f3(0) AS a',
  },
  {
    name: 'a default of an argument',
    before: 'CREATE FUNCTION f4(i int, j int) RETURNS int LANGUAGE sql STABLE RETURN i',
    ddl: 'CREATE OR REPLACE FUNCTION f4(i int, j int DEFAULT 1) RETURNS int LANGUAGE sql STABLE RETURN i',
    read: 'SELECT f4(1) AS a',
  },
  {
    name: 'a grant of a table',
    before: 'CREATE TABLE t4 (a int); REVOKE ALL ON t4 FROM reader',
    ddl: 'GRANT SELECT ON t4 TO reader',
    read: 'SELECT count(*) AS a FROM t4',
  },
  {
    name: 'a grant of a column',
    before: 'CREATE TABLE t5 (a int, b int)',
    ddl: 'GRANT SELECT (a) ON t5 TO reader',
    read: 'SELECT count(a) AS a FROM t5',
  },
  {
    name: 'a grant of a function',
    before:
      'CREATE FUNCTION f5() RETURNS int LANGUAGE sql STABLE RETURN 1; REVOKE ALL ON FUNCTION f5() FROM PUBLIC',
    ddl: 'GRANT EXECUTE ON FUNCTION f5() TO reader',
    read: 'SELECT f5() AS a',
  },
  {
    name: 'a grant of a schema',
    before: 'CREATE SCHEMA s1; CREATE TABLE s1.t (a int); GRANT SELECT ON s1.t TO reader',
    ddl: 'GRANT USAGE ON SCHEMA s1 TO reader',
    read: 'SELECT count(*) AS a FROM s1.t',
  },
  {
    name: 'a grant of a role',
    before: 'CREATE ROLE owner1; CREATE TABLE t6 (a int); ALTER TABLE t6 OWNER TO owner1',
    ddl: 'GRANT owner1 TO reader',
    read: 'SELECT count(*) AS a FROM t6',
  },
  {
    name: 'a renamed schema',
    before:
      'CREATE SCHEMA s2; GRANT USAGE ON SCHEMA s2 TO reader; CREATE TABLE s2.t (a int); GRANT SELECT ON s2.t TO reader',
    ddl: 'ALTER SCHEMA s2 RENAME TO s3',
    read: 'SELECT count(*) AS a FROM s3.t',
  },
  {
    name: 'a table',
    ddl: 'CREATE TABLE t7 (a int); GRANT SELECT ON t7 TO reader',
    read: 'SELECT count(*) AS a FROM t7',
  },
  {
    name: 'a view of more',
    before: 'CREATE VIEW v1 AS SELECT 1 AS a; GRANT SELECT ON v1 TO reader',
    ddl: 'CREATE OR REPLACE VIEW v1 AS SELECT 1 AS a, 2 AS b',
    read: 'SELECT b AS a FROM v1',
  },
  {
    name: 'a view that fails no more',
    before:
      'CREATE VIEW v2 AS SELECT 1 / length(current_database()) / 0 AS a; GRANT SELECT ON v2 TO reader',
    ddl: 'CREATE OR REPLACE VIEW v2 AS SELECT 5 AS a',
    read: 'SELECT a FROM v2',
  },
  {
    name: 'an operator',
    before: 'CREATE FUNCTION same(point, point) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true',
    ddl: 'CREATE OPERATOR === (LEFTARG = point, RIGHTARG = point, FUNCTION = same)',
    read: "SELECT point '(1,1)' === point '(2,2)' AS a",
  },
  {
    name: 'a cast',
    before: 'CREATE TYPE c1 AS (x int)',
    ddl: 'CREATE FUNCTION toint(c1) RETURNS int LANGUAGE sql IMMUTABLE RETURN 3; CREATE CAST (c1 AS int) WITH FUNCTION toint(c1)',
    read: 'SELECT ROW(1)::c1::int AS a',
  },
  {
    name: 'a collation',
    ddl: 'CREATE COLLATION col1 FROM "C"',
    read: 'SELECT max(relname COLLATE col1) IS NOT NULL AS a FROM pg_class',
  },
  {
    name: 'a text search configuration',
    ddl: 'CREATE TEXT SEARCH CONFIGURATION ts1 (COPY = english)',
    read: "SELECT to_tsvector('ts1', 'cats')::text AS a",
  },
  {
    name: 'a range',
    before: 'CREATE DOMAIN unrelated AS int',
    ddl: 'CREATE TYPE r1 AS RANGE (subtype = float8)',
    read: "SELECT '[1,2]'::r1::text AS a",
  },
  { name: 'a type', ddl: "CREATE TYPE e9 AS ENUM ('a')", read: "SELECT 'a'::e9::text AS a" },
  {
    name: 'a role',
    ddl: 'CREATE ROLE young',
    read: "SELECT pg_has_role('reader', 'young', 'member') AS a",
  },
  {
    name: 'a sub-domain',
    before: 'CREATE DOMAIN d3 AS text CONSTRAINT short CHECK (length(value) < 3)',
    ddl: 'ALTER DOMAIN d3 DROP CONSTRAINT short',
    read: "SELECT 'long text'::d3::text AS a",
  },
  {
    name: 'a policy that fails no more',
    before:
      'CREATE TABLE t8 (a int); INSERT INTO t8 VALUES (0); GRANT SELECT ON t8 TO reader; ALTER TABLE t8 ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t8 USING (1 / a > 0)',
    ddl: 'ALTER POLICY p ON t8 USING (true)',
    read: 'SELECT count(*) AS a FROM t8',
  },
]

beforeAll(async () => {
  cluster = await startCluster({ database: 'stale', replicas: 1 })
  const { primary } = cluster
  await primary.query("CREATE ROLE reader LOGIN PASSWORD 'secret'", [], 'stale')
  await primary.query('GRANT CREATE ON SCHEMA public TO reader', [], 'stale')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { routing: { maxLag: '1h' } })
  replica = new pg.Client({ connectionString: cluster.replicas[0]?.urlFor('postgres') })
  await replica.connect()
})
afterAll(async () => {
  await replica?.query('SELECT pg_wal_replay_resume()').catch(() => {})
  await replica?.end()
  await proxy?.stop()
  await cluster?.stop()
})

type Outcome = { readonly a: unknown } | { readonly sqlstate: string; readonly message: string }

async function outcome(client: pg.Client, lack: Lack): Promise<Outcome> {
  try {
    const { rows } = await client.query(lack.read, [...(lack.values ?? [])])
    return { a: rows[0]?.a }
  } catch (error) {
    const { code, message } = error as { readonly code: string; readonly message: string }
    return { sqlstate: code, message }
  }
}

const isOnReplica = async (client: pg.Client): Promise<boolean> => {
  const { rows } = await client.query('SHOW pgsplit.last_route')
  return /^r1/.test(rows[0]?.['pgsplit.last_route'])
}

const asReader = async (url: string): Promise<pg.Client> => {
  const at = new URL(url)
  at.username = 'reader'
  at.password = 'secret'
  const client = new pg.Client({ connectionString: at.toString() })
  client.on('error', () => {})
  await client.connect()
  return client
}

const paused = async (use: () => Promise<void>): Promise<void> => {
  await cluster.catchUp()
  await replica.query('SELECT pg_wal_replay_pause()')
  await waitFor('the pause', async () => {
    const { rows } = await replica.query("SELECT pg_get_wal_replay_pause_state() = 'paused' AS is")
    return rows[0]?.is === true
  })
  try {
    await use()
  } finally {
    await replica.query('SELECT pg_wal_replay_resume()')
  }
}

const suffixed = (text: string, way: string): string =>
  text
    .replace(
      /\b(e\d|d\d|t\d|f\d|s\d|v\d|r1|c1|col1|ts1|young|owner1|same|toint|unrelated)\b/g,
      `$1_${way}`,
    )
    .replaceAll('===', way === 'beside' ? '===' : '====')

/** Each kind in one of the two ways, in turn; `PGSPLIT_STALE_ERRORS=all`: in both. */
const isInBoth = process.env.PGSPLIT_STALE_ERRORS === 'all'
const ways = ['beside', 'through'] as const

describe.each(ways)('what DDL done %s pgsplit has given, and a replica lacks', (way) => {
  it.each(lacks.filter((_, i) => isInBoth || ways[i % 2] === way))(
    'is read: $name',
    async (given) => {
      const lack: Lack = {
        ...given,
        ddl: suffixed(given.ddl, way),
        read: suffixed(given.read, way),
        ...(given.before === undefined ? {} : { before: suffixed(given.before, way) }),
      }
      if (lack.before !== undefined) await cluster.primary.query(lack.before, [], 'stale')
      await cluster.catchUp()
      const client = await asReader(proxy.url())
      try {
        // The catalog knows what is there.
        const first = await outcome(client, lack)
        expect(first).toHaveProperty('sqlstate')
        // … and its reads run on the replica, but for those that name what nobody has yet.
        const untilMs = performance.now() + 1_500
        while (!(await isOnReplica(client)) && performance.now() < untilMs)
          await outcome(client, lack)
        await paused(async () => {
          if (way === 'beside') await cluster.primary.query(lack.ddl, [], 'stale')
          else await proxy.with((db) => db.query(lack.ddl))
          const direct = await asReader(cluster.primary.urlFor('stale'))
          try {
            const wanted = await outcome(direct, lack)
            expect(wanted).toHaveProperty('a')
            expect(await outcome(client, lack)).toEqual(wanted)
            await client.query('BEGIN READ ONLY')
            expect(await outcome(client, lack)).toEqual(wanted)
            await client.query('COMMIT')
          } finally {
            await direct.end()
          }
        })
      } finally {
        await client.end()
      }
    },
  )
})

describe('an error that no catalog explains', () => {
  const own = [
    'SELECT 1 / (count(*) - count(*)) FROM pg_class',
    "SELECT (count(*)::text || 'x')::int FROM pg_class",
    "SELECT date_trunc('nonsense', now())",
  ]
  it.each(own)('is not run on the primary: %s', async (text) => {
    const client = await asReader(proxy.url())
    try {
      const fails = (): Promise<string> =>
        client.query(text).then(
          () => '',
          ({ code }) => code,
        )
      // What was done before has reached the replica, and is known to have.
      await waitFor('the replica to be current', async () => {
        await fails()
        const { rows } = await client.query('SHOW pgsplit.last_route')
        return /^r1/.test(rows[0]?.['pgsplit.last_route'])
      })
      const direct = await asReader(cluster.primary.urlFor('stale'))
      const wanted = await direct.query(text).then(
        () => '',
        ({ code }) => code,
      )
      await direct.end()
      const counts = () => proxy.proxy.snapshot().nodes
      expect(counts().length).toBe(2)
      for (let i = 0; i < 20; i++) {
        expect(await fails()).toBe(wanted)
        const { rows } = await client.query('SHOW pgsplit.last_route')
        expect(rows[0]?.['pgsplit.last_route']).toMatch(/^r1/)
      }
    } finally {
      await client.end()
    }
  })
})
