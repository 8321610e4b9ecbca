import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

const schema = `
  CREATE TABLE item (id serial PRIMARY KEY, tenant text NOT NULL DEFAULT 'a', v int);
  INSERT INTO item (tenant, v) SELECT CASE WHEN g % 2 = 0 THEN 'a' ELSE 'b' END, g FROM generate_series(1, 100) g;
  CREATE TABLE noise (id serial PRIMARY KEY, v int);
  CREATE SEQUENCE counter;
  CREATE FUNCTION scratch(keep boolean) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN
      IF keep THEN CREATE TEMP TABLE made (a int);
      ELSE CREATE TEMP TABLE made (a int) ON COMMIT DROP;
      END IF;
      RETURN 1;
    END $$;
  CREATE FUNCTION become(tenant text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN PERFORM set_config('my.tenant', tenant, false); END $$;
  CREATE FUNCTION log_all() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN SET log_min_duration_statement = 12345; END $$;
  CREATE FUNCTION unlock(key int) RETURNS boolean LANGUAGE sql AS 'SELECT pg_advisory_unlock(key)';
  CREATE ROLE tenant_user LOGIN PASSWORD 'x';
  ALTER TABLE item ENABLE ROW LEVEL SECURITY;
  CREATE POLICY own ON item USING (tenant = current_setting('my.tenant', true));
  GRANT SELECT, INSERT ON item, noise TO tenant_user;
  GRANT USAGE ON SEQUENCE item_id_seq TO tenant_user;
  CREATE EXTENSION IF NOT EXISTS dblink;`

async function pinOf(db: pg.Client): Promise<string> {
  return String((await db.query('SHOW pgsplit.pin')).rows[0]?.['pgsplit.pin'])
}

async function one(db: pg.Client, sql: string, values: unknown[] = []): Promise<unknown> {
  const { rows } = await db.query({ text: sql, values, rowMode: 'array' })
  return rows[0]?.[0]
}

/** The pin goes, and the session reads from a replica again. */
async function isFreed(db: pg.Client): Promise<void> {
  await waitFor('the pin to go', async () => (await pinOf(db)) === '')
  await waitFor('a read on a replica', async () => {
    await db.query('SELECT count(*) FROM noise')
    return /^r\d:/.test(String(await one(db, 'SHOW pgsplit.last_route')))
  })
}

/** Still pinned when pgsplit has had every chance to find out. */
async function staysPinned(db: pg.Client, reason: RegExp): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await db.query('SELECT 1')
    expect(await pinOf(db)).toMatch(reason)
  }
}

/** Sessions that use the same server connections as hard as they can while `use` runs. */
async function amidNoise(proxy: TestProxy, use: () => Promise<void>): Promise<void> {
  await amidNoiseOn(proxy, 8, use)
}

async function amidNoiseOn(
  proxy: TestProxy,
  sessions: number,
  use: () => Promise<void>,
): Promise<void> {
  let isOver = false
  const work = Array.from({ length: sessions }, (_, i) =>
    proxy.with(async (db) => {
      for (let round = 0; !isOver; round++) {
        await db.query('INSERT INTO noise (v) VALUES ($1)', [i])
        await db.query('SELECT count(*) FROM noise')
        if (round % 8 === i) await db.query("SELECT nextval('counter')")
      }
    }),
  )
  try {
    await use()
  } finally {
    isOver = true
    await Promise.all(work)
  }
}

let cluster: EmbeddedCluster
let proxy: TestProxy
let hasDblink = false

beforeAll(async () => {
  cluster = await startCluster({ database: 'app' })
  hasDblink =
    (await cluster.primary.query("SELECT FROM pg_available_extensions WHERE name = 'dblink'"))
      .length > 0
  const text = hasDblink ? schema : schema.replace(/CREATE EXTENSION.*$/, '')
  await cluster.primary.query(text, [], 'app')
  await cluster.catchUp()
  const auth = {
    method: 'trust',
    users: [
      { name: 'postgres', password: 'unused', serverPassword: cluster.password },
      { name: 'tenant_user', password: 'unused', serverPassword: 'x' },
    ],
  }
  proxy = await startTestProxy(cluster, { auth, pool: { size: 2, reserve: 0 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

describe('a pin by temporary objects', () => {
  it('keeps a table in the way of a permanent one until it is dropped, amid other sessions', async () => {
    await amidNoise(proxy, () =>
      proxy.with(async (db) => {
        await db.query('CREATE TEMP TABLE item (id int)')
        expect(await pinOf(db)).toBe('temporary objects')
        for (let i = 0; i < 20; i++) {
          await db.query('INSERT INTO item VALUES ($1)', [i])
          expect(await one(db, 'SELECT count(*) FROM item')).toBe(String(i + 1))
          expect(await proxy.with((other) => one(other, 'SELECT count(*) FROM item'))).toBe('100')
        }
        await db.query('BEGIN')
        await db.query('DROP TABLE item')
        await db.query('ROLLBACK')
        await staysPinned(db, /^temporary objects$/)
        expect(await one(db, 'SELECT count(*) FROM item')).toBe('20')
        await db.query('DROP TABLE item')
        await isFreed(db)
        expect(await one(db, 'SELECT count(*) FROM item')).toBe('100')
      }),
    )
  })

  it.each([
    ['SELECT 5 AS five INTO TEMP made', 'DROP TABLE made'],
    ['CREATE TEMP VIEW made AS SELECT 5 AS five', 'DROP VIEW made'],
    ['CREATE TEMP SEQUENCE made', 'DROP SEQUENCE made'],
    ["CREATE FUNCTION pg_temp.made() RETURNS int LANGUAGE sql AS 'SELECT 5'", 'DISCARD TEMP'],
    ['CREATE TYPE pg_temp.made AS (a int)', 'DROP TYPE pg_temp.made'],
    ['SELECT scratch(true)', 'DROP TABLE made'],
    ["DO $$ BEGIN EXECUTE 'CREATE TEMP TABLE made (a int)'; END $$", 'DROP TABLE pg_temp.made'],
  ])('made by %s goes with %s', async (make, drop) => {
    await proxy.with(async (db) => {
      await db.query(make)
      await staysPinned(db, /^temporary objects$/)
      await db.query(drop)
      await isFreed(db)
    })
  })

  it('goes with the transaction that drops them, or that is rolled back', async () => {
    await proxy.with(async (db) => {
      await db.query('BEGIN')
      await db.query('CREATE TEMP TABLE made (a int) ON COMMIT DROP')
      expect(await pinOf(db)).toBe('temporary objects')
      await db.query('COMMIT')
      await isFreed(db)
      await db.query('BEGIN')
      await db.query('CREATE TEMP TABLE made (a int)')
      await db.query('ROLLBACK')
      await isFreed(db)
      let heard = 0
      db.on('notification', () => heard++)
      await proxy.with((other) => other.query('NOTIFY news'))
      await db.query('SELECT 1')
      expect(heard).toBe(0)
      await db.query('SELECT scratch(false)')
      await isFreed(db)
      await expect(db.query('CREATE TEMP TABLE made (a nothing)')).rejects.toThrow('nothing')
      await isFreed(db)
      await db.query('CREATE TEMP TABLE made (a int)')
      await db.query('BEGIN')
      await db.query('DISCARD TEMP')
      await db.query('ROLLBACK')
      await staysPinned(db, /^temporary objects$/)
      await db.query('DISCARD TEMP')
      await isFreed(db)
    })
  })

  it('stays while search_path says that new tables are temporary', async () => {
    await proxy.with(async (db) => {
      await db.query('SET search_path = pg_temp, public')
      await staysPinned(db, /^search_path names the temporary schema$/)
      await db.query('CREATE TABLE made (a int)')
      await db.query('INSERT INTO made VALUES (1)')
      await db.query('RESET search_path')
      await staysPinned(db, /^temporary objects$/)
      expect(await one(db, 'SELECT count(*) FROM made')).toBe('1')
      await db.query('DROP TABLE made')
      await isFreed(db)
    })
  })

  it('leave a schema that nobody gets who creates in his own', async () => {
    await proxy.with(async (db) => {
      await db.query('CREATE TEMP TABLE made (a int)')
      await db.query('DROP TABLE made')
      await isFreed(db)
    })
    for (let i = 0; i < 2; i++) {
      await proxy.with(async (db) => {
        await db.query('SET search_path = pg_temp')
        expect(await one(db, 'SELECT pg_my_temp_schema()')).toBe(0)
        expect(await one(db, 'SELECT current_schema()')).toMatch(/^pg_temp_/)
        await db.query('RESET search_path')
        await isFreed(db)
      })
    }
  })

  it('ends with DISCARD ALL, and nothing of them is left for the next session', async () => {
    await proxy.with(async (db) => {
      await db.query('CREATE TEMP TABLE made (a int)')
      await db.query('DISCARD ALL')
      await isFreed(db)
    })
    const left = async (): Promise<unknown> =>
      (
        await cluster.primary.query(
          "SELECT count(*)::int AS n FROM pg_class WHERE relname = 'made'",
          [],
          'app',
        )
      )[0]?.n
    await proxy.with((db) => db.query('CREATE TEMP TABLE made (a int)'))
    await waitFor('the table of a client that left to go', async () => (await left()) === 0)
  })
})

describe('a pin by session advisory locks', () => {
  it('holds while there is one, however often each was taken', async () => {
    await amidNoise(proxy, () =>
      proxy.with(async (db) => {
        await db.query('SELECT pg_advisory_lock(1), pg_advisory_lock(2)')
        await db.query('SELECT pg_advisory_lock(2)')
        await db.query('SELECT pg_advisory_unlock(1)')
        await staysPinned(db, /^session advisory lock$/)
        const other = await proxy.with((them) => one(them, 'SELECT pg_try_advisory_lock(2)'))
        expect(other).toBe(false)
        await db.query('SELECT pg_advisory_unlock(2)')
        await staysPinned(db, /^session advisory lock$/)
        expect(await one(db, 'SELECT unlock(2)')).toBe(true)
        await isFreed(db)
        expect(await one(db, 'SELECT pg_try_advisory_lock_shared(2)')).toBe(true)
        await db.query('SELECT pg_advisory_unlock_all()')
        await isFreed(db)
      }),
    )
  })

  it('is none when the lock was not got, or only for the transaction', async () => {
    const holder = await proxy.client()
    await holder.query('SELECT pg_advisory_lock(3)')
    await proxy.with(async (db) => {
      expect(await one(db, 'SELECT pg_try_advisory_lock(3)')).toBe(false)
      await isFreed(db)
      await db.query('SELECT pg_advisory_lock(id) FROM item WHERE false')
      await isFreed(db)
      await db.query('SELECT pg_advisory_xact_lock(4)')
      expect(await pinOf(db)).toBe('')
      await db.query("SET statement_timeout = '50ms'")
      await expect(db.query('SELECT pg_advisory_lock(3)')).rejects.toThrow('statement timeout')
      await isFreed(db)
    })
    await holder.end()
  })

  it('outlives a rollback, as the lock does', async () => {
    await proxy.with(async (db) => {
      await db.query('BEGIN')
      await db.query('SELECT pg_advisory_lock(5)')
      await db.query('ROLLBACK')
      await staysPinned(db, /^session advisory lock$/)
      await expect(db.query('SELECT pg_advisory_lock(6), 1/0')).rejects.toThrow('zero')
      await db.query('SELECT pg_advisory_unlock(5)')
      await db.query('SELECT pg_advisory_unlock(6)')
      await isFreed(db)
    })
  })

  it('is asked about behind what the client sends meanwhile, and in no transaction', async () => {
    await proxy.with(async (db) => {
      const answers = await Promise.all([
        db.query('SELECT pg_advisory_lock(7)'),
        db.query('SELECT pg_advisory_unlock(7) AS gone'),
        db.query('BEGIN'),
        db.query('SELECT pg_advisory_lock(8)'),
        db.query('SELECT pg_advisory_unlock(8) AS gone'),
        db.query('SELECT 1 AS one'),
        db.query('COMMIT'),
      ])
      expect(answers[1]?.rows).toEqual([{ gone: true }])
      expect(answers[4]?.rows).toEqual([{ gone: true }])
      await isFreed(db)
    })
  })
})

describe('LISTEN, which needs no pin', () => {
  it('brings notifications while the client is quiet, until the last channel is given up', async () => {
    await amidNoise(proxy, () =>
      proxy.with(async (db) => {
        const heard: string[] = []
        db.on('notification', ({ channel, payload }) => heard.push(`${channel} ${payload}`))
        await db.query('LISTEN news')
        await db.query('LISTEN "Odd Name"')
        await isFreed(db)
        await proxy.with((other) => other.query("NOTIFY news, '1'"))
        await waitFor('the first', () => heard.includes('news 1'))
        await db.query('BEGIN')
        await db.query(`NOTIFY "Odd Name", 'own'`)
        expect(heard).toHaveLength(1)
        await db.query('COMMIT')
        await waitFor('the own', () => heard.includes('Odd Name own'))
        await db.query('UNLISTEN news')
        await proxy.with((other) => other.query("NOTIFY news, '2'; NOTIFY \"Odd Name\", '3'"))
        await waitFor('the third', () => heard.includes('Odd Name 3'))
        await isFreed(db)
        await db.query('UNLISTEN *')
        await isFreed(db)
        expect(heard).toEqual(['news 1', 'Odd Name own', 'Odd Name 3'])
      }),
    )
  })

  it('hears nothing, either, when the LISTEN was rolled back', async () => {
    await proxy.with(async (db) => {
      await db.query('BEGIN')
      await db.query('LISTEN news')
      await db.query('ROLLBACK')
      await isFreed(db)
    })
  })
})

describe('a pin by a cursor WITH HOLD', () => {
  it('holds until the last one is closed, and is none after a rollback', async () => {
    await amidNoise(proxy, () =>
      proxy.with(async (db) => {
        await db.query('DECLARE a CURSOR WITH HOLD FOR SELECT v FROM item ORDER BY v')
        await db.query('DECLARE b CURSOR WITH HOLD FOR SELECT 1')
        for (let v = 1; v <= 30; v++) expect(await one(db, 'FETCH a')).toBe(v)
        await db.query('CLOSE b')
        await staysPinned(db, /^cursor a WITH HOLD$/)
        await db.query('CLOSE ALL')
        await isFreed(db)
        await db.query('BEGIN')
        await db.query('DECLARE a CURSOR WITH HOLD FOR SELECT 1')
        await db.query('ROLLBACK')
        await isFreed(db)
      }),
    )
  })
})

describe('a setting whose value the statement does not show', () => {
  const tenants = 'SELECT string_agg(DISTINCT tenant, $1) FROM item'

  it('is the value of a bind parameter, and holds on every node', async () => {
    await amidNoise(proxy, () =>
      proxy.with(
        async (db) => {
          for (let i = 0; i < 20; i++) {
            const tenant = i % 3 === 0 ? 'a' : 'b'
            if (i % 2 === 0) await db.query("SELECT set_config('my.tenant', $1, false)", [tenant])
            else await db.query('SELECT set_config($1, $2, false)', ['My.Tenant', tenant])
            expect(await pinOf(db)).toBe('')
            expect(await one(db, tenants, [','])).toBe(tenant)
            expect(await one(db, 'SHOW pgsplit.last_route')).toMatch(/^r\d/)
          }
        },
        { user: 'tenant_user' },
      ),
    )
  })

  it.each([
    ["SELECT set_config('my.tenant', chr(98), false)", []],
    ["SELECT set_config('my.tenant', $1::varchar(1), $2)", ['bcd', 'false']],
    ["SELECT become('b')", []],
    ["SET my.tenant = E'\\x62'", []],
    ["DO $$ BEGIN PERFORM set_config('my.tenant', chr(98), false); END $$", []],
    ["SELECT set_config('my.tenant', tenant, false) FROM (VALUES ('a'), ('b')) t(tenant)", []],
  ] as const)('is asked for behind %s', async (sql, values) => {
    await proxy.with(
      async (db) => {
        await db.query("SET my.tenant = 'a'")
        expect(await one(db, tenants, [','])).toBe('a')
        await db.query(sql, [...values])
        expect(await one(db, tenants, [','])).toBe('b')
        await isFreed(db)
        expect(await one(db, tenants, [','])).toBe('b')
        await db.query('RESET my.tenant')
        expect(await one(db, tenants, [','])).toBeNull()
      },
      { user: 'tenant_user' },
    )
  })

  it('is asked for at the end of its transaction, and is the old one if that failed', async () => {
    await proxy.with(async (db) => {
      await db.query("SET my.tenant = 'a'")
      for (const [end, expected] of [
        ['COMMIT', 'b'],
        ['ROLLBACK', 'b'],
      ]) {
        await db.query('BEGIN')
        await db.query(`SELECT become('${end === 'COMMIT' ? 'b' : 'c'}')`)
        expect(await one(db, "SELECT current_setting('my.tenant')")).toBe(
          end === 'COMMIT' ? 'b' : 'c',
        )
        await db.query(String(end))
        await isFreed(db)
        expect(await one(db, "SELECT current_setting('my.tenant')")).toBe(expected)
      }
      await db.query("SELECT set_config('my.tenant', 'z', $1)", [true])
      await isFreed(db)
      expect(await one(db, "SELECT current_setting('my.tenant')")).toBe('b')
    })
  })

  it('is long and odd, and comes back byte for byte', async () => {
    const claims = JSON.stringify({ sub: 'é\\\'"', roles: Array(400).fill('röle') })
    await proxy.with(async (db) => {
      await db.query("SELECT set_config('request.jwt.claims', $1 || '', false)", [claims])
      await isFreed(db)
      expect(await one(db, "SELECT current_setting('request.jwt.claims')")).toBe(claims)
      expect(await one(db, 'SHOW pgsplit.last_route')).toMatch(/^r\d/)
    })
  })

  it('may be any of pg_settings', async () => {
    await proxy.with(async (db) => {
      await db.query("SET statement_timeout = '70s'")
      await db.query(`UPDATE pg_settings SET setting = CASE name
        WHEN 'work_mem' THEN '7168' ELSE 'ISO, DMY' END WHERE name IN ('work_mem', 'DateStyle')`)
      await isFreed(db)
      expect(await one(db, "SELECT current_setting('work_mem')")).toBe('7MB')
      expect(await one(db, "SELECT current_setting('statement_timeout')")).toBe('70s')
      expect(await one(db, "SELECT '01/02/2003'::date::text")).toBe('2003-02-01')
      await db.query('SET work_mem FROM CURRENT')
      await isFreed(db)
      expect(await one(db, "SELECT current_setting('work_mem')")).toBe('7MB')
    })
  })

  it('keeps the session where it is if only a superuser may set it so', async () => {
    await proxy.with(
      async (db) => {
        await db.query('SELECT log_all()')
        await staysPinned(db, /^setting log_min_duration_statement whose value/)
      },
      { user: 'tenant_user' },
    )
    await proxy.with(async (db) => {
      await db.query('SELECT log_all()')
      await isFreed(db)
    })
  })

  it('keeps the session where it is if even its name is not to be known', async () => {
    await proxy.with(async (db) => {
      await db.query("SELECT set_config('my.' || 'tenant', 'a', false)")
      await staysPinned(db, /^a setting that the statement does not name$/)
      await db.query('DISCARD ALL')
      await isFreed(db)
    })
  })
})

describe('a pin that no question can end', () => {
  it.each([
    ['SELECT setseed(0.5)', /setseed/],
    ['SET SEED TO 0.5', /SET SEED/],
    ["LOAD 'plpgsql'", /^loads plpgsql$/],
    ['SELECT pg_backend_pid()', /^asked for pg_backend_pid\(\)$/],
  ])('by %s holds until DISCARD ALL', async (sql, reason) => {
    await amidNoise(proxy, () =>
      proxy.with(async (db) => {
        await db.query(sql)
        await staysPinned(db, reason)
        await db.query('DISCARD ALL')
        await isFreed(db)
      }),
    )
  })

  it('gives the random numbers of the seed, and the process that was asked for', async () => {
    await amidNoise(proxy, () =>
      proxy.with(async (db) => {
        await db.query('SELECT setseed(0.25)')
        const first = [await one(db, 'SELECT random()'), await one(db, 'SELECT random()')]
        await db.query('SELECT setseed(0.25)')
        expect([await one(db, 'SELECT random()'), await one(db, 'SELECT random()')]).toEqual(first)
        const pid = await one(db, 'SELECT pg_backend_pid()')
        for (let i = 0; i < 10; i++) expect(await one(db, 'SELECT pg_backend_pid()')).toBe(pid)
      }),
    )
  })

  it('is none of those who look at others', async () => {
    await proxy.with(async (db) => {
      await db.query('SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()')
      expect(await pinOf(db)).toBe('')
    })
  })
})

describe('currval() and lastval()', () => {
  it('give what an earlier statement of the session got, at once if nobody came between', async () => {
    const own = await startTestProxy(cluster, { pool: { size: 2 } })
    await own.with(async (db) => {
      await db.query('INSERT INTO noise (v) VALUES (-1)')
      await isFreed(db)
      const last = await one(db, 'SELECT lastval()')
      expect(await one(db, 'SELECT max(id) FROM noise WHERE v = -1')).toBe(Number(last))
      expect(await pinOf(db)).toBe('uses currval() or lastval()')
      expect(await one(db, "SELECT currval('noise_id_seq')")).toBe(last)
    })
    await own.stop()
  })

  it('work always once an application has used them, and until then are an error at worst', async () => {
    const own = await startTestProxy(cluster, { pool: { size: 2 } })
    const insert = "INSERT INTO item (tenant) VALUES ('seq') RETURNING id"
    // One uses the values of another one's connection …
    await own.with((other) => other.query("SELECT nextval('counter')"))
    await own.with(async (db) => {
      const inserted = await one(db, insert)
      // … a second session takes it meanwhile …
      await own.with((other) => other.query("SELECT nextval('counter')"))
      const error = await db.query('SELECT lastval()').catch((e: unknown) => e)
      expect(error).toMatchObject({ code: '55000' })
      expect(await pinOf(db)).toBe('')
      expect(await one(db, insert)).toBe(Number(inserted) + 1)
      expect(await pinOf(db)).toBe('nextval(), and this application uses currval()')
    })
    // … and from then on nothing of that happens any more.
    await amidNoiseOn(own, 1, async () => {
      await own.with(async (db) => {
        for (let i = 0; i < 10; i++) {
          const inserted = await one(db, insert)
          expect(await one(db, "SELECT currval('item_id_seq')")).toBe(String(inserted))
          expect(await one(db, 'SELECT lastval()')).toBe(String(inserted))
        }
        await db.query('DISCARD SEQUENCES')
        await isFreed(db)
        await expect(db.query('SELECT lastval()')).rejects.toMatchObject({ code: '55000' })
      })
    })
    await own.stop()
  })

  it('never show another session’s value to one that has none', async () => {
    const own = await startTestProxy(cluster, { pool: { size: 1 } })
    for (const ask of ['SELECT lastval()', "SELECT currval('counter')"]) {
      await own.with((other) => other.query("SELECT nextval('counter')"))
      await own.with(async (db) => {
        await expect(db.query(ask)).rejects.toMatchObject({ code: '55000' })
        await db.query('BEGIN')
        await db.query('SELECT 1 FROM noise FOR UPDATE')
        await expect(db.query(ask)).rejects.toMatchObject({ code: '55000' })
        await db.query('ROLLBACK')
        expect(await pinOf(db)).toBe('')
      })
    }
    await own.stop()
  })

  it('pin nobody who uses them in the transaction that called nextval()', async () => {
    await amidNoise(proxy, () =>
      proxy.with(async (db) => {
        for (let i = 0; i < 10; i++) {
          await db.query('BEGIN')
          const inserted = await one(db, "INSERT INTO item (tenant) VALUES ('x') RETURNING id")
          expect(await one(db, 'SELECT lastval()')).toBe(String(inserted))
          await db.query("INSERT INTO item (v) VALUES (currval('item_id_seq'))")
          await db.query('COMMIT')
          expect(await pinOf(db)).toBe('')
          const [, { rows } = { rows: [] }] = (await db.query(
            "INSERT INTO item (tenant) VALUES ('y'); SELECT lastval() = max(id) AS same FROM item",
          )) as unknown as pg.QueryResult[]
          expect(rows).toHaveLength(1)
          expect(await pinOf(db)).toBe('')
        }
      }),
    )
  })
})

describe('a pin by dblink', () => {
  it('goes when the last connection is closed, named or not', async (context) => {
    if (!hasDblink) context.skip('these PostgreSQL binaries have no dblink')
    const to = `host=127.0.0.1 port=${cluster.primary.port} dbname=app user=postgres password=${cluster.password}`
    await proxy.with(async (db) => {
      await db.query('SELECT dblink_connect($1, $2)', ['a', to])
      await db.query('SELECT dblink_connect($1, $2)', ['b', to])
      await db.query('SELECT dblink_disconnect($1)', ['a'])
      await staysPinned(db, /^dblink connection$/)
      expect(await one(db, "SELECT * FROM dblink('b', 'SELECT 5') t(a int)")).toBe(5)
      await db.query('SELECT dblink_disconnect($1)', ['b'])
      await isFreed(db)
      await db.query('SELECT dblink_connect($1)', [to])
      await staysPinned(db, /^dblink connection$/)
      await db.query('SELECT dblink_disconnect()')
      await isFreed(db)
    })
  })
})

if (debianBinDir() === null) console.warn('no /usr/lib/postgresql/15: dblink may be missing')

it('a replica keeps nothing of a function that was no read any more when it ran there', async () => {
  const make = (kind: string, body: string) =>
    cluster.primary.query(
      `CREATE OR REPLACE FUNCTION turned() RETURNS int LANGUAGE plpgsql ${kind} AS $$BEGIN ${body} RETURN 1; END$$`,
      [],
      'app',
    )
  await make('STABLE', '')
  await cluster.catchUp()
  await proxy.with(async (client) => {
    const route = async (): Promise<string> => {
      await client.query('SELECT turned()')
      return String(await one(client, 'SHOW pgsplit.last_route'))
    }
    await waitFor('a read on a replica', async () => /^r\d/.test(await route()))
    await make('VOLATILE', 'PERFORM pg_advisory_lock(1077);')
    await waitFor('the primary', async () => !/proved read-only/.test(await route()), 30_000, 0)
    await client.query('SELECT pg_advisory_unlock_all()')
  })
  const held = async (): Promise<boolean> => {
    const sql = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1077"
    const found = await Promise.all(cluster.replicas.map((replica) => replica.query(sql)))
    return found.some((rows) => rows.length > 0)
  }
  await waitFor('no lock on a replica', async () => !(await held()))
})
