import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { message, RawClient } from '../support/raw-client.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'fatal', replicas: 1 })
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** What a client hears after these texts until its connection ends. */
async function lastWords(port: number, texts: readonly string[]): Promise<string> {
  const { password } = cluster
  const client = await RawClient.logIn({ port, user: 'postgres', password, database: 'fatal' })
  for (const text of texts) await client.query(text)
  const heard = await client.until('E')
  await client.closed()
  return heard.map(({ type, body }) => `${type} ${body.toString('latin1')}`).join('\n')
}

describe('a server that ends a session by a timeout of its own', () => {
  it.each([
    ["SET idle_in_transaction_session_timeout = '200ms'", 'BEGIN', 'CREATE TEMP TABLE t ()'],
    ["SET idle_in_transaction_session_timeout = '200ms'", 'BEGIN READ ONLY', 'SELECT 1'],
    ["SET idle_session_timeout = '200ms'", 'CREATE TEMP TABLE t ()'],
    ["SET transaction_timeout = '200ms'", 'BEGIN', 'CREATE TEMP TABLE t ()'],
  ])('is heard as directly: %s', async (...texts) => {
    const direct = await lastWords(cluster.primary.port, texts)
    expect(direct).toContain('FATAL')
    expect(await lastWords(proxy.port, texts)).toBe(direct)
  })
})

const asksPid = 'SELECT pg_backend_pid()'

/** All that comes when the client's server process is ended, while `running` is under way or nothing. */
async function endedBy(
  port: number,
  texts: readonly string[],
  running: string | null,
  parameters: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { password } = cluster
  const login = { port, user: 'postgres', password, database: 'fatal', parameters }
  const client = await RawClient.logIn(login)
  let pid = 0
  for (const text of texts) {
    const answer = await client.query(text)
    const row = text === asksPid ? answer.find(({ type }) => type === 'D') : undefined
    if (row !== undefined) pid = Number(row.body.toString('latin1', 6))
  }
  if (running !== null) {
    client.send(message('Q', running))
    const isRunning = `SELECT 1 FROM pg_stat_activity WHERE pid = ${pid} AND wait_event = 'PgSleep'`
    await waitFor('it to run', async () => (await cluster.primary.query(isRunning)).length > 0)
  }
  await cluster.primary.query(`SELECT pg_terminate_backend(${pid})`)
  const heard = await client.rest()
  return heard.map(({ type, body }) => `${type} ${body.toString('latin1')}`).join('\n')
}

describe('a server process that is ended takes its client along, as directly', () => {
  const sleeps = 'SELECT pg_sleep(60) /* pgsplit: primary */'
  it.each([
    ['pinned by a temporary table', ['CREATE TEMP TABLE t ()', asksPid], null],
    ['pinned by a lock, in a statement', ['SELECT pg_advisory_lock(5)', asksPid], sleeps],
    [
      'pinned by a cursor, in a transaction',
      ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'BEGIN', asksPid],
      null,
    ],
    [
      'pinned, in a failed transaction',
      ['CREATE TEMP TABLE t ()', asksPid, 'BEGIN', 'SELECT 1/0'],
      null,
    ],
    [
      'pinned, in a DO block',
      ['CREATE TEMP TABLE t ()', asksPid],
      'DO $$ BEGIN PERFORM pg_sleep(60); END $$',
    ],
  ] as const)('%s', async (_, texts, running) => {
    const direct = await endedBy(cluster.primary.port, texts, running)
    expect(direct).toMatch(/(^|\n)E SFATAL\0VFATAL\0C57P01/)
    expect(await endedBy(proxy.port, texts, running)).toBe(direct)
  })

  it('of pool mode session, also when nothing pins it', async () => {
    const session = { 'pgsplit.pool_mode': 'session' }
    for (const [texts, running] of [
      [[asksPid], null],
      [['BEGIN', asksPid], null],
      [[asksPid], sleeps],
    ] as const) {
      const direct = await endedBy(cluster.primary.port, texts, running)
      expect(await endedBy(proxy.port, texts, running, session)).toBe(direct)
    }
  })

  it('and leaves one that it only lends itself to', async () => {
    await proxy.with(async (db) => {
      const end = (state: string): Promise<unknown> =>
        cluster.primary.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = 'fatal' AND state = '${state}'`,
        )
      await db.query('CREATE TABLE plain (a int)')
      await end('idle')
      // It may meet the process in its last moment, and is told so.
      const insert = 'INSERT INTO plain VALUES (1)'
      await db.query(insert).catch(() => db.query(insert))
      await db.query('BEGIN')
      await db.query('INSERT INTO plain VALUES (2)')
      await end('idle in transaction')
      await expect(db.query('SELECT 1')).rejects.toMatchObject({ code: '08006' })
      await expect(db.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' })
      await db.query('ROLLBACK')
      expect((await db.query('SELECT DISTINCT a FROM plain')).rows).toEqual([{ a: 1 }])
    })
  })
})
