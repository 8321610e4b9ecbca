import { pipeline } from 'node:stream/promises'
import { sql as drizzleSql, eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import knex from 'knex'
import { type Generated, Kysely, sql as kyselySql, PostgresDialect } from 'kysely'
import pg from 'pg'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

/** Each driver with its default settings, and with what only it does on the wire. */

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers()
  proxy = await startTestProxy(cluster, { pool: { size: 4 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

describe('pg', () => {
  it('queries, prepares, and keeps transactions in a pool of clients', async () => {
    const pool = new pg.Pool({ connectionString: proxy.url() })
    await pool.query('CREATE TABLE of_pg (id int PRIMARY KEY, name text)')
    await Promise.all(
      numbers(30).map((i) => pool.query('INSERT INTO of_pg VALUES ($1, $2)', [i, `name ${i}`])),
    )
    const found = await Promise.all(
      numbers(30).map((i) =>
        pool.query({ name: 'by id', text: 'SELECT name FROM of_pg WHERE id = $1', values: [i] }),
      ),
    )
    expect(found.map(({ rows }) => rows[0].name)).toEqual(numbers(30).map((i) => `name ${i}`))
    const client = await pool.connect()
    await client.query('BEGIN')
    await client.query('DELETE FROM of_pg')
    await expect(client.query('SELECT 1/0')).rejects.toMatchObject({ code: '22012' })
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' })
    await client.query('ROLLBACK')
    expect((await client.query('SELECT count(*)::int AS n FROM of_pg')).rows).toEqual([{ n: 30 }])
    client.release()
    await pool.end()
  })

  it('gives types as they are', async () => {
    const client = await proxy.client()
    const { rows } = await client.query(
      `SELECT $1::jsonb AS doc, $2::int[] AS list, $3::bytea AS raw, $4::timestamptz AS at,
        NULL::text AS nothing, 1.5::numeric AS exact, true AS yes`,
      [{ a: [1] }, [1, 2], Buffer.from([0, 255]), new Date(0)],
    )
    expect(rows).toEqual([
      {
        doc: { a: [1] },
        list: [1, 2],
        raw: Buffer.from([0, 255]),
        at: new Date(0),
        nothing: null,
        exact: '1.5',
        yes: true,
      },
    ])
    await client.end()
  })

  it('hears notifications', async () => {
    const [ear, mouth] = [await proxy.client(), await proxy.client()]
    const heard = new Promise<string | undefined>((resolve) => {
      ear.on('notification', ({ payload }) => resolve(payload))
    })
    await ear.query('LISTEN news_of_pg')
    await mouth.query("NOTIFY news_of_pg, 'hello'")
    expect(await heard).toBe('hello')
    await Promise.all([ear.end(), mouth.end()])
  })
})

describe('postgres.js', () => {
  const connect = (): postgres.Sql => postgres(proxy.url(), { onnotice: () => {} })

  it('pipelines queries of many at once', async () => {
    const sql = connect()
    await sql`CREATE TABLE of_js (id int PRIMARY KEY, name text)`
    await sql`INSERT INTO of_js ${sql(numbers(5).map((id) => ({ id, name: `n${id}` })))}`
    const found = await Promise.all(
      numbers(200).map((i) => sql`SELECT ${i}::int AS i, count(*)::int AS n FROM of_js`),
    )
    expect(found.map(([row]) => row)).toEqual(numbers(200).map((i) => ({ i, n: 5 })))
    expect(await sql`SELECT name FROM of_js WHERE id = ${3}`).toEqual([{ name: 'n3' }])
    await sql.end()
  })

  it('runs transactions, with savepoints, failures and pipelines inside', async () => {
    const sql = connect()
    await sql`CREATE TABLE of_js_tx (id int PRIMARY KEY)`
    await sql.begin(async (tx) => {
      await tx`INSERT INTO of_js_tx VALUES (1)`
      await tx.savepoint((inner) => inner`INSERT INTO of_js_tx VALUES (1)`).catch(() => {})
      await Promise.all([tx`INSERT INTO of_js_tx VALUES (2)`, tx`INSERT INTO of_js_tx VALUES (3)`])
    })
    await expect(sql.begin((tx) => tx`INSERT INTO of_js_tx VALUES (3)`)).rejects.toMatchObject({
      code: '23505',
    })
    const both = await sql.begin('read only', (tx) => [
      tx`SELECT count(*)::int AS n FROM of_js_tx`,
      tx`SELECT 1 AS one`,
    ])
    expect(both).toEqual([[{ n: 3 }], [{ one: 1 }]])
    await sql.end()
  })

  it('reads by cursor, describes, copies both ways and cancels', async () => {
    const sql = connect()
    let read = 0
    for await (const rows of sql`SELECT generate_series(1, 1000) AS g`.cursor(100)) {
      read += rows.length
    }
    expect(read).toBe(1000)
    await sql`CREATE TABLE of_js_copy (id int, name text)`
    expect((await sql`SELECT * FROM of_js_copy`.describe()).columns).toHaveLength(2)
    const writable = await sql`COPY of_js_copy FROM STDIN`.writable()
    await pipeline(['10\tx\n', '11\ty\n'], writable)
    const readable = await sql`COPY of_js_copy TO STDOUT`.readable()
    let out = ''
    for await (const chunk of readable) out += chunk
    expect(out).toBe('10\tx\n11\ty\n')
    const slow = sql`SELECT pg_sleep(30)`
    const failed = expect(slow).rejects.toMatchObject({ code: '57014' })
    setTimeout(() => slow.cancel(), 100)
    await failed
    await sql.end()
  })

  it('hears notifications', async () => {
    const sql = connect()
    const heard = Promise.withResolvers<string>()
    const { unlisten } = await sql.listen('news_of_js', heard.resolve)
    await sql.notify('news_of_js', 'hello')
    expect(await heard.promise).toBe('hello')
    await unlisten()
    await sql.end()
  })
})

describe('drizzle', () => {
  const people = pgTable('of_drizzle', {
    id: integer('id').primaryKey(),
    name: text('name').notNull(),
  })

  it('writes, reads, prepares and rolls back', async () => {
    const pool = new pg.Pool({ connectionString: proxy.url() })
    const db = drizzle(pool)
    await db.execute(drizzleSql`CREATE TABLE of_drizzle (id int PRIMARY KEY, name text NOT NULL)`)
    await db.insert(people).values(numbers(10).map((id) => ({ id, name: `n${id}` })))
    await db.update(people).set({ name: 'changed' }).where(eq(people.id, 3))
    const byId = db
      .select()
      .from(people)
      .where(eq(people.id, drizzleSql.placeholder('id')))
      .prepare('drizzle_by_id')
    const found = await Promise.all(numbers(20).map((i) => byId.execute({ id: i % 10 })))
    expect(found.map(([row]) => row?.id)).toEqual(numbers(20).map((i) => i % 10))
    expect(await byId.execute({ id: 3 })).toEqual([{ id: 3, name: 'changed' }])
    await expect(
      db.transaction(async (tx) => {
        await tx.delete(people)
        await tx.transaction((inner) => inner.insert(people).values({ id: 77, name: 'x' }))
        throw new Error('back')
      }),
    ).rejects.toThrow('back')
    const read = await db.transaction((tx) => tx.select().from(people), { accessMode: 'read only' })
    expect(read).toHaveLength(10)
    await pool.end()
  })
})

describe('kysely', () => {
  interface Tables {
    readonly of_kysely: { readonly id: Generated<number>; readonly name: string }
  }

  it('writes, reads and runs transactions', async () => {
    const pool = new pg.Pool({ connectionString: proxy.url() })
    const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
    await db.schema
      .createTable('of_kysely')
      .addColumn('id', 'serial', (column) => column.primaryKey())
      .addColumn('name', 'text')
      .execute()
    const made = await db
      .insertInto('of_kysely')
      .values(numbers(10).map((i) => ({ name: `n${i}` })))
      .returning('id')
      .execute()
    expect(made).toHaveLength(10)
    await db
      .transaction()
      .setIsolationLevel('serializable')
      .execute((tx) => tx.updateTable('of_kysely').set({ name: 'x' }).where('id', '=', 1).execute())
    const read = await db.selectFrom('of_kysely').selectAll().where('name', '=', 'x').execute()
    expect(read).toEqual([{ id: 1, name: 'x' }])
    const { rows } = await kyselySql<{ n: number }>`SELECT ${5}::int AS n`.execute(db)
    expect(rows).toEqual([{ n: 5 }])
    await db.destroy()
  })
})

describe('knex', () => {
  it('builds, writes, reads and streams', async () => {
    const db = knex({ client: 'pg', connection: proxy.url() })
    await db.schema.createTable('of_knex', (table) => {
      table.increments('id')
      table.text('name')
    })
    await db('of_knex').insert(numbers(50).map((i) => ({ name: `n${i}` })))
    await db.transaction(async (tx) => {
      await tx('of_knex').where({ id: 1 }).update({ name: 'x' })
      await tx.savepoint((inner) => inner('of_knex').where({ id: 2 }).del())
    })
    await expect(
      db.transaction(async (tx) => {
        await tx('of_knex').del()
        await tx.raw('SELECT 1/0')
      }),
    ).rejects.toMatchObject({ code: '22012' })
    expect(await db('of_knex').where({ name: 'x' }).select('id')).toEqual([{ id: 1 }])
    expect(await db('of_knex').count({ n: '*' })).toEqual([{ n: '49' }])
    await db.destroy()
  })
})
