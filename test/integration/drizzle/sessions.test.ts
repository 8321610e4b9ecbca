import { eq, relations, sql } from 'drizzle-orm'
import { integer, pgTable, serial, text } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions, type DoorError } from '../../../src/drizzle/index.ts'
import { createSessions as createJsSessions } from '../../../src/drizzle/postgres-js/index.ts'
import { type ServerCluster, startServers, waitFor } from '../../support/cluster.ts'
import { startTestProxy } from '../../support/proxy.ts'

const authors = pgTable('author', { id: serial().primaryKey(), name: text().notNull() })
const books = pgTable('book', {
  id: serial().primaryKey(),
  title: text().notNull(),
  authorId: integer('author_id').notNull(),
})
const authorRelations = relations(authors, ({ many }) => ({ books: many(books) }))
const bookRelations = relations(books, ({ one }) => ({
  author: one(authors, { fields: [books.authorId], references: [authors.id] }),
}))
const schema = { authors, books, authorRelations, bookRelations }

let cluster: ServerCluster
let proxy: Awaited<ReturnType<typeof startTestProxy>>

/** Nodes are called after where they are. */
const nameOf = ({ url }: { readonly url: string }) => new URL(url).host

/** A driver over a door: each gives the same sessions. */
interface Way {
  readonly name: string
  readonly start: () => PgSessions
  readonly isProxy: boolean
}

const nodes = () => ({
  primary: cluster.primary.urlFor('shop'),
  replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
  schema,
})
const startPg = () => createSessions(nodes())
type PgSessions = ReturnType<typeof startPg>
/** For the tests sessions of postgres.js are those of node-postgres; `rowsOf` knows both results. */
const asPg = (sessions: { close(): Promise<void> }) => sessions as unknown as PgSessions

const ways: readonly Way[] = [
  { name: 'node-postgres on the nodes', start: startPg, isProxy: false },
  {
    name: 'postgres.js on the nodes',
    start: () => asPg(createJsSessions(nodes())),
    isProxy: false,
  },
  {
    name: 'node-postgres on a proxy',
    start: () => asPg(createSessions({ proxy: proxy.url({ database: 'shop' }), schema })),
    isProxy: true,
  },
  {
    name: 'postgres.js on a proxy',
    start: () => asPg(createJsSessions({ proxy: proxy.url({ database: 'shop' }), schema })),
    isProxy: true,
  },
]

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    `CREATE TABLE author (id serial PRIMARY KEY, name text NOT NULL);
     CREATE TABLE book (id serial PRIMARY KEY, title text NOT NULL, author_id int NOT NULL);
     CREATE TABLE seat (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
     INSERT INTO author (name) VALUES ('Ada'), ('Grace');
     INSERT INTO book (title, author_id) VALUES ('Notes', 1), ('Compilers', 2);
     CREATE FUNCTION which_server() RETURNS int LANGUAGE plpgsql STABLE AS
       $$BEGIN RETURN current_setting('port')::int; END$$;
     CREATE FUNCTION sneaky() RETURNS int LANGUAGE plpgsql STABLE AS
       $$BEGIN PERFORM nextval('author_id_seq'); RETURN 1; END$$;
     CREATE UNLOGGED TABLE fleeting AS SELECT current_setting('port')::int AS port;
     CREATE VIEW numbered AS SELECT nextval('author_id_seq')`,
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
})

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** The port of the server that answers, as the server says. */
const whereSql = sql`SELECT which_server() AS port`

async function whereIs(db: { execute: (query: typeof whereSql) => PromiseLike<unknown> }) {
  const [row] = rowsOf(await db.execute(whereSql))
  return (row as { port: number }).port
}

/** Rows as node-postgres or as postgres.js gives them. */
function rowsOf(result: unknown): unknown[] {
  return Array.isArray(result) ? [...result] : (result as { rows: unknown[] }).rows
}

const codeOf = (error: unknown): unknown => {
  const { cause } = error as { readonly cause?: unknown }
  return ((cause ?? error) as DoorError).code
}

async function failure(work: PromiseLike<unknown>): Promise<unknown> {
  try {
    await work
  } catch (error) {
    return codeOf(error)
  }
  return 'no error'
}

describe.each(ways)('$name', (way) => {
  let sessions: PgSessions

  beforeAll(async () => {
    await cluster.catchUp()
    sessions = way.start()
    await sessions.ready
  })

  afterAll(() => sessions?.close())

  describe('a read session', () => {
    it('reads on replicas, with builders, relations and raw SQL', async () => {
      const db = sessions.getSession()
      expect(
        await db.select({ name: authors.name }).from(authors).where(eq(authors.id, 1)),
      ).toEqual([{ name: 'Ada' }])
      const found = await db.query.authors.findMany({
        with: { books: true },
        where: eq(authors.id, 2),
      })
      expect(found).toEqual([
        { id: 2, name: 'Grace', books: [{ id: 2, title: 'Compilers', authorId: 2 }] },
      ])
      expect(await db.$count(books)).toBe(2)
      const ports = cluster.replicas.map(({ port }) => port)
      expect(ports).toContain(await whereIs(db))
    })

    it('balances over the replicas', async () => {
      await cluster.catchUp()
      const replicas = cluster.replicas.map(({ port }) => port).sort()
      // What others wrote before may keep reads at the primary for a moment.
      await waitFor('reads on both replicas, and only there', async () => {
        const reads = Array.from({ length: 40 }, () => whereIs(sessions.getSession()))
        const seen = new Set(await Promise.all(reads))
        return String([...seen].sort()) === String(replicas)
      })
    })

    it('refuses what is not proved to be a read, before it is sent', async () => {
      const db = sessions.getSession()
      const refused = [
        sql`INSERT INTO author (name) VALUES ('no')`,
        sql`WITH gone AS (DELETE FROM author RETURNING id) SELECT * FROM gone`,
        sql`SELECT nextval('author_id_seq')`,
        sql`SELECT * FROM author FOR UPDATE`,
        sql`SET work_mem = '1MB'`,
        sql`BEGIN`,
      ]
      for (const query of refused) expect(await failure(db.execute(query))).toBe('25006')
      // @ts-expect-error write builders are not there for the compiler
      expect(await failure(db.insert(authors).values({ name: 'no' }))).toBe('25006')
      expect(
        await cluster.primary.query(
          "SELECT count(*)::int AS n FROM author WHERE name = 'no'",
          [],
          'shop',
        ),
      ).toEqual([{ n: 0 }])
    })

    it.skipIf(way.isProxy)(
      'is told when a function that says it only reads has tried to write',
      async () => {
        const db = sessions.getSession()
        expect(await failure(db.execute(sql`SELECT sneaky()`))).toBe('25006')
        expect(await failure(db.execute(sql`SELECT sneaky()`))).toBe('25006')
      },
    )

    const asked: readonly [string, ReturnType<typeof sql>][] = [
      ['settings', sql`SELECT setting::int AS port FROM pg_settings WHERE name = 'port'`],
      ['SHOW', sql`SHOW port`],
      ['a parameter of the node', sql`SELECT current_setting('port')::int AS port`],
      ['its address', sql`SELECT inet_server_port() AS port`],
      ['an unlogged table', sql`SELECT port FROM fleeting`],
      [
        'activity',
        sql`SELECT ${sql.raw('(SELECT port FROM fleeting)')} AS port FROM pg_stat_activity LIMIT 1`,
      ],
      ['a sequence', sql`SELECT last_value * 0 + inet_server_port() AS port FROM author_id_seq`],
      [
        'sizes',
        sql`SELECT inet_server_port() AS port WHERE pg_relation_size('fleeting') > 0
          AND pg_database_size(current_database()) > 0`,
      ],
    ]

    it.each(asked)('asks the primary for %s', async (what, query) => {
      const db = sessions.getSession()
      const portIn = (result: unknown) => Number((rowsOf(result)[0] as { port: unknown }).port)
      expect(portIn(await db.execute(query))).toBe(cluster.primary.port)
      const first = db.transaction(async (tx) => portIn(await tx.execute(query)))
      expect(await first).toBe(cluster.primary.port)
      // In an open transaction SHOW tells what that has.
      if (way.isProxy || what === 'SHOW') return
      // Not the first one: what was begun on a replica goes on there, or moves.
      let ports: number[] = []
      await waitFor('a transaction on a replica', async () => {
        ports = await db.transaction(async (tx) => {
          const first = await whereIs(tx)
          await tx.select().from(books)
          return [first, portIn(await tx.execute(query)), await whereIs(tx)]
        })
        return ports[0] !== cluster.primary.port
      })
      expect(ports.slice(1)).toEqual([cluster.primary.port, cluster.primary.port])
      let isOnReplica = false
      await waitFor('another one on a replica', async () => {
        const pinned = db.transaction(
          async (tx) => {
            isOnReplica = (await whereIs(tx)) !== cluster.primary.port
            await tx.execute(query)
          },
          { isolationLevel: 'repeatable read' },
        )
        expect(await failure(pinned)).toBe(isOnReplica ? '25006' : 'no error')
        return isOnReplica
      })
    })

    it('refuses there what does more than read, and leaves nothing behind', async () => {
      const db = sessions.getSession()
      const refused = [
        sql`SELECT pg_advisory_lock(1), * FROM fleeting`,
        sql`SELECT pg_notify('a', 'b'), * FROM fleeting`,
        sql`SELECT pg_reload_conf(), * FROM pg_settings`,
        sql`SELECT set_config('work_mem', '1MB', false), * FROM fleeting`,
        sql`SELECT port INTO stolen FROM fleeting`,
        sql`SELECT * FROM fleeting FOR UPDATE`,
        sql`SELECT nextval('author_id_seq') FROM fleeting`,
        sql`SELECT * FROM numbered`,
      ]
      for (const query of refused) {
        expect(await failure(db.execute(query))).toBe('25006')
        expect(await failure(db.transaction((tx) => tx.execute(query)))).toBe('25006')
      }
    })

    it('reads what was made a moment ago, however it was made', async () => {
      for (let i = 0; i < 3; i++) {
        const name = sql.raw(`fresh_${i}`)
        const write = sessions.getSession(true)
        const read = (query: ReturnType<typeof sql>) => sessions.getSession().execute(query)
        await write.execute(sql`CREATE TABLE ${name} AS SELECT 7 AS n`)
        expect(rowsOf(await read(sql`SELECT n FROM ${name}`))).toEqual([{ n: 7 }])
        await write.transaction(async (tx) => {
          await tx.execute(sql`CREATE VIEW ${name}_view AS SELECT n + 1 AS n FROM ${name}`)
          await tx.execute(sql`CREATE FUNCTION ${name}_f() RETURNS int LANGUAGE sql STABLE
            RETURN (SELECT n + 2 FROM ${name})`)
        })
        expect(rowsOf(await read(sql`SELECT n, ${name}_f() AS f FROM ${name}_view`))).toEqual([
          { n: 8, f: 9 },
        ])
        const inside = sessions
          .getSession()
          .transaction((tx) => tx.execute(sql`SELECT n FROM ${name}_view`))
        expect(rowsOf(await inside)).toEqual([{ n: 8 }])
        await write.execute(
          sql`DROP FUNCTION ${name}_f(); DROP VIEW ${name}_view; DROP TABLE ${name}`.inlineParams(),
        )
      }
    })

    it('learns nothing for all from one bad value', async () => {
      const db = sessions.getSession()
      // The catalog is read anew after the DDL of other tests.
      await waitFor('reads on replicas', async () => (await whereIs(db)) !== cluster.primary.port)
      const cut = (unit: string) =>
        db.execute(sql`SELECT which_server() AS port, date_trunc(${unit}, now())`)
      for (let i = 0; i < 3; i++) {
        expect(await failure(cut('timezone'))).toBe('0A000')
        await waitFor('the same with other values on a replica', async () => {
          const [row] = rowsOf(await cut('day'))
          return (row as { port: number }).port !== cluster.primary.port
        })
      }
    })

    it('runs a transaction as READ ONLY on one replica', async () => {
      const ports = await sessions.getSession().transaction(
        async (tx) => {
          const first = await whereIs(tx)
          expect(rowsOf(await tx.execute(sql`SHOW transaction_read_only`))).toEqual([
            { transaction_read_only: 'on' },
          ])
          await tx.transaction(async (inner) => {
            await inner.select().from(books)
          })
          return [first, await whereIs(tx)]
        },
        { isolationLevel: 'repeatable read' },
      )
      expect(new Set(ports).size).toBe(1)
      expect(cluster.replicas.map(({ port }) => port)).toContain(ports[0])
    })

    it('refuses writes, and what would mean nothing there, in such a transaction', async () => {
      const inside = (query: ReturnType<typeof sql>) =>
        failure(sessions.getSession().transaction((tx) => tx.execute(query)))
      expect(await inside(sql`INSERT INTO author (name) VALUES ('no')`)).toBe('25006')
      expect(await inside(sql`SELECT pg_advisory_xact_lock(1)`)).toBe('25006')
      expect(await inside(sql`SET TRANSACTION READ WRITE`)).toBe('25006')
      expect(await inside(sql`SELECT 1/0`)).toBe('22012')
      expect(await inside(sql`SELECT 1`)).toBe('no error')
    })
  })

  describe('a write session', () => {
    it('runs everything on the primary', async () => {
      const db = sessions.getSession(true)
      expect(await whereIs(db)).toBe(cluster.primary.port)
      const [row] = await db.insert(authors).values({ name: 'Barbara' }).returning()
      expect(row?.name).toBe('Barbara')
      await db.transaction(async (tx) => {
        await tx
          .update(authors)
          .set({ name: 'Barbara L.' })
          .where(eq(authors.id, row?.id ?? 0))
        expect(await whereIs(tx)).toBe(cluster.primary.port)
      })
      const kept = failure(
        db.transaction(async (tx) => {
          await tx.delete(authors)
          throw new Error('changed my mind')
        }),
      )
      await kept
      const rows = await sessions
        .getSession()
        .select()
        .from(authors)
        .where(eq(authors.id, row?.id ?? 0))
      expect(rows).toEqual([{ id: row?.id, name: 'Barbara L.' }])
    })

    it('tells why a COMMIT has failed', async () => {
      const work = sessions
        .getSession(true)
        .transaction((tx) => tx.execute(sql`INSERT INTO seat VALUES (1), (1)`))
      expect(await failure(work)).toBe('23505')
    })

    it('writes nothing more in a transaction whose connection was lost', async () => {
      const mark = `lost of ${way.name}`
      const work = sessions.getSession(true).transaction(async (tx) => {
        await tx.insert(authors).values({ name: mark })
        const [row] = rowsOf(await tx.execute(sql`SELECT pg_backend_pid() AS pid`))
        const pid = (row as { pid: number }).pid
        await cluster.primary.query('SELECT pg_terminate_backend($1)', [pid])
        await waitFor('the connection to go', async () => {
          const found = await cluster.primary.query('SELECT FROM pg_stat_activity WHERE pid = $1', [
            pid,
          ])
          return found.length === 0
        })
        await tx.insert(authors).values({ name: mark })
      })
      expect(await failure(work)).toBe('08006')
      const rows = await sessions.getSession(true).select().from(authors)
      expect(rows.filter(({ name }) => name === mark)).toEqual([])
    })

    it('hands nothing of its session to the next user of a connection', async () => {
      const db = sessions.getSession(true)
      await db.execute(sql`SET application_name = 'leaked'`)
      await db.execute(sql`SELECT pg_advisory_lock(4711)`)
      await db.transaction((tx) => tx.execute(sql`CREATE TEMP TABLE author (id int)`))
      const names = await Promise.all(
        Array.from({ length: 8 }, () => db.execute(sql`SHOW application_name`)),
      )
      for (const result of names)
        expect(rowsOf(result)).not.toEqual([{ application_name: 'leaked' }])
      expect((await db.select().from(authors)).length).toBeGreaterThan(0)
      await waitFor('the lock to go with its connection', async () => {
        const held = await cluster.primary.query(
          "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory'",
        )
        return held[0]?.n === 0
      })
    })
  })

  describe('consistency', () => {
    it('shows the process its own writes while the replicas replay nothing', async () => {
      for (const replica of cluster.replicas) await replica.pauseReplay()
      try {
        for (let i = 0; i < 20; i++) {
          const name = `late ${i} of ${way.name}`
          await sessions.getSession(true).insert(authors).values({ name })
          const rows = await sessions
            .getSession()
            .select()
            .from(authors)
            .where(eq(authors.name, name))
          expect(rows).toHaveLength(1)
        }
      } finally {
        for (const replica of cluster.replicas) await replica.resumeReplay()
      }
    })

    it('shows a request what a token stands for, and nobody else has to wait for it', async () => {
      const mark = `token of ${way.name}`
      await cluster.catchUp()
      for (const replica of cluster.replicas) await replica.pauseReplay()
      try {
        const token = await sessions.run(async () => {
          await sessions.getSession(true).insert(authors).values({ name: mark })
          return await sessions.causalToken()
        })
        expect(token).toMatch(/^1\/[0-9A-F]+\/[0-9A-F]+@\d+$/)
        const read = () =>
          sessions.getSession().select().from(authors).where(eq(authors.name, mark))
        expect(await sessions.run(read, { token })).toHaveLength(1)
        // A connection to the proxy that has written sees it whoever uses it next.
        if (!way.isProxy) {
          expect(await sessions.run(read)).toHaveLength(1)
          expect(await sessions.run(read, { consistency: 'session' })).toHaveLength(0)
        }
        await sessions.run(async () => {
          sessions.afterWrite(token)
          expect(await read()).toHaveLength(1)
        })
        expect(await sessions.run(read, { token: 'primary' })).toHaveLength(1)
        expect(await sessions.run(read, { consistency: 'primary' })).toHaveLength(1)
        expect(await sessions.run(read, { token, consistency: 'eventual' })).toHaveLength(0)
      } finally {
        for (const replica of cluster.replicas) await replica.resumeReplay()
      }
    })

    it('shows its own write to all reads of a request at once, on whatever connections', async () => {
      await cluster.catchUp()
      for (const replica of cluster.replicas) await replica.pauseReplay()
      try {
        for (let i = 0; i < 3; i++) {
          const mark = `at once ${i} of ${way.name}`
          await sessions.run(async () => {
            const db = sessions.getSession()
            await Promise.all([db.select().from(books), db.select().from(books)])
            await sessions.getSession(true).insert(authors).values({ name: mark })
            const found = await Promise.all(
              Array.from({ length: 8 }, () =>
                db.select().from(authors).where(eq(authors.name, mark)),
              ),
            )
            expect(found.map((rows) => rows.length)).toEqual(Array(8).fill(1))
            const inside = await db.transaction((tx) =>
              tx.select().from(authors).where(eq(authors.name, mark)),
            )
            expect(inside).toHaveLength(1)
          })
        }
      } finally {
        for (const replica of cluster.replicas) await replica.resumeReplay()
      }
    })

    it('prepares the same statement for reads and for writes', async () => {
      const prepared = (db: Pick<ReturnType<typeof sessions.getSession>, 'select'>) =>
        db
          .select({ port: sql<number>`which_server()` })
          .from(authors)
          .where(eq(authors.id, sql.placeholder('id')))
          .prepare('where_am_i')
      await sessions.run(async () => {
        const isOnPrimary = async (write: boolean): Promise<boolean> => {
          const [row] = await prepared(sessions.getSession(write)).execute({ id: 1 })
          return row?.port === cluster.primary.port
        }
        // The connection may still wait for what others have written on it.
        await waitFor('a replica to serve it', async () => !(await isOnPrimary(false)))
        expect(await isOnPrimary(true)).toBe(true)
        await isOnPrimary(false)
        expect(await isOnPrimary(true)).toBe(true)
      })
    })

    it('refuses tokens that are none or of another cluster', () => {
      expect(() => sessions.run(() => 1, { token: 'nonsense' })).toThrow(/invalid causal token/)
      expect(() => sessions.run(() => 1, { token: '1/0/1@42' })).toThrow(/another cluster/)
    })
  })

  it.skipIf(way.isProxy)('tells what each node does', async () => {
    const { primary, nodes, timeline } = sessions.snapshot()
    expect({ primary, timeline }).toEqual({ primary: nameOf(cluster.primary), timeline: 1 })
    expect(nodes.map(({ name, role, state }) => [name, role, state])).toEqual([
      [nameOf(cluster.primary), 'primary', 'up'],
      ...cluster.replicas.map((replica) => [nameOf(replica), 'replica', 'up']),
    ])
  })

  it('closes all of its connections', async () => {
    const own = way.start()
    await own.getSession(true).execute(sql`SELECT 1`)
    await own.getSession().execute(sql`SELECT 1`)
    await own.close()
    expect(await failure(own.getSession().execute(sql`SELECT 1`))).toBe('57P01')
  })
})

it('hands a token from one door to the other', async () => {
  const [direct, through] = [ways[0], ways[2]].map((way) => way?.start())
  if (direct === undefined || through === undefined) throw new Error('there are four ways')
  await Promise.all([direct.ready, through.ready, cluster.catchUp()])
  for (const replica of cluster.replicas) await replica.pauseReplay()
  try {
    for (const [from, to, mark] of [
      [direct, through, 'handed in'],
      [through, direct, 'handed out'],
    ] as const) {
      const token = await from.run(async () => {
        await from.getSession(true).insert(authors).values({ name: mark })
        return await from.causalToken()
      })
      const rows = await to.run(
        () => to.getSession().select().from(authors).where(eq(authors.name, mark)),
        { token },
      )
      expect(rows).toHaveLength(1)
    }
  } finally {
    for (const replica of cluster.replicas) await replica.resumeReplay()
    await Promise.all([direct.close(), through.close()])
  }
})

it.each(['node-postgres', 'postgres.js'])(
  'tells what became of statements when the proxy goes: %s',
  async (name) => {
    const own = await startTestProxy(cluster)
    const options = { proxy: own.url({ database: 'shop' }), schema }
    const sessions =
      name === 'postgres.js' ? asPg(createJsSessions(options)) : createSessions(options)
    try {
      await sessions.ready
      const running = failure(
        sessions
          .getSession(true)
          .execute(sql`UPDATE book SET title = title WHERE pg_sleep(30) IS NULL`),
      )
      await waitFor('it to run', async () => {
        const found = await cluster.primary.query(
          "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
        )
        return found.length > 0
      })
      await own.stop()
      expect(await running).toBe('08007')
      expect(await failure(sessions.getSession(true).delete(books))).toBe('08001')
      expect(await failure(sessions.getSession().select().from(books))).toBe('08001')
    } finally {
      await sessions.close()
    }
  },
)

it('runs a write session on the primary, whatever hint its text brings along', async () => {
  for (const way of ways) {
    const sessions = way.start()
    try {
      const hinted = sql`/* pgsplit: replica */ SELECT which_server() AS port`
      expect(rowsOf(await sessions.getSession(true).execute(hinted))).toEqual([
        { port: cluster.primary.port },
      ])
    } finally {
      await sessions.close()
    }
  }
})

it("refuses a proxy that is none, and options that are the proxy's", async () => {
  const wrong = createSessions({ proxy: cluster.primary.urlFor('shop'), schema })
  try {
    expect(await failure(wrong.getSession(true).insert(authors).values({ name: 'no' }))).toBe(
      '08001',
    )
  } finally {
    await wrong.close()
  }
  const options = { proxy: proxy.url(), routing: {} }
  // @ts-expect-error routing is configured at the proxy
  expect(() => createSessions(options)).toThrow(/^routing: makes no sense with proxy/)
})
