import { sql } from 'drizzle-orm'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../src/drizzle/index.ts'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy
/** Clients of the replicas themselves, as somebody who reads elsewhere. */
const elsewhere: pg.Client[] = []

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item (id int PRIMARY KEY, v int); INSERT INTO item VALUES (1, 0)',
    [],
    'shop',
  )
  await cluster.catchUp()
  for (const replica of cluster.replicas) {
    const client = new pg.Client({ connectionString: replica.urlFor('shop') })
    await client.connect()
    elsewhere.push(client)
    await replica.configure({ recovery_min_apply_delay: '60ms' })
  }
  proxy = await startTestProxy(cluster)
})
afterAll(async () => {
  for (const client of elsewhere) await client.end()
  await proxy?.stop()
  await cluster?.stop()
})

const addText = 'UPDATE item SET v = v + 1 WHERE id = 1 RETURNING v'

/** What the replicas show at this moment. */
const shown = (): Promise<number[]> =>
  Promise.all(elsewhere.map(async (client) => (await client.query('SELECT v FROM item')).rows[0].v))

type Add = (db: pg.Client) => Promise<number>

const ways: Readonly<Record<string, Add>> = {
  'by itself': async (db) => (await db.query(addText)).rows[0].v,
  prepared: async (db) => (await db.query({ name: 'add', text: addText })).rows[0].v,
  'in a transaction': async (db) => {
    await db.query('BEGIN')
    const { rows } = await db.query(addText)
    await db.query('COMMIT')
    return rows[0].v
  },
  'in one text with its COMMIT': async (db) => {
    const results = (await db.query(`BEGIN; ${addText}; COMMIT`)) as unknown as pg.QueryResult[]
    return results[1]?.rows[0].v
  },
  'without waiting for its flush': async (db) => {
    await db.query('SET synchronous_commit = off')
    const { rows } = await db.query(addText)
    await db.query('RESET synchronous_commit')
    return rows[0].v
  },
}

describe.each(Object.entries(ways))('a commit %s', (_, add) => {
  it('is answered when all replicas show it', () =>
    proxy.with(async (db) => {
      await db.query("SET pgsplit.commit_visible = 'all'")
      await db.query("SET pgsplit.commit_visible_wait = '20s'")
      for (let i = 0; i < 3; i++) {
        const written = await add(db)
        expect(await shown()).toEqual([written, written])
      }
    }))
})

it('is answered at once where nobody asks for more: the test itself works', () =>
  proxy.with(async (db) => {
    const { rows } = await db.query(addText)
    expect(Math.max(...(await shown()))).toBeLessThan(rows[0].v)
  }))

it('is asked for by the startup packet, by a hint on COMMIT, and for one replica', async () => {
  const db = await proxy.client(
    {},
    { options: '-c pgsplit.commit_visible=1 -c pgsplit.commit_visible_wait=20s' },
  )
  await cluster.replicas[0]?.pauseReplay()
  const { rows } = await db.query(addText)
  expect((await shown())[1]).toBe(rows[0].v)
  await cluster.replicas[0]?.resumeReplay()
  await db.query("SET pgsplit.commit_visible = 'off'")
  const { rows: names } = await db.query('SHOW pgsplit.commit_visible')
  expect(names).toEqual([{ 'pgsplit.commit_visible': 'off' }])
  await db.query('BEGIN')
  const { rows: more } = await db.query(addText)
  await db.query('/* pgsplit: commit_visible=all */ COMMIT')
  expect(await shown()).toEqual([more[0].v, more[0].v])
  await db.query('RESET pgsplit.commit_visible')
  expect((await db.query('SHOW pgsplit.commit_visible')).rows).toEqual([
    { 'pgsplit.commit_visible': '1' },
  ])
  const wrong = await db.query("SET pgsplit.commit_visible = 'most'").catch((e) => e)
  expect(wrong).toMatchObject({ code: '22023', hint: 'It takes off, all, or how many replicas.' })
  await db.end()
})

it('waits for nothing behind reads, rollbacks and errors', () =>
  proxy.with(async (db) => {
    await db.query("SET pgsplit.commit_visible = 'all'")
    await db.query("SET pgsplit.commit_visible_wait = '60s'")
    for (const replica of cluster.replicas) await replica.pauseReplay()
    await db.query('SELECT v FROM item')
    await db.query('BEGIN')
    await db.query(addText)
    await db.query('ROLLBACK')
    await expect(db.query('INSERT INTO item VALUES (1, 1)')).rejects.toMatchObject({
      code: '23505',
    })
    for (const replica of cluster.replicas) await replica.resumeReplay()
  }))

it('says after its time which replica lacks it, and keeps the answers in order', () =>
  proxy.with(async (db) => {
    const notices: string[] = []
    db.on('notice', ({ severity, code, message }) => notices.push(`${severity} ${code} ${message}`))
    await db.query("SET pgsplit.commit_visible = 'all'")
    await db.query("SET pgsplit.commit_visible_wait = '300ms'")
    await cluster.replicas[1]?.pauseReplay()
    const [{ rows }, read] = await Promise.all([db.query(addText), db.query('SELECT v FROM item')])
    expect(read.rows).toEqual(rows)
    expect(notices).toEqual([
      'WARNING 01000 the commit is done, but replicas do not show it after 300 ms: not on r2',
    ])
    await cluster.replicas[1]?.resumeReplay()
  }))

it('holds no client back that leaves meanwhile', async () => {
  const db = await proxy.client({}, { options: '-c pgsplit.commit_visible=all' })
  await db.query("SET pgsplit.commit_visible_wait = '60s'")
  for (const replica of cluster.replicas) await replica.pauseReplay()
  const waiting = db.query(addText).catch((e: Error) => e.message)
  const other = await proxy.client()
  // Its server connection is free again.
  await other.query(addText)
  await db.end()
  await waiting
  await other.end()
  for (const replica of cluster.replicas) await replica.resumeReplay()
})

describe.each(['on the nodes', 'on a proxy'] as const)('sessions of Drizzle %s', (door) => {
  it('resolve a write, and a transaction, when replicas show it', async () => {
    const sessions = createSessions(
      door === 'on a proxy'
        ? { proxy: proxy.url() }
        : {
            primary: cluster.primary.urlFor('shop'),
            replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
          },
    )
    await sessions.ready
    const add = sql.raw(addText)
    const versionIn = (found: unknown): number =>
      (found as { rows: { v: number }[] }).rows[0]?.v ?? -1
    await sessions.run(
      async () => {
        const written = versionIn(await sessions.getSession(true).execute(add))
        expect(await shown()).toEqual([written, written])
        const more = await sessions.getSession(true).transaction(async (tx) => {
          return versionIn(await tx.execute(add))
        })
        expect(await shown()).toEqual([more, more])
      },
      { commitVisible: 'all' },
    )
    const { length } = await sessions.run(
      async () => {
        const written = versionIn(await sessions.getSession(true).execute(add))
        return (await shown()).filter((v) => v === written)
      },
      { commitVisible: 1 },
    )
    expect(length).toBeGreaterThan(0)
    await sessions.close()
  })
})
