import { eq, sql } from 'drizzle-orm'
import { date, integer, jsonb, pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isLost, serverErrorOf } from '../../../src/drizzle/direct/server-error.ts'
import { createSessions } from '../../../src/drizzle/postgres-js/index.ts'
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
