import { eq, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { pgTable, serial, text } from 'drizzle-orm/pg-core'
import { drizzle as drizzleJs } from 'drizzle-orm/postgres-js'
import pg from 'pg'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, expectTypeOf, it } from 'vitest'
import { createSessions, withReplicas } from '../../../src/drizzle/index.ts'
import {
  createSessions as createJsSessions,
  withReplicas as withJsReplicas,
} from '../../../src/drizzle/postgres-js/index.ts'
import { type ServerCluster, startServers, waitFor } from '../../support/cluster.ts'

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
  // What it has logged no commit waits for: replicas have it a little later.
  await waitFor('a read on a replica', () =>
    db.$sessions.run(async () => {
      const [read] = await db.select({ port: sql<number>`which_server()` }).from(notes).limit(1)
      return read?.port !== cluster.primary.port
    }),
  )
})

it('does the same for databases over postgres.js', async () => {
  const clients = cluster.nodes.map(({ url }) =>
    postgres(url, { max: 4, connection: { application_name: 'dropped in' } }),
  )
  const [primary, first, ...others] = clients.map((client) => drizzleJs({ client, schema }))
  if (primary === undefined || first === undefined) throw new Error('a primary and two replicas')
  const replaced = withJsReplicas(primary, [first, ...others], { monitor: { probeInterval: '1s' } })
  try {
    await replaced.insert(notes).values({ body: 'four' })
    const found = await replaced.query.notes.findMany({ where: eq(notes.body, 'four') })
    expect(found).toHaveLength(1)
    await replaced.transaction((tx) =>
      tx.update(notes).set({ body: '4' }).where(eq(notes.body, 'four')),
    )
    expect(await replaced.select().from(notes).where(eq(notes.body, '4'))).toHaveLength(1)
    await cluster.catchUp()
    await replaced.$sessions.run(async () => {
      const read = {
        port: sql<number>`which_server()`,
        name: sql`current_setting('application_name')`,
      }
      const [row] = await replaced.select(read).from(notes).limit(1)
      expect(row?.port).not.toBe(cluster.primary.port)
      expect(row?.name).toBe('dropped in')
    })
    expect(replaced.$primary.$client).toBe(clients[0])
    expectTypeOf(found).toEqualTypeOf<{ id: number; body: string }[]>()
  } finally {
    await replaced.close()
    await Promise.all(clients.map((client) => client.end({ timeout: 1 })))
  }
  const wrong = drizzleJs({ client: postgres({ host: 'db', password: () => 'x' }), schema })
  expect(() => withJsReplicas(wrong, [wrong])).toThrow(/^primary: has a password function/)
  const several = drizzleJs({ client: postgres('postgres://a,b/db'), schema })
  expect(() => withJsReplicas(several, [several])).toThrow(/^primary: has several hosts/)
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
