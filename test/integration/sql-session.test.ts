import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { credential } from '../../src/auth/credential.ts'
import { connectServer } from '../../src/server/connect.ts'
import { SqlSession, type SqlSessionOptions } from '../../src/server/sql-session.ts'
import { type ServerCluster, sql, startServers, waitFor } from '../support/cluster.ts'

let cluster: ServerCluster

beforeAll(async () => {
  cluster = await startServers({ replicas: 0 })
})
afterAll(() => cluster?.stop())

async function open(options: Partial<SqlSessionOptions> = {}): Promise<SqlSession> {
  const { host, port } = cluster.primary
  const login = await connectServer({
    target: { host, port },
    user: 'postgres',
    database: 'postgres',
    credential: credential({ kind: 'password', password: cluster.password }),
    parameters: [['application_name', 'asker']],
  })
  return new SqlSession(login, { timeoutMs: 30_000, ...options })
}

/** Server processes of clients that call themselves so. */
async function processesOf(name: string): Promise<number> {
  const rows = await sql(
    cluster.primary.url,
    'SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1',
    [name],
  )
  return Number(rows[0]?.n)
}

describe("a session for pgsplit's own questions", () => {
  it('gives values as text, of any size, and takes values', async () => {
    const session = await open()
    const { rows } = await session.query(
      "SELECT 1 AS one, true AS yes, null AS nothing, repeat('ä', 300000) AS much",
    )
    expect(rows).toEqual([{ one: '1', yes: 't', nothing: null, much: 'ä'.repeat(300_000) }])
    const told = await session.ask('SELECT $1::text || $2, $3::int IS NULL', ["it's", ' ö', null])
    expect(told.rows).toEqual([["it's ö", 't']])
    session.end()
    await waitFor('its end', async () => (await processesOf('asker')) === 0)
    await expect(session.query('SELECT 1')).rejects.toMatchObject({ sqlstate: '08003' })
  })

  it('tells errors with their SQLSTATE and goes on', async () => {
    const session = await open()
    await expect(session.query('SELECT 1; SELECT 1/0')).rejects.toMatchObject({ sqlstate: '22012' })
    await expect(session.query('SELECT $1::int', ['x'])).rejects.toMatchObject({
      sqlstate: '22P02',
    })
    const both = await Promise.all([session.ask('SELECT 1'), session.ask('SELECT 2')])
    expect(both.map(({ rows }) => rows)).toEqual([[['1']], [['2']]])
    session.end()
  })

  it('tells the loss of its connection once, with what the server said last', async () => {
    const losses: Error[] = []
    const session = await open({ onLost: (error) => losses.push(error) })
    const [[pid = null] = []] = (await session.ask('SELECT pg_backend_pid()')).rows
    const asked = session.query('SELECT pg_sleep(60)')
    await Promise.all([
      expect(asked).rejects.toMatchObject({ sqlstate: '57P01' }),
      sql(cluster.primary.url, `SELECT pg_terminate_backend(${Number(pid)})`),
    ])
    expect(losses).toMatchObject([{ sqlstate: '57P01' }])
    await expect(session.query('SELECT 1')).rejects.toMatchObject({ sqlstate: '57P01' })
    session.end()
    expect(losses).toHaveLength(1)
  })

  it('gives up what takes too long, and ends', async () => {
    const losses: Error[] = []
    const session = await open({ timeoutMs: 50, onLost: (error) => losses.push(error) })
    await expect(session.query('SELECT pg_sleep(60)')).rejects.toMatchObject({ sqlstate: '57014' })
    expect(losses).toHaveLength(1)
  })

  it('rejects who waits when it is ended, and tells nobody of a loss', async () => {
    const losses: Error[] = []
    const session = await open({ onLost: (error) => losses.push(error) })
    const asked = session.query('SELECT pg_sleep(60)')
    session.end()
    session.end()
    await expect(asked).rejects.toMatchObject({ sqlstate: '08003' })
    expect(losses).toEqual([])
  })
})

describe('a log-in that is given up', () => {
  it.each(['while it is dialled', 'while it goes on'])('ends %s', async (when) => {
    const { host, port } = cluster.primary
    const abort = new AbortController()
    const attempt = connectServer({
      target: { host, port },
      user: 'postgres',
      database: 'postgres',
      credential: credential({ kind: 'password', password: cluster.password }),
      parameters: [['application_name', 'dialler']],
      signal: abort.signal,
    })
    if (when === 'while it goes on') await new Promise(setImmediate)
    abort.abort()
    await expect(attempt).rejects.toMatchObject({ failure: 'network', sqlstate: '08001' })
    await waitFor('its end', async () => (await processesOf('dialler')) === 0)
  })
})
