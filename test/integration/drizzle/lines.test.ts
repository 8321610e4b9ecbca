import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../../support/cluster.ts'
import { PackedProject } from '../../support/packed-project.ts'

/** What is tested, of each line that `peerDependencies` names. */
const all = ['0.44.7', '0.45.4', '1.0.0-rc.5'] as const
/** The line between them is the one that all other tests run on. */
const ends = [all[0], all[2]] as const
const lines = process.env.PGSPLIT_DRIZZLE_LINES === 'all' ? all : ends

let cluster: EmbeddedCluster
let packed: PackedProject
const projects = new Map<string, PackedProject>()

beforeAll(async () => {
  const [first, ...others] = lines.map((version) => {
    const project = new PackedProject()
    projects.set(version, project)
    return { version, project }
  })
  if (first === undefined) throw new Error('no line of Drizzle')
  packed = first.project
  const [, started] = await Promise.all([
    packed.install(`drizzle-orm@${first.version}`),
    startCluster({ replicas: 1, database: 'shop' }),
  ])
  cluster = started
  await Promise.all(
    others.map(({ version, project }) => project.add(packed.tarball, `drizzle-orm@${version}`)),
  )
  for (const [version, project] of projects) {
    for (const name of ['pg', 'postgres', '@types/node', '@types/pg']) project.lend(name)
    const isRelations = version.startsWith('1.')
    project.write('tables.ts', tables)
    project.write('model.ts', isRelations ? relations : schema)
    project.write('works.ts', works)
    project.write('run.ts', program)
    project.write('types.ts', types)
  }
}, 300_000)

afterAll(async () => {
  for (const project of projects.values()) project.remove()
  await cluster?.stop()
})

const tables = `
  import { integer, jsonb, pgTable, serial, text, timestamp } from 'drizzle-orm/pg-core'
  export const authors = pgTable('author', { id: serial().primaryKey(), name: text().notNull() })
  export const books = pgTable('book', {
    id: serial().primaryKey(),
    title: text().notNull(),
    authorId: integer('author_id').notNull(),
    tags: text().array(),
    facts: jsonb().$type<{ pages: number }>(),
    at: timestamp({ withTimezone: true }),
    days: timestamp().array(),
  })
`

/** Relational queries of Drizzle before 1.0. */
const schema = `
  import { relations } from 'drizzle-orm'
  import { authors, books } from './tables.ts'
  const authorRelations = relations(authors, ({ many }) => ({ books: many(books) }))
  const bookRelations = relations(books, ({ one }) => ({
    author: one(authors, { fields: [books.authorId], references: [authors.id] }),
  }))
  export const model = { schema: { authors, books, authorRelations, bookRelations } }
  export const wrongModel = { relations: {} }
`

/** Relational queries v2. */
const relations = `
  import { defineRelations } from 'drizzle-orm'
  import { authors, books } from './tables.ts'
  const made = defineRelations({ authors, books }, (r) => ({
    authors: { books: r.many.books({ from: r.authors.id, to: r.books.authorId }) },
    books: { author: r.one.authors({ from: r.books.authorId, to: r.authors.id }) },
  }))
  export const model = { relations: made }
  export const wrongModel = { schema: { authors } }
`

/** The same work for Drizzle's own database and for sessions. */
const works = `
  import { desc, eq, sql } from 'drizzle-orm'
  import { authors, books } from './tables.ts'
  const at = new Date('2026-11-30T06:00:00.123Z')
  export const works: Record<string, (read: any, write: any) => Promise<unknown>> = {
    insert: (_, write) => write.insert(authors).values([{ name: 'Ada' }, { name: 'Grace' }]).returning(),
    values: (_, write) => write.insert(books)
      .values({ title: 'Notes', authorId: 1, tags: ['a', 'b c', '"'], facts: { pages: 7 }, at, days: [at] })
      .returning(),
    update: (_, write) => write.update(books).set({ title: 'Notes 2' }).where(eq(books.id, 1)).returning({ title: books.title }),
    select: (read) => read.select().from(books),
    join: (read) => read.select().from(authors).leftJoin(books, eq(authors.id, books.authorId)).orderBy(desc(authors.id)),
    fields: (read) => read.select({ at: books.at, n: sql\`count(*)::int\` }).from(books).groupBy(books.at),
    many: (read) => read.query.authors.findMany({ with: { books: true } }),
    first: (read) => read.query.books.findFirst({ with: { author: true } }),
    count: (read) => read.$count(books),
    with: (read) => {
      const one = read.$with('one').as(read.select({ id: authors.id }).from(authors).where(eq(authors.id, 1)))
      return read.with(one).select().from(one)
    },
    prepared: (read) => read.select().from(books).where(eq(books.id, sql.placeholder('id'))).prepare('of_id').execute({ id: 1 }),
    execute: async (read) => {
      const result = await read.execute(sql\`SELECT id, at FROM book\`)
      return result.rows ?? [...result]
    },
    transaction: (_, write) => write.transaction(async (tx: any) => {
      await tx.insert(authors).values({ name: 'Mary' })
      await tx.transaction(async (inner: any) => {
        await inner.insert(authors).values({ name: 'nobody' })
        inner.rollback()
      }).catch(() => {})
      return tx.query.authors.findMany({ columns: { name: true } })
    }),
    rolledBack: (_, write) => write.transaction(async (tx: any) => {
      await tx.insert(authors).values({ name: 'lost' })
      throw new Error('never mind')
    }).catch((error: Error) => error.message),
    isolation: (_, write) => write.transaction(
      (tx: any) => tx.select().from(authors),
      { isolationLevel: 'repeatable read', accessMode: 'read only' },
    ),
    reading: (read) => read.transaction((tx: any) => tx.query.authors.findMany({ with: { books: true } })),
    mistake: (read) => read.execute(sql\`SELECT * FROM typo\`).catch((error: any) => (error.cause ?? error).code),
  }
`

const program = `
  import assert from 'node:assert/strict'
  import { Cache } from 'drizzle-orm/cache/core'
  import { drizzle } from 'drizzle-orm/node-postgres'
  import { drizzle as drizzleJs } from 'drizzle-orm/postgres-js'
  import pg from 'pg'
  import postgres from 'postgres'
  import { createSessions, withReplicas } from 'pgsplit/drizzle'
  import { createSessions as createJs } from 'pgsplit/drizzle/postgres-js'
  import { model, wrongModel } from './model.ts'
  import { authors } from './tables.ts'
  import { works } from './works.ts'

  const [primary = '', replica = ''] = process.argv.slice(2)
  const pool = new pg.Pool({ connectionString: primary })
  const js = postgres(primary, { onnotice: () => {} })
  const reset = () => pool.query(\`DROP TABLE IF EXISTS author, book;
    CREATE TABLE author (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE book (id serial PRIMARY KEY, title text NOT NULL, author_id int NOT NULL,
      tags text[], facts jsonb, at timestamptz, days timestamp[])\`)
  const outcomes = async (read: any, write: any) => {
    await reset()
    const found: Record<string, unknown> = {}
    for (const [name, work] of Object.entries(works)) {
      found[name] = await work(read, write).catch((error: any) => String(error.cause ?? error))
    }
    return JSON.parse(JSON.stringify(found))
  }
  const nodes = { primary, replicas: [replica], ...model } as any
  for (const [own, create] of [
    [drizzle({ client: pool, ...model }), createSessions],
    [drizzleJs({ client: js, ...model }), createJs],
  ] as const) {
    const expected = await outcomes(own, own)
    const sessions = create(nodes)
    await sessions.ready
    assert.deepEqual(await outcomes(sessions.getSession(), sessions.getSession(true)), expected)
    // until the new tables are known and the replica has them
    const fromReplica = () => (sessions.snapshot().nodes[1]?.reads ?? 0) > 0
    while (!fromReplica()) await sessions.getSession().select().from(authors)
    await sessions.close()
    console.log(Object.keys(expected).length)
    assert.ok(!JSON.stringify(expected).includes('TypeError'), JSON.stringify(expected))
  }

  // its cache
  class Kept extends Cache {
    kept = new Map<string, any>()
    gone: unknown[] = []
    override strategy(): 'all' { return 'all' }
    override async get(key: string) { return this.kept.get(key) }
    override async put(key: string, response: any) { this.kept.set(key, response) }
    override async onMutate(what: any) { this.gone.push(what.tables); this.kept.clear() }
  }
  const cache = new Kept()
  const cached = createSessions({ ...nodes, cache })
  const read = cached.getSession()
  assert.equal((await read.select().from(authors)).length, (await read.select().from(authors)).length)
  assert.equal(cache.kept.size, 1)
  await cached.getSession(true).insert(authors).values({ name: 'new' })
  assert.equal(cache.kept.size, 0)
  assert.equal((read as any).$cache, cache)
  await cached.close()

  // what another line has
  assert.throws(() => createSessions({ primary, ...wrongModel } as any), /is unknown to the Drizzle that is installed/)

  // withReplicas
  const own = () => drizzle({ client: new pg.Pool({ connectionString: primary }), ...model })
  const dbs = [own(), drizzle({ client: new pg.Pool({ connectionString: replica }), ...model })] as const
  const replicated = withReplicas(dbs[0], [dbs[1]]) as any
  await replicated.$sessions.ready
  await replicated.insert(authors).values({ name: 'replicated' })
  const replicaReads = () => replicated.$sessions.snapshot().nodes.find((node: any) => node.role === 'replica').reads
  const on = async (db: any) => {
    const before = replicaReads()
    for (const endMs = Date.now() + 3_000; Date.now() < endMs && replicaReads() === before; ) {
      assert.ok((await db.select().from(authors)).length > 0)
      assert.ok((await db.query.authors.findMany()).length > 0)
    }
    return replicaReads() > before ? 'replica' : 'primary'
  }
  console.log(await on(replicated), replicated.$replica === undefined ? 'none' : await on(replicated.$replica))
  await replicated.close()
  await Promise.all([pool.end(), js.end(), ...dbs.map((db) => db.$client.end())])
`

const types = `
  import { createSessions, withReplicas } from 'pgsplit/drizzle'
  import { createSessions as createJs } from 'pgsplit/drizzle/postgres-js'
  import { drizzle } from 'drizzle-orm/node-postgres'
  import pg from 'pg'
  import { model } from './model.ts'
  import { authors, books } from './tables.ts'

  type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
  const same = <A, B>(_: Same<A, B>): void => {}
  type Author = { id: number; name: string }
  export const sessions = createSessions({ primary: '', replicas: [''], ...model })
  export const js = createJs({ primary: '', replicas: [''], ...model })
  export const bare = createSessions({ primary: '' })
  export async function check(): Promise<void> {
    for (const read of [sessions.getSession(), bare.getSession()] as const) {
      const selected = await read.select().from(authors)
      same<typeof selected, Author[]>(true)
    }
    const read = sessions.getSession()
    const many = await read.query.authors.findMany({ with: { books: true } })
    same<(typeof many)[number]['books'][number]['title'], string>(true)
    same<(typeof many)[number]['name'], string>(true)
    const ofJs = await js.getSession().query.books.findFirst({ with: { author: true } })
    const author: Author | null | undefined = ofJs?.author
    void author
    same<Pick<NonNullable<typeof ofJs>, 'title'>, { title: string }>(true)
    const returned = await sessions.getSession(true).insert(authors).values({ name: 'x' }).returning()
    same<typeof returned, Author[]>(true)
    // @ts-expect-error a read session has no builders of writes
    read.insert(authors)
    // @ts-expect-error
    read.update(books)
    // @ts-expect-error
    read.with().delete(books)
    // @ts-expect-error no such table
    read.query.typo
    // @ts-expect-error no tables were named
    bare.getSession().query.authors.findMany()
    const inside = await read.transaction(async (tx) => {
      // @ts-expect-error
      tx.insert(authors)
      return tx.query.authors.findFirst()
    })
    const found: Author | undefined = inside
    void found
    // @ts-expect-error a read session's transaction writes nothing
    await read.transaction(async () => {}, { accessMode: 'read write' })
    const either = createSessions({ primary: '', onWriteInReadSession: 'primary', ...model })
    await either.getSession().insert(authors).values({ name: 'x' })
    // @ts-expect-error a misspelt option
    createSessions({ primary: '', replica: [''], ...model })
    const db = drizzle({ client: new pg.Pool(), ...model })
    const replicated = withReplicas(db, [db])
    same<Awaited<ReturnType<typeof replicated.query.authors.findMany<{}>>>[number]['name'], string>(true)
    await replicated.close()
  }
`

describe.each(lines)('Drizzle %s', (version) => {
  const project = (): PackedProject => projects.get(version) as PackedProject

  it('does what its own databases do', async () => {
    const urls = cluster.nodes.map((node) => node.urlFor('shop'))
    const said = await project().succeed('node', 'run.ts', ...urls)
    const places = version.startsWith('1.') ? 'primary replica' : 'replica none'
    expect(said).toBe(`17\n17\n${places}\n`)
  })

  it('has its types', async () => {
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024']
    const more = ['--allowImportingTsExtensions', '--types', 'node', 'types.ts']
    const tsc = new URL('../../../node_modules/typescript/bin/tsc', import.meta.url).pathname
    const { out } = await project().run('node', tsc, ...options, ...more)
    // others are theirs to answer for
    const ours = out.split('\n').filter((line) => /^(types|node_modules\/pgsplit)\b/.test(line))
    expect(ours).toEqual([])
  })
})
