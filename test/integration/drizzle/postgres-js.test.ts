import { type AddressInfo, createServer } from 'node:net'
import { eq, sql } from 'drizzle-orm'
import { date, integer, jsonb, pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isLost, serverErrorOf } from '../../../src/drizzle/direct/server-error.ts'
import { createSessions } from '../../../src/drizzle/postgres-js/index.ts'
import { JsConnection } from '../../../src/drizzle/postgres-js/js-connection.ts'
import { jsSettings } from '../../../src/drizzle/postgres-js/js-driver.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../../support/cluster.ts'

const samples = pgTable('sample', {
  id: serial().primaryKey(),
  at: timestamp({ withTimezone: true }),
  local: timestamp({ mode: 'string' }),
  day: date(),
  days: date().array(),
  facts: jsonb().$type<{ readonly a: number }>(),
  tags: text().array(),
  counts: integer().array(),
})

let cluster: EmbeddedCluster
let stock: postgres.Sql
let sessions: ReturnType<typeof start>

const start = () =>
  createSessions({
    primary: cluster.primary.url,
    replicas: cluster.replicas.map(({ url }) => url),
    schema: { samples },
    client: { onnotice: () => {} },
  })

beforeAll(async () => {
  cluster = await startCluster()
  await cluster.primary.query(
    `CREATE TABLE sample (id serial PRIMARY KEY, at timestamptz, local timestamp, day date,
       days date[], facts jsonb, tags text[], counts int[])`,
  )
  stock = postgres(cluster.primary.url, { max: 1, onnotice: () => {} })
  sessions = start()
})

afterAll(async () => {
  await sessions?.close()
  await stock?.end({ timeout: 1 })
  await cluster?.stop()
})

it('reads and writes values as drizzle() on postgres.js does', async () => {
  const values = {
    at: new Date('2026-11-28T03:04:05.678Z'),
    local: '2026-11-28 03:04:05.678',
    day: '2026-11-28',
    days: ['2026-11-28', '2026-11-29'],
    facts: { a: 1 },
    tags: ['x', 'y "z"'],
    counts: [1, 2],
  }
  const [row] = await sessions.getSession(true).insert(samples).values(values).returning()
  expect(row).toEqual({ id: 1, ...values })
  const raw = sql`SELECT * FROM sample`
  const db = sessions.getSession()
  const plain = drizzle(stock)
  expect(await db.select().from(samples)).toEqual(await plain.select().from(samples))
  expect([...(await db.execute(raw))]).toEqual([...(await plain.execute(raw))])
})

it('reads and writes arrays of any type, of those that were made since, too', async () => {
  await cluster.primary.query("CREATE TYPE mood AS ENUM ('good', 'so, so')")
  const own = start()
  try {
    const plain = postgres(cluster.primary.url, { max: 1 })
    const db = drizzle(plain)
    const query = sql`SELECT ARRAY['good', 'so, so']::mood[] AS moods, '{{1,2},{3,4}}'::int8[] AS grid,
      '{(1,1),(0,0);(2,2),(1,1)}'::box[] AS boxes, '{}'::text[] AS none, '{t,f}'::bool[] AS flags,
      ARRAY['{"a": [1]}']::jsonb[] AS facts, ARRAY['2026-11-28 01:02:03']::timestamp[] AS times`
    expect([...(await own.getSession(true).execute(query))]).toEqual([...(await db.execute(query))])
    await plain.end({ timeout: 1 })
    const [row] = await own.getSession(true).execute(sql`
      SELECT ${sql.param(['good', 'so, so'])}::mood[] = ARRAY['good', 'so, so']::mood[] AS same,
        ARRAY[1, NULL] AS gap, ${sql.param([
          [1, null],
          [2, 3],
        ])}::int[] AS back`)
    expect(row).toEqual({
      same: true,
      gap: [1, null],
      back: [
        [1, null],
        [2, 3],
      ],
    })
  } finally {
    await own.close()
  }
})

// vitest fails for what rejects unhandled.
it('rejects when the server is gone in the middle of the log-in, and breaks nothing', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      // AuthenticationOk, ReadyForQuery; then the first question is too much for it.
      socket.write(Buffer.from('5200000008000000005a0000000549', 'hex'))
      socket.once('data', () => socket.destroy())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const target = {
    host: '127.0.0.1',
    port,
    user: 'u',
    password: undefined,
    database: 'd',
    ssl: false as const,
    isDirectTls: false,
    isBound: false,
  }
  try {
    const settings = jsSettings({})
    await expect(JsConnection.open(target, settings, 10_000, () => {})).rejects.toMatchObject({
      code: 'CONNECTION_CLOSED',
    })
  } finally {
    server.close()
  }
})

it('counts what a write has changed, and prepares statements on every connection', async () => {
  const db = sessions.getSession(true)
  const changed = await db.update(samples).set({ tags: [] }).where(eq(samples.id, 1))
  expect([changed.count, changed.command]).toEqual([1, 'UPDATE'])
  const byId = sessions
    .getSession()
    .select({ id: samples.id })
    .from(samples)
    .where(eq(samples.id, sql.placeholder('id')))
    .prepare('by_id')
  const found = await Promise.all(Array.from({ length: 30 }, () => byId.execute({ id: 1 })))
  for (const rows of found) expect(rows).toEqual([{ id: 1 }])
})

it('fails a transaction in which a statement has failed, and goes on behind a savepoint', async () => {
  const db = sessions.getSession(true)
  const swallowed = db.transaction(async (tx) => {
    await tx.insert(samples).values({ id: 50 })
    await tx.execute(sql`SELECT 1/0`).catch(() => {})
  })
  await expect(swallowed).rejects.toThrow()
  await db.transaction(async (tx) => {
    await tx.insert(samples).values({ id: 51 })
    await tx.transaction((inner) => inner.execute(sql`SELECT 1/0`)).catch(() => {})
    await tx.insert(samples).values({ id: 52 })
  })
  const rows = await db.select({ id: samples.id }).from(samples).orderBy(samples.id)
  expect(rows.map(({ id }) => id)).toEqual([1, 51, 52])
})

it('gives errors that are recognised: of the server, and of a lost connection', async () => {
  const failed = await stock`SELECT 1/0`.catch((error: unknown) => error)
  expect(serverErrorOf(failed)).toMatchObject({ severity: 'ERROR', sqlstate: '22012' })
  const sleeping = stock`SELECT pg_sleep(60)`.catch((error: unknown) => error)
  await waitFor('the statement to run', async () => {
    const running = await cluster.primary.query(
      "SELECT FROM pg_stat_activity WHERE query LIKE '%sleep(60)' AND wait_event = 'PgSleep'",
    )
    return running.length === 1
  })
  await cluster.catchUp()
  await cluster.primary.stop('immediate')
  expect(isLost(await sleeping)).toBe(true)
  const refused = await stock`SELECT 1`.catch((error: unknown) => error)
  expect(isLost(refused)).toBe(true)
  // Reads go on at the replicas while there is no primary.
  expect(await sessions.run(() => sessions.getSession().select().from(samples))).toHaveLength(3)
})
