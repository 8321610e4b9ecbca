import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { pgTable, serial, text } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { afterAll, beforeAll, expect, expectTypeOf, it } from 'vitest'
import { createSessions, withReplicas } from '../../../src/drizzle/index.ts'
import { createSessions as createJsSessions } from '../../../src/drizzle/postgres-js/index.ts'
import { type ServerCluster, startServers } from '../../support/cluster.ts'

const notes = pgTable('note', { id: serial().primaryKey(), body: text().notNull() })
const schema = { notes }

let cluster: ServerCluster
let pools: pg.Pool[]
let db: ReturnType<typeof start>

function start() {
  const [primary, first, ...others] = pools.map((client) => drizzle({ client, schema }))
  if (primary === undefined || first === undefined) throw new Error('a primary and two replicas')
  return withReplicas(primary, [first, ...others])
}

beforeAll(async () => {
  cluster = await startServers()
  await cluster.primary.query(
    `CREATE TABLE note (id serial PRIMARY KEY, body text NOT NULL);
     CREATE FUNCTION which_server() RETURNS int LANGUAGE sql STABLE AS
       $$SELECT current_setting('port')::int$$`,
  )
  await cluster.catchUp()
  pools = cluster.nodes.map(({ url }) => new pg.Pool({ connectionString: url, max: 4 }))
  db = start()
})

afterAll(async () => {
  await db?.close()
  await Promise.all((pools ?? []).map((pool) => pool.end()))
  await cluster?.stop()
})

const port = { port: sql<number>`inet_server_port()` }

it('reads on replicas and writes on the primary, with the members of Drizzle', async () => {
  const [note] = await db.insert(notes).values({ body: 'one' }).returning()
  expect(await db.select().from(notes)).toEqual([note])
  expect(await db.query.notes.findFirst()).toEqual(note)
  expect(await db.$count(notes)).toBe(1)
  await db.update(notes).set({ body: 'two' }).where(eq(notes.id, 1))
  await db.transaction((tx) => tx.insert(notes).values({ body: 'three' }))
  const body = db.$with('bodies').as(db.select({ body: notes.body }).from(notes))
  expect(await db.with(body).select().from(body).orderBy(body.body)).toEqual([
    { body: 'three' },
    { body: 'two' },
  ])
  expect(db.$primary.$client).toBe(pools[0])
  expect(db.$replicas).toHaveLength(2)
  // Drizzle's own would have used the pools of the application.
  expect(pools.map(({ totalCount }) => totalCount)).toEqual([0, 0, 0])
  expect(db.$sessions.snapshot().nodes.map(({ role }) => role)).toEqual([
    'primary',
    'replica',
    'replica',
  ])
})

it('gives to the primary what is not proved to be a read', async () => {
  const [row] = await db.select({ id: sql<string>`nextval('note_id_seq')` }).from(notes)
  expect(Number(row?.id)).toBeGreaterThan(2)
  await cluster.catchUp()
  const [where] = await db.$sessions.run(() => db.select(port).from(notes).limit(1))
  expect(where?.port).toBeTypeOf('number')
  await db.$sessions.run(async () => {
    const [read] = await db.select({ port: sql<number>`which_server()` }).from(notes).limit(1)
    expect(read?.port).not.toBe(cluster.primary.port)
  })
})

it('names the database whose pool it does not understand', () => {
  const primary = drizzle({ client: new pg.Pool({ host: 'db', password: () => 'x' }), schema })
  expect(() => withReplicas(primary, [primary])).toThrow(/^primary: has a password function/)
  const secure = drizzle({ client: new pg.Pool({ host: 'db', ssl: { ca: 'PEM' } }), schema })
  expect(() => withReplicas(secure, [secure])).toThrow(/^primary: has certificates/)
})

it('keeps the types', () => void types)

/** Never called: the compiler is the test. */
function types(): void {
  const sessions = createSessions({ proxy: 'postgres://app@localhost/x', schema })
  const js = createJsSessions({ proxy: 'postgres://app@localhost/x', schema })
  const found = sessions.getSession().query.notes.findFirst()
  expectTypeOf(found).resolves.toEqualTypeOf<{ id: number; body: string } | undefined>()
  expectTypeOf(js.getSession().query.notes.findMany()).resolves.toEqualTypeOf<
    { id: number; body: string }[]
  >()
  expectTypeOf(sessions.getSession().select().from(notes)).resolves.toEqualTypeOf<
    { id: number; body: string }[]
  >()
  for (const read of [sessions.getSession(), js.getSession()]) {
    // @ts-expect-error a read session has no builders of writes
    read.insert
    // @ts-expect-error
    read.update
    // @ts-expect-error
    read.delete
    // @ts-expect-error
    read.refreshMaterializedView
  }
  expectTypeOf(sessions.getSession(true).insert).toBeFunction()
  expectTypeOf(js.getSession(true).insert).toBeFunction()
  expectTypeOf(db.query.notes.findFirst()).resolves.toEqualTypeOf<
    { id: number; body: string } | undefined
  >()
}
