import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import {
  bind,
  describe as describeMessage,
  execute,
  message,
  RawClient,
  sync,
} from '../support/raw-client.ts'

const seen = `pg_catalog.current_setting('app.secret', true)`

const schema = `
  CREATE TABLE plain (id serial PRIMARY KEY, v int);
  INSERT INTO plain (v) SELECT generate_series(1, 10);
  CREATE FUNCTION build(name text, value text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN EXECUTE format('SET %s = %L', name, value); END $$;
  CREATE VIEW looks_view AS SELECT ${seen} AS s;
  CREATE VIEW looks_deeper AS SELECT * FROM looks_view;
  CREATE FUNCTION looks_sql() RETURNS text STABLE LANGUAGE sql AS $$SELECT ${seen}$$;
  CREATE FUNCTION looks_atomic() RETURNS text STABLE LANGUAGE sql BEGIN ATOMIC SELECT ${seen}; END;
  CREATE FUNCTION looks_plpgsql() RETURNS text STABLE LANGUAGE plpgsql AS $$BEGIN RETURN ${seen}; END$$;
  CREATE FUNCTION looks_nested() RETURNS text STABLE LANGUAGE sql AS 'SELECT looks_atomic()';
  CREATE FUNCTION looks_built() RETURNS text STABLE LANGUAGE plpgsql AS $$
    DECLARE r text; BEGIN EXECUTE 'SELECT current_' || 'setting(''app.secret'', true)' INTO r; RETURN r; END$$;
  CREATE TYPE box_of AS (x int);
  CREATE FUNCTION shown(box_of) RETURNS text STABLE LANGUAGE sql AS 'SELECT ${seen.replaceAll("'", "''")}';
  CREATE FUNCTION compared(box_of, int) RETURNS text STABLE LANGUAGE sql AS 'SELECT looks_sql()';
  CREATE OPERATOR @@@@ (leftarg = box_of, rightarg = int, function = compared);
  CREATE FUNCTION made(text) RETURNS box_of STABLE LANGUAGE sql
    AS 'SELECT row(length(looks_sql()))::box_of';
  CREATE CAST (text AS box_of) WITH FUNCTION made(text);
  CREATE TABLE boxed (b box_of);
  INSERT INTO boxed VALUES (row(1));
  CREATE FUNCTION added(text, text) RETURNS text STABLE LANGUAGE sql AS 'SELECT looks_sql()';
  CREATE AGGREGATE gathered(text) (sfunc = added, stype = text);
  CREATE DOMAIN checked AS text CHECK (value <> coalesce(looks_sql(), ''));
  CREATE TABLE guarded (v int);
  INSERT INTO guarded VALUES (1);
  ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
  ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
  CREATE POLICY own ON guarded USING (${seen} = 'x');
  CREATE VIEW over_guarded WITH (security_invoker) AS SELECT * FROM guarded;
  CREATE ROLE tenant LOGIN PASSWORD 'x';
  GRANT SELECT ON ALL TABLES IN SCHEMA public TO tenant;
  GRANT USAGE ON SCHEMA public TO tenant;
  CREATE EXTENSION pg_trgm;`

/** Reads whose answer depends on `app.secret`, by each way in which one can. */
const looking: readonly string[] = [
  `SELECT current_setting('app.secret', true)`,
  `SELECT current_setting('app.' || 'secret', true)`,
  'SHOW app.secret',
  'SELECT * FROM looks_view',
  'SELECT count(s) FROM looks_deeper',
  'SELECT looks_sql()',
  'SELECT looks_atomic()',
  'SELECT looks_plpgsql()',
  'SELECT looks_nested()',
  'SELECT looks_built()',
  'SELECT boxed.b.shown FROM boxed',
  'SELECT (b).shown FROM boxed',
  'SELECT shown(b) FROM boxed',
  'SELECT b @@@@ 1 FROM boxed',
  `SELECT 'a'::text::box_of`,
  `SELECT CAST('a'::text AS box_of)`,
  `SELECT gathered('a')`,
  `SELECT 'x'::checked`,
  `SELECT checked 'x'`,
  `SELECT pg_input_is_valid('x', 'checked')`,
  'SELECT * FROM guarded',
  'TABLE over_guarded',
  'SELECT v FROM plain WHERE EXISTS (SELECT FROM guarded)',
  `SELECT pg_settings_get_flags('app.secret')`,
  `EXPLAIN (COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT * FROM guarded`,
]

const plain: readonly string[] = [
  'SELECT count(*) FROM plain',
  'SELECT v::text || $$x$$ FROM plain ORDER BY v LIMIT 2',
  'EXPLAIN (COSTS OFF) TABLE plain',
  'SELECT 1',
]

const missing = debianBinDir() === null

describe.skipIf(missing)(
  'a session with a parameter that nobody knows (needs PostgreSQL 15)',
  () => {
    let cluster: EmbeddedCluster
    let proxy: TestProxy

    beforeAll(async () => {
      cluster = await startCluster({ binDir: debianBinDir() ?? '' })
      await cluster.primary.query(schema)
      await cluster.catchUp()
      proxy = await startTestProxy(cluster, { pool: { size: 3 } })
    }, 120_000)
    afterAll(async () => {
      await proxy?.stop()
      await cluster?.stop()
    })

    const answerOf = async (db: pg.Client, text: string, values?: unknown[]): Promise<string> => {
      try {
        const { rows } = await db.query({ text, rowMode: 'array', ...(values && { values }) })
        return JSON.stringify(rows)
      } catch (error) {
        return String((error as pg.DatabaseError).code)
      }
    }

    const routeOf = async (db: pg.Client): Promise<string> =>
      String((await db.query('SHOW pgsplit.last_route')).rows[0]?.['pgsplit.last_route'])

    const pinOf = async (db: pg.Client): Promise<string> =>
      String((await db.query('SHOW pgsplit.pin')).rows[0]?.['pgsplit.pin'])

    /** Pinned for that alone: the server has told all else. */
    const pinned = async (db: pg.Client, name: string, value: string): Promise<void> => {
      await db.query('SELECT build($1, $2)', [name, value])
      await waitFor(
        'the pin',
        async () => (await pinOf(db)) === 'may have set a parameter that no text names',
      )
    }

    const onReplica = async (db: pg.Client): Promise<void> => {
      await waitFor('a read on a replica', async () => {
        await db.query('TABLE plain')
        return /^r\d: /.test(await routeOf(db))
      })
    }

    const directly = async (user: string, password: string): Promise<pg.Client> => {
      const db = new pg.Client({
        host: '127.0.0.1',
        port: cluster.primary.port,
        user,
        password,
        database: cluster.database,
      })
      await db.connect()
      return db
    }

    for (const user of ['postgres', 'tenant']) {
      it(`sees it wherever ${user} looks, and reads on replicas what does not`, async () => {
        const password = user === 'tenant' ? 'x' : cluster.password
        const direct = await directly(user, password)
        try {
          await direct.query("SELECT build('app.secret', 'x')")
          await proxy.with(
            async (db) => {
              await pinned(db, 'app.secret', 'x')
              for (const text of looking) {
                await onReplica(db)
                for (const values of [undefined, []]) {
                  const expected = await answerOf(direct, text, values)
                  expect(`${text}: ${await answerOf(db, text, values)}`).toBe(
                    `${text}: ${expected}`,
                  )
                }
              }
              for (const text of plain) {
                const expected = await answerOf(direct, text)
                // At first it may be on the primary: a busy machine's replicas can be behind.
                await waitFor(`${text} on a replica`, async () => {
                  expect(await answerOf(db, text)).toBe(expected)
                  return /^r\d: /.test(await routeOf(db))
                })
              }
              expect(await pinOf(db)).toBe('may have set a parameter that no text names')
            },
            { user, password },
          )
        } finally {
          await direct.end()
        }
        for (let i = 0; i < 6; i++) {
          await proxy.with(
            async (db) => expect(await answerOf(db, looking[0] ?? '')).toBe('[[null]]'),
            { user, password },
          )
        }
      })
    }

    it('runs on its own connection what an extension may read it for', async () => {
      const direct = await directly('postgres', cluster.password)
      try {
        await direct.query("SELECT build('pg_trgm.similarity_threshold', '0.01')")
        const text = `SELECT 'abcdef' % 'abcxyz'`
        const expected = await answerOf(direct, text)
        await proxy.with(async (db) => {
          // Another session has its library loaded already, and its own threshold.
          await proxy.with((other) => other.query(text))
          await pinned(db, 'pg_trgm.similarity_threshold', '0.01')
          await onReplica(db)
          expect(await answerOf(db, text)).toBe(expected)
        })
      } finally {
        await direct.end()
      }
    })

    it('runs there what reads a parameter of a type that looks at it', async () => {
      const [row] = await cluster.primary.query("SELECT 'checked'::regtype::oid::int AS oid")
      const oid = Buffer.alloc(6)
      oid.writeInt16BE(1)
      oid.writeInt32BE(Number(row?.oid), 2)
      const login = {
        port: proxy.port,
        user: 'postgres',
        password: cluster.password,
        database: cluster.database,
      }
      const client = await RawClient.logIn(login)
      try {
        client.send(message('Q', "SELECT build('app.secret', 'x')"))
        await client.until('Z')
        client.send(message('Q', 'TABLE plain'))
        await client.until('Z')
        client.send(message('P', 'named', 'SELECT $1', oid), sync)
        await client.until('Z')
        const bound = bind('', 'named', 'x')
        client.send(bound, describeMessage('P'), execute(), sync)
        const error = (await client.until('Z')).find(({ type }) => type === 'E')
        expect(error?.body.toString('latin1')).toContain('checked_check')
      } finally {
        client.end()
      }
    })

    it('sees its writes from replicas, and goes on in its own transactions', async () => {
      await proxy.with(async (db) => {
        await pinned(db, 'app.secret', 'y')
        for (let i = 0; i < 20; i++) {
          await db.query('INSERT INTO plain (v) VALUES ($1)', [1000 + i])
          expect(await answerOf(db, 'SELECT max(v) FROM plain')).toBe(`[[${1000 + i}]]`)
          await db.query('BEGIN')
          expect(await answerOf(db, looking[0] ?? '')).toBe('[["y"]]')
          expect(await answerOf(db, 'SELECT max(v) FROM plain')).toBe(`[[${1000 + i}]]`)
          await db.query('COMMIT')
        }
      })
    })

    it('reads on its own connection while those to the replicas are taken', async () => {
      const others = await Promise.all(Array.from({ length: 6 }, () => proxy.client()))
      try {
        await proxy.with(async (db) => {
          await pinned(db, 'app.secret', 'w')
          for (const other of others) {
            await other.query('BEGIN READ ONLY')
            await other.query('/* pgsplit: replica */ TABLE plain')
          }
          expect(await answerOf(db, 'SELECT count(*) > 0 FROM plain')).toBe('[[true]]')
          expect(await answerOf(db, looking[0] ?? '')).toBe('[["w"]]')
          for (const other of others) await other.query('COMMIT')
          await onReplica(db)
          expect(await answerOf(db, looking[0] ?? '')).toBe('[["w"]]')
        })
      } finally {
        await Promise.all(others.map((other) => other.end()))
      }
    })

    it('ends with its connection, whatever runs elsewhere', async () => {
      const db = await proxy.client()
      await pinned(db, 'app.secret', 'z')
      await onReplica(db)
      const [row] = (
        await db.query('/* pgsplit: primary */ SELECT looks_plpgsql(), pg_backend_pid() AS pid')
      ).rows
      const pid = Number(row?.pid)
      const query = db.query('SELECT count(*) FROM plain a, plain b, plain c, plain d, plain e')
      const outcome = query.then(
        () => 'answered',
        (error: pg.DatabaseError) => error.code ?? error.message,
      )
      await proxy.with((other) => other.query(`SELECT pg_terminate_backend(${pid})`))
      await outcome
      await waitFor(
        'the end of the session',
        async () => (await answerOf(db, 'SELECT 1')) !== '[[1]]',
      )
      await db.end().catch(() => {})
    })
  },
)
