import { createServer, type ServerResponse } from 'node:http'
import { sql } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { Hono } from 'hono'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../../src/drizzle/index.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../../support/proxy.ts'
import { ask, CookieJar } from '../../support/web-client.ts'

const notes = pgTable('note', { id: integer().primaryKey(), body: text().notNull() })
const secret = 'a secret of thirty-two bytes or so'

let cluster: EmbeddedCluster
let sessions: ReturnType<typeof start>
let web: Hono

function start() {
  return createSessions({
    primary: cluster.primary.urlFor('shop'),
    replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
    monitor: { probeInterval: '200ms' },
    // What tokens carry over from request to request is what these tests are about.
    routing: { consistency: 'session' },
  })
}

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    `CREATE TABLE note (id int PRIMARY KEY, body text NOT NULL);
     CREATE FUNCTION which_server() RETURNS int LANGUAGE plpgsql STABLE AS
       $$BEGIN RETURN current_setting('port')::int; END$$`,
    [],
    'shop',
  )
  await cluster.catchUp()
  sessions = start()
  await sessions.ready
  web = siteOf(sessions)
})

afterAll(async () => {
  await sessions?.close()
  await cluster?.stop()
})

function siteOf(over: typeof sessions): Hono {
  const site = new Hono()
  site.use(over.middleware({ cookie: { secret }, header: 'x-causal-token' }))
  site.post('/notes/:id', async (c) => {
    const id = Number(c.req.param('id'))
    await over
      .getSession(true)
      .insert(notes)
      .values({ id, body: `note ${id}` })
    return c.json({ id }, 201)
  })
  site.get('/notes/:id', async (c) => {
    const id = Number(c.req.param('id'))
    const [row] = await over
      .getSession()
      .select({
        port: sql<number>`which_server()`,
        found: sql<boolean>`bool_or(${notes.id} = ${id})`,
      })
      .from(notes)
    return c.json({ found: row?.found ?? false, port: row?.port ?? 0 })
  })
  return site
}

/** One request of the browser with these cookies; the answer, its token, and where it was read. */
async function browse(jar: CookieJar | null, path: string, method = 'GET', token = '') {
  const headers = { ...jar?.header(), ...(token === '' ? {} : { 'x-causal-token': token }) }
  const response = await web.fetch(new Request(`http://x${path}`, { method, headers }))
  jar?.keep({ cookies: response.headers.getSetCookie() })
  const body = (await response.json()) as { found: boolean; port: number }
  return { ...body, status: response.status, token: response.headers.get('x-causal-token') ?? '' }
}

const replicaPorts = () => cluster.replicas.map(({ port }) => port)

/** Runs `fn` while the replicas replay nothing. */
async function whilePaused(fn: () => Promise<void>): Promise<void> {
  await cluster.catchUp()
  for (const replica of cluster.replicas) await replica.pauseReplay()
  try {
    await fn()
  } finally {
    for (const replica of cluster.replicas) await replica.resumeReplay()
  }
}

describe.each([
  ['the nodes', 1],
  ['a proxy', 11],
])('a web application with sessions.middleware() over %s', (door, first) => {
  let proxy: TestProxy | null = null
  let own: typeof sessions | null = null
  const path = (at: number): string => `/notes/${first + at}`

  beforeAll(async () => {
    if (door === 'the nodes') return
    proxy = await startTestProxy(cluster)
    own = createSessions({ proxy: proxy.url() })
    await own.ready
    web = siteOf(own)
  })
  afterAll(async () => {
    web = siteOf(sessions)
    await own?.close()
    await proxy?.stop()
  })

  it('shows a user what he wrote a request ago, and keeps others on the replicas', async () => {
    const jar = new CookieJar()
    await whilePaused(async () => {
      const written = await browse(jar, path(0), 'POST')
      expect(written).toMatchObject({ status: 201, token: expect.stringMatching(/^1\/.*@\d+$/) })
      expect(await browse(jar, path(0))).toMatchObject({
        found: true,
        port: cluster.primary.port,
      })
      // A connection to the proxy keeps what anybody has seen on it.
      if (door === 'a proxy') return
      await waitFor('a stranger to read on a replica', async () => {
        const { found, port } = await browse(null, path(0))
        expect(found).toBe(port === cluster.primary.port)
        return replicaPorts().includes(port)
      })
    })
    await cluster.catchUp()
    const { found, port } = await browse(jar, path(0))
    expect(found).toBe(true)
    expect([...replicaPorts(), cluster.primary.port]).toContain(port)
  })

  it('goes back to the replicas as soon as they have what was written', async () => {
    const jar = new CookieJar()
    await browse(jar, path(1), 'POST')
    const ports = new Set<number>()
    for (let i = 0; i < 200 && !replicaPorts().some((port) => ports.has(port)); i++) {
      const { found, port } = await browse(jar, path(1))
      expect(found).toBe(true)
      ports.add(port)
    }
    expect(replicaPorts().some((port) => ports.has(port))).toBe(true)
  })

  it('never shows less than a request before, whichever replica is behind', async () => {
    const jar = new CookieJar()
    const [ahead, behind] = cluster.replicas
    if (ahead === undefined || behind === undefined) throw new Error('two replicas')
    await cluster.catchUp()
    await behind.pauseReplay()
    try {
      await sessions.run(() =>
        sessions
          .getSession(true)
          .insert(notes)
          .values({ id: first + 2, body: '' }),
      )
      let hasSeen = false
      for (let i = 0; i < 60; i++) {
        const { found } = await browse(jar, path(2))
        if (hasSeen) expect(found).toBe(true)
        hasSeen ||= found
      }
      expect(hasSeen).toBe(true)
    } finally {
      await behind.resumeReplay()
    }
  })
})

describe('causal tokens of web requests', () => {
  it('gives out tokens that the proxy takes, and takes those of the proxy', async () => {
    const proxy: TestProxy = await startTestProxy(cluster, { routing: { consistency: 'session' } })
    try {
      await whilePaused(async () => {
        const { token } = await browse(null, '/notes/4', 'POST')
        const count = async (client: pg.Client) =>
          (await client.query('SELECT count(*)::int AS n FROM note WHERE id = 4')).rows
        // A session that has read on the primary once stays ahead of these replicas.
        await waitFor('a stranger to read on a replica', async () => {
          const [row] = await proxy.with(count, { database: 'shop' })
          return row.n === 0
        })
        await proxy.with(
          async (client) => {
            await client.query(`SET pgsplit.causal_token = '${token}'`)
            expect(await count(client)).toEqual([{ n: 1 }])
          },
          { database: 'shop' },
        )
        const theirs = await proxy.with(
          async (client) => {
            await client.query("INSERT INTO note VALUES (5, '')")
            const { rows } = await client.query('SHOW pgsplit.causal_token')
            return String(Object.values(rows[0] as object)[0])
          },
          { database: 'shop' },
        )
        await waitFor(
          'a stranger to read on a replica',
          async () => !(await browse(null, '/notes/5')).found,
        )
        expect((await browse(null, '/notes/5', 'GET', theirs)).found).toBe(true)
      })
    } finally {
      await proxy.stop()
    }
  })

  it('ignores a token of another cluster, also before it knows its own', async () => {
    const foreign = '1/0/1@42'
    expect((await browse(null, '/notes/1', 'GET', foreign)).status).toBe(200)
    const early = start()
    try {
      const rows = await early.run(() => early.getSession().select().from(notes), {
        token: foreign,
        isForeignIgnored: true,
      })
      expect(rows.length).toBeGreaterThan(0)
    } finally {
      await early.close()
    }
  })

  it('owes a user the primary when it dies under his write, until there is another', async () => {
    const jar = new CookieJar()
    const { primary: old } = cluster
    await browse(null, '/notes/6', 'POST')
    await cluster.catchUp()
    const dying = createServer(
      sessions
        .middleware({ cookie: { secret }, maxWaitMs: 100 })
        .wrap(async (_req, res: ServerResponse) => {
          const write = sessions
            .getSession(true)
            .execute(sql`INSERT INTO note SELECT 7, pg_sleep(60)::text`)
          const failed = Promise.resolve(write).catch(() => undefined)
          await waitFor('the write to run', async () => {
            const running = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            return (await old.query(running)).length === 1
          })
          await old.stop('immediate')
          await failed
          res.end()
        }),
    )
    const written = await ask(dying, '/')
    expect(written.cookies).toEqual([expect.stringMatching(/^pgsplit\.wrote=primary\./)])
    jar.keep(written)
    const [next, other] = cluster.replicas
    if (next === undefined || other === undefined) throw new Error('two replicas')
    await other.pauseReplay().catch(() => {})
    await cluster.failover(next)
    const read = await browse(jar, '/notes/6')
    expect(read).toMatchObject({ found: true, port: next.port })
    expect(read.token).toMatch(/^2\//)
    expect(jar.header().cookie).toMatch(/pgsplit\.wrote=2\//)
    expect((await browse(jar, '/notes/6')).found).toBe(true)
  })
})
