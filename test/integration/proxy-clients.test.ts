import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: ServerCluster
let proxy: TestProxy
const open: pg.Client[] = []

async function client(config: pg.ClientConfig = {}): Promise<pg.Client> {
  const made = await proxy.client({}, config)
  open.push(made)
  return made
}

/** Name of the node that runs this client's transaction or last ran it, asked of the nodes. */
async function nodeOf(applicationName: string): Promise<string[]> {
  const found: string[] = []
  for (const node of cluster.nodes) {
    const rows = await node.query(
      'SELECT 1 FROM pg_stat_activity WHERE application_name = $1',
      [applicationName],
      cluster.database,
    )
    if (rows.length > 0) found.push(node.name)
  }
  return found
}

async function lastRoute(of: pg.Client): Promise<string> {
  const { rows } = await of.query('SHOW pgsplit.last_route')
  return String(Object.values(rows[0])[0])
}

/**
 * What has just passed sends reads to the primary for a moment: a write until a replica has it, DDL
 * until the catalog has been read again.
 */
/** What was created a moment ago is read on the primary until the catalog is known again. */
async function untilReadsAreSplit(of?: pg.Client, relation = 'item'): Promise<void> {
  const db = of ?? (await client())
  await waitFor('reads at the replicas', async () => {
    await db.query(`SELECT count(*) FROM ${relation}`)
    return /^r[12]: /.test(await lastRoute(db))
  })
}

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    `CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL);
     INSERT INTO item (name) SELECT 'item ' || i FROM generate_series(1, 100) i`,
    [],
    'shop',
  )
  await cluster.catchUp()
  // So few that clients get each other's, and none kept from those that pin.
  proxy = await startTestProxy(cluster, { pool: { size: 2, reserve: 0 } })
})
afterEach(async () => {
  for (const made of open.splice(0)) await made.end().catch(() => {})
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

describe('node-postgres', () => {
  it('creates, reads, changes and deletes rows', async () => {
    const db = await client()
    const made = await db.query("INSERT INTO item (name) VALUES ('new') RETURNING id")
    const { id } = made.rows[0]
    await cluster.catchUp()
    const read = await db.query('SELECT name FROM item WHERE id = $1', [id])
    expect(read.rows).toEqual([{ name: 'new' }])
    expect((await db.query('UPDATE item SET name = $1 WHERE id = $2', ['old', id])).rowCount).toBe(
      1,
    )
    expect((await db.query('DELETE FROM item WHERE id = $1', [id])).rowCount).toBe(1)
    await expect(db.query('INSERT INTO item (name) VALUES (NULL)')).rejects.toMatchObject({
      code: '23502',
    })
    expect((await db.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
  })

  it('uses its named statements on every server connection', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => client()))
    const ask = (db: pg.Client, id: number) =>
      db.query({ name: 'by-id', text: 'SELECT name FROM item WHERE id = $1', values: [id] })
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(clients.map((db, i) => ask(db, (i + round) % 100 || 1)))
      answers.forEach(({ rows }, i) => {
        expect(rows).toEqual([{ name: `item ${(i + round) % 100 || 1}` }])
      })
    }
    const sameName = await client()
    const other = { name: 'by-id', text: 'SELECT count(*)::int AS n FROM item WHERE id < $1' }
    expect((await sameName.query({ ...other, values: [11] })).rows).toEqual([{ n: 10 }])
  })

  it('runs a transaction on the primary, and its errors abort it', async () => {
    const db = await client()
    await db.query('BEGIN')
    await db.query("INSERT INTO item (id, name) VALUES (1000, 'tx')")
    expect((await db.query('SELECT name FROM item WHERE id = 1000')).rowCount).toBe(1)
    await expect(db.query('SELECT nothing FROM item')).rejects.toMatchObject({ code: '42703' })
    await expect(db.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' })
    expect((await db.query('COMMIT')).command).toBe('ROLLBACK')
    expect((await db.query('SELECT 1 FROM item WHERE id = 1000')).rowCount).toBe(0)
  })

  it('rolls back to savepoints, settings included', async () => {
    const db = await client()
    await db.query('BEGIN')
    await db.query("SET search_path = 'first'")
    await db.query('SAVEPOINT a')
    await db.query("SET search_path = 'second'")
    await expect(db.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' })
    await db.query('ROLLBACK TO a')
    expect((await db.query('SHOW search_path')).rows).toEqual([{ search_path: 'first' }])
    await db.query('COMMIT')
    expect((await db.query('SHOW search_path')).rows).toEqual([{ search_path: 'first' }])
    expect((await db.query("SELECT current_setting('search_path') AS s")).rows[0].s).toBe('first')
    await db.query('RESET search_path')
    expect((await db.query('SHOW search_path')).rows).toEqual([{ search_path: '"$user", public' }])
  })

  it('reads in a READ ONLY transaction on one replica, all of it', async () => {
    const db = await client()
    await db.query("SET application_name = 'read-only-one'")
    // What other tests have just written may still be on its way.
    await db.query('SET pgsplit.consistency = session')
    await db.query('BEGIN READ ONLY')
    await db.query('SELECT count(*) FROM item')
    const nodes = await nodeOf('read-only-one')
    const busy = nodes.filter((name) => name !== 'primary')
    expect(busy).toHaveLength(1)
    await expect(db.query('DELETE FROM item')).rejects.toMatchObject({ code: '25006' })
    await db.query('ROLLBACK')
  })

  it('answers BEGIN and COMMIT with nothing between without any server', async () => {
    const db = await client()
    const before = await lastRoute(db)
    expect((await db.query('BEGIN')).command).toBe('BEGIN')
    expect((await db.query('COMMIT')).command).toBe('COMMIT')
    expect(await lastRoute(db)).toBe(before)
  })

  it('gives the results of a text with several statements', async () => {
    const db = await client()
    await db.query('SET pgsplit.consistency = session')
    const results = (await db.query(
      'SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c',
    )) as unknown as pg.QueryResult[]
    expect(results.map(({ rows }) => rows[0])).toEqual([{ a: 1 }, { b: 2 }, { c: 3 }])
    expect(await lastRoute(db)).toMatch(/^r[12]: /)
    await db.query("INSERT INTO item (name) VALUES ('multi'); SELECT 1")
    expect(await lastRoute(db)).toMatch(/^primary: /)
    await expect(
      db.query("INSERT INTO item (name) VALUES ('lost'); SELECT 1/0"),
    ).rejects.toMatchObject({ code: '22012' })
    const { rows } = await cluster.primary
      .query("SELECT 1 FROM item WHERE name = 'lost'", [], 'shop')
      .then((found) => ({ rows: found }))
    expect(rows).toEqual([])
  })

  it('passes large results and large parameters on', async () => {
    const db = await client()
    const { rows } = await db.query("SELECT repeat('x', 20000000) AS big")
    expect(rows[0].big).toHaveLength(20_000_000)
    const big = 'y'.repeat(5_000_000)
    expect((await db.query('SELECT length($1::text) AS n', [big])).rows).toEqual([{ n: 5_000_000 }])
    const many = await db.query('SELECT i FROM generate_series(1, 200000) i')
    expect(many.rowCount).toBe(200_000)
  })

  it('cancels what runs, on a replica and on the primary, and only that', async () => {
    for (const text of ['SELECT pg_sleep(30)', 'SELECT pg_sleep(30) FROM item FOR UPDATE']) {
      const db = await client()
      const running = expect(db.query(text)).rejects.toMatchObject({ code: '57014' })
      await waitFor('the statement to run', async () => {
        for (const node of cluster.nodes) {
          const rows = await node.query(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%' AND state = 'active'",
            [],
            'shop',
          )
          if (rows.length > 0) return true
        }
        return false
      })
      const { processID, secretKey } = db as unknown as { processID: number; secretKey: number }
      const canceller = new pg.Connection({}) as unknown as {
        connect(port: number, host: string): void
        cancel(processId: number, key: number): void
        once(event: string, listener: () => void): void
      }
      canceller.once('connect', () => canceller.cancel(processID, secretKey))
      canceller.connect(proxy.port, '127.0.0.1')
      await running
      expect((await db.query('SELECT 2 AS two')).rows).toEqual([{ two: 2 }])
    }
  })
})

describe('session state', () => {
  it('is replayed wherever the next statement runs', async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => client()))
    for (const [i, db] of clients.entries()) {
      await db.query(`SET my.number = '${i}'`)
      await db.query(`SET work_mem = '${i + 1}MB'`)
    }
    for (let round = 0; round < 5; round++) {
      const seen = await Promise.all(
        clients.map((db) =>
          db.query("SELECT current_setting('my.number') AS n, current_setting('work_mem') AS w"),
        ),
      )
      expect(seen.map(({ rows }) => rows[0])).toEqual(
        clients.map((_db, i) => ({ n: String(i), w: `${i + 1}MB` })),
      )
    }
    const [first] = clients
    expect(await lastRoute(first as pg.Client)).toMatch(/^r[12]: /)
    await first?.query('RESET work_mem')
    expect((await first?.query("SELECT current_setting('work_mem') AS w"))?.rows).toEqual([
      { w: '4MB' },
    ])
    const fresh = await client()
    expect(
      (await fresh.query("SELECT current_setting('my.number', true) AS n")).rows[0].n ?? '',
    ).toBe('')
  })

  it('goes back when the transaction that set it is rolled back', async () => {
    const db = await client()
    await db.query("SET my.color = 'red'")
    await db.query('BEGIN')
    await db.query("SET my.color = 'blue'")
    await db.query('ROLLBACK')
    expect((await db.query("SELECT current_setting('my.color') AS c")).rows).toEqual([{ c: 'red' }])
    await db.query('BEGIN')
    await db.query("SET LOCAL my.color = 'green'")
    await db.query('COMMIT')
    expect((await db.query("SELECT current_setting('my.color') AS c")).rows).toEqual([{ c: 'red' }])
    await db.query("SELECT set_config('my.color', 'pink', false)")
    expect((await db.query("SELECT current_setting('my.color') AS c")).rows).toEqual([
      { c: 'pink' },
    ])
  })

  it('keeps the role on replicas, and leaves it on no connection', async () => {
    await proxy.with((db) =>
      db.query(`DROP ROLE IF EXISTS reader; CREATE ROLE reader; GRANT SELECT ON item TO reader`),
    )
    await cluster.catchUp()
    await untilReadsAreSplit()
    const db = await client()
    await db.query('SET ROLE reader')
    for (let i = 0; i < 4; i++) {
      expect((await db.query('SELECT current_user::text AS u, count(*) FROM item')).rows[0].u).toBe(
        'reader',
      )
    }
    expect(await lastRoute(db)).toMatch(/^r[12]: /)
    await expect(db.query("INSERT INTO item (name) VALUES ('x')")).rejects.toMatchObject({
      code: '42501',
    })
    const others = await Promise.all(Array.from({ length: 4 }, () => client()))
    const users = await Promise.all(
      others.map((other) => other.query('SELECT current_user::text AS u, count(*) FROM item')),
    )
    expect(users.map(({ rows }) => rows[0].u)).toEqual([
      'postgres',
      'postgres',
      'postgres',
      'postgres',
    ])
    await db.query('RESET ROLE')
    expect((await db.query('SELECT current_user::text AS u')).rows[0].u).toBe('postgres')
  })

  it('never leaks a tenant, with many clients on few connections', async () => {
    await proxy.with(async (db) => {
      await db.query(`CREATE TABLE secret (tenant text, fact text);
        ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON secret USING (tenant = current_setting('my.tenant', true));
        INSERT INTO secret SELECT 't' || i, 'fact of t' || i FROM generate_series(0, 7) i;
        CREATE ROLE app LOGIN PASSWORD 'app'; GRANT SELECT ON secret TO app`)
    })
    await cluster.catchUp()
    await untilReadsAreSplit(undefined, 'secret')
    const clients = await Promise.all(
      Array.from({ length: 8 }, () => proxy.client({ user: 'app', password: 'app' })),
    )
    open.push(...clients)
    await Promise.all(
      clients.map(async (db, i) => {
        await db.query(`SET my.tenant = 't${i}'`)
        for (let round = 0; round < 40; round++) {
          const { rows } =
            round % 2 === 0
              ? await db.query('SELECT fact FROM secret')
              : await db.query({ name: 'facts', text: 'SELECT fact FROM secret', values: [] })
          expect(rows).toEqual([{ fact: `fact of t${i}` }])
          if (round % 10 === 5) {
            await db.query('BEGIN')
            expect((await db.query('SELECT fact FROM secret')).rows).toEqual([
              { fact: `fact of t${i}` },
            ])
            await db.query('COMMIT')
          }
        }
        // what its last transaction may have written has a position soon
        await waitFor('a read on a replica', async () => {
          expect((await db.query('SELECT fact FROM secret')).rows).toEqual([
            { fact: `fact of t${i}` },
          ])
          return /^r[12]: /.test(await lastRoute(db))
        })
      }),
    )
  })

  it('splits the reads of a session that listens', async () => {
    const listener = await client()
    const heard: string[] = []
    listener.on('notification', ({ payload }) => heard.push(payload ?? ''))
    await listener.query('LISTEN news')
    expect((await listener.query('SHOW pgsplit.pin')).rows[0]['pgsplit.pin']).toBe('')
    const speaker = await client()
    await speaker.query("NOTIFY news, 'one'")
    await waitFor('the notification', () => heard.length > 0)
    await untilReadsAreSplit(listener)
    await listener.query('UNLISTEN *')
    await speaker.query("NOTIFY news, 'two'")
    expect(heard).toEqual(['one'])
  })

  it('lets a client know its own notifications by its own process id', async () => {
    const db = await client()
    const speaker = await client()
    const heard: number[] = []
    db.on('notification', ({ processId }) => heard.push(processId))
    await db.query('LISTEN mirror')
    await db.query('NOTIFY mirror')
    await speaker.query('NOTIFY mirror')
    await waitFor('both notifications', () => heard.length === 2)
    expect(heard.map((id) => id === Reflect.get(db, 'processID'))).toEqual([true, false])
  })

  it('pins a session with a temporary table, whose reads see it', async () => {
    const db = await client()
    await db.query('CREATE TEMP TABLE item (id int)')
    expect((await db.query('SELECT count(*)::int AS n FROM item')).rows).toEqual([{ n: 0 }])
    const other = await client()
    expect((await other.query('SELECT count(*)::int AS n FROM item')).rows[0].n).toBeGreaterThan(99)
    await db.query('DISCARD ALL')
    expect((await db.query('SELECT count(*)::int AS n FROM item')).rows[0].n).toBeGreaterThan(99)
    await untilReadsAreSplit(db)
  })

  it('holds session advisory locks at the primary', async () => {
    const one = await client()
    const two = await client()
    const lock = async (db: pg.Client) =>
      (await db.query('SELECT pg_try_advisory_lock(42) AS got')).rows[0].got
    expect(await lock(one)).toBe(true)
    expect(await lock(two)).toBe(false)
    await one.query('SELECT pg_advisory_unlock_all()')
    expect(await lock(two)).toBe(true)
    await two.query('SELECT pg_advisory_unlock(42)')
    // A client that leaves takes its locks with it.
    const three = await client()
    await lock(three)
    await three.end()
    const four = await client()
    await waitFor('the lock to be free', () => lock(four))
  })

  it('keeps a cursor WITH HOLD, and prepared statements of SQL', async () => {
    const db = await client()
    await db.query('DECLARE held CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY id')
    expect((await db.query('FETCH 2 FROM held')).rows).toEqual([{ id: 1 }, { id: 2 }])
    expect((await db.query('FETCH 1 FROM held')).rows).toEqual([{ id: 3 }])
    await db.query('CLOSE held')
    await db.query('PREPARE by_id (int) AS SELECT name FROM item WHERE id = $1')
    expect((await db.query('EXECUTE by_id(7)')).rows).toEqual([{ name: 'item 7' }])
    await db.query('DEALLOCATE by_id')
    await expect(db.query('EXECUTE by_id(7)')).rejects.toMatchObject({ code: '26000' })
  })

  it('commits in two phases', async () => {
    const db = await client()
    await db.query('BEGIN')
    await db.query("INSERT INTO item (id, name) VALUES (2000, '2pc')")
    await db.query("PREPARE TRANSACTION 'two'")
    const other = await client()
    await other.query("COMMIT PREPARED 'two'")
    expect(
      (await cluster.primary.query('SELECT 1 FROM item WHERE id = 2000', [], 'shop')).length,
    ).toBe(1)
  })

  it('keeps currval and lastval with the session', async () => {
    const db = await client()
    const id = (await db.query("INSERT INTO item (name) VALUES ('seq') RETURNING id")).rows[0].id
    await db.query('BEGIN')
    await db.query("SELECT nextval('item_id_seq')")
    expect(Number((await db.query("SELECT currval('item_id_seq') AS v")).rows[0].v)).toBe(id + 1)
    await db.query('COMMIT')
  })
})

it('runs what a replica refuses on the primary, and tells the operator once', async () => {
  const db = await client()
  const read = async (): Promise<void> => {
    expect((await db.query('SELECT count(*)::int AS n FROM hidden')).rows).toEqual([{ n: 0 }])
  }
  const alter = (how: string) =>
    cluster.primary.query(`ALTER TABLE hidden SET ${how}`, [], cluster.database)
  const told = () => proxy.log.filter((line) => line.includes('"event":"misroute"'))
  await db.query('CREATE TABLE hidden (id int)')
  // A standby can't read it from now on; until pgsplit has looked at the catalog again it doesn't know.
  await waitFor('a replica to refuse it', async () => {
    await alter('LOGGED')
    await cluster.catchUp()
    await waitFor('the read at a replica', async () => {
      await read()
      return /^r[12]: /.test(await lastRoute(db))
    })
    await alter('UNLOGGED')
    await cluster.catchUp()
    for (let i = 0; i < 5; i++) await read()
    return told().length > 0
  })
  for (let i = 0; i < 3; i++) await read()
  expect(await lastRoute(db)).toMatch(/^primary: /)
  expect(told()).toHaveLength(1)
  expect(JSON.parse(told()[0] ?? '')).toMatchObject({
    database: cluster.database,
    reason: '0A000',
    keyword: 'select',
  })
  expect(told()[0]).not.toContain('hidden')
})
