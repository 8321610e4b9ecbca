import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions, type DoorError, type NodeOptions } from '../../../src/drizzle/index.ts'
import { createSessions as createJsSessions } from '../../../src/drizzle/postgres-js/index.ts'
import { type EmbeddedCluster, startCluster } from '../../support/cluster.ts'
import { startTestProxy } from '../../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: Awaited<ReturnType<typeof startTestProxy>>

beforeAll(async () => {
  cluster = await startCluster({ replicas: 1, database: 'shop' })
  await cluster.primary.query('CREATE TABLE author (id int, name text)', [], 'shop')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
})

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const nodes = (): NodeOptions => ({
  primary: cluster.primary.urlFor('shop'),
  replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
})
type PgSessions = ReturnType<typeof createSessions>
const asPg = (sessions: { close(): Promise<void> }) => sessions as unknown as PgSessions

const ways: readonly [string, (options: NodeOptions) => PgSessions][] = [
  ['node-postgres on the nodes', (options) => createSessions(options)],
  ['postgres.js on the nodes', (options) => asPg(createJsSessions(options))],
  ['node-postgres on a proxy', () => createSessions({ proxy: proxy.url({ database: 'shop' }) })],
  [
    'postgres.js on a proxy',
    () => asPg(createJsSessions({ proxy: proxy.url({ database: 'shop' }) })),
  ],
]

async function errorOf(work: PromiseLike<unknown>): Promise<DoorError> {
  try {
    await work
  } catch (error) {
    return ((error as Error).cause ?? error) as DoorError
  }
  throw new Error('it did not fail')
}

describe.each(ways)('a mistake in SQL, %s', (_name, start) => {
  it.each([
    'SELECT * FROM typo',
    'SELECT lower(nme) FROM author',
    'SELECT * FROM author JOIN typo USING (id)',
    'SELECT typo(1)',
    'SELECT 1::typo',
    'SELECT * FROM shop.typo',
    'SELECT count(*) FROM author WHERE id IN (SELECT id FROM typo)',
    'SELECT * FORM author',
    'SELEC 1',
    'FROM author',
    '1',
    'SELECT (1',
    'SELECT count(* FROM author',
    "SELECT 'x",
  ])('%s: a read session gives the error of a direct connection', async (text) => {
    const direct = await errorOf(cluster.primary.query(text, [], 'shop'))
    const sessions = start(nodes())
    try {
      const read = await errorOf(sessions.getSession().execute(sql.raw(text)))
      expect(read).toMatchObject({ code: direct.code, message: direct.message })
      const inside = await errorOf(
        sessions.getSession().transaction((tx) => tx.execute(sql.raw(text))),
      )
      expect(inside).toMatchObject({ code: direct.code, message: direct.message })
    } finally {
      await sessions.close()
    }
  })
})

describe.each(ways.slice(0, 2))('a log-in that all nodes refuse, %s', (_name, start) => {
  const cases = {
    'wrong password': (url: URL) => {
      url.password = 'wrong'
    },
    'unknown role': (url: URL) => {
      url.username = 'nobody'
    },
    'unknown database': (url: URL) => {
      url.pathname = '/nowhere'
    },
  }
  it.each(Object.entries(cases))('%s: every session says so at once', async (_case, change) => {
    const wrong = (url: unknown): string => {
      const changed = new URL(String(url))
      change(changed)
      return changed.href
    }
    const { primary, replicas = [] } = nodes()
    const sessions = start({ primary: wrong(primary), replicas: replicas.map(wrong) })
    const { code, message } = await errorOf(
      (async () => {
        const { default: pg } = await import('pg')
        const client = new pg.Client(wrong(primary))
        await client.connect()
      })(),
    )
    try {
      for (const session of [sessions.getSession(), sessions.getSession(true)]) {
        const beganMs = performance.now()
        const error = await errorOf(session.execute(sql`SELECT 1`))
        expect(error).toMatchObject({ code, message, cause: { sqlstate: code } })
        // Less than `failover.holdWrites`, for which it would wait for a primary.
        expect(performance.now() - beganMs).toBeLessThan(9_000)
      }
      const inside = await errorOf(
        sessions.getSession().transaction((tx) => tx.execute(sql`SELECT 1`)),
      )
      expect(inside.code).toBe(code)
    } finally {
      await sessions.close()
    }
  })
})

describe('a log-in that a proxy refuses', () => {
  it('is told at once, by either driver', async () => {
    const url = new URL(proxy.url({ database: 'shop' }))
    url.password = 'wrong'
    for (const create of [createSessions, createJsSessions]) {
      const sessions = asPg(create({ proxy: url.href }))
      const error = await errorOf(sessions.getSession().execute(sql`SELECT 1`))
      expect(error.code).toBe('28P01')
      await sessions.close()
    }
  })
})

describe('nodes that are not there', () => {
  it('are told with what they say themselves', async () => {
    const away = 'postgres://postgres:x@127.0.0.1:1/shop'
    const sessions = createSessions({ primary: away, failover: { holdWrites: '100ms' } })
    const error = await errorOf(sessions.getSession().execute(sql`SELECT 1`))
    expect(error).toMatchObject({ code: '57P03', cause: { sqlstate: '08001' } })
    expect(error.message).not.toContain('write session')
    await sessions.close()
  })
})
