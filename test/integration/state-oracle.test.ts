import type pg from 'pg'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, sql, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { differences, SessionOracle } from '../support/session-oracle.ts'
import { type Case, cases, changes, matrixSchema } from '../support/state-matrix.ts'

/** PGSPLIT_STATE_ORACLE=all: every combination in place of every pair. */
const isAll = process.env.PGSPLIT_STATE_ORACLE === 'all'

const web = { user: 'web', password: 'w' }
const boss = { user: 'boss', password: 'b' }

let cluster: ServerCluster
let proxy: TestProxy
const oracle = new SessionOracle(['app.leak', 'app.tenant'])

beforeAll(async () => {
  cluster = await startServers({ database: 'app', replicas: 1 })
  await sql(cluster.primary.urlFor('app'), matrixSchema())
  await cluster.catchUp()
  const users = [web, boss].map(({ user, password }) => {
    return { name: user, password: 'unused', serverPassword: password }
  })
  proxy = await startTestProxy(cluster, {
    auth: { method: 'trust', users },
    pool: { size: 1, checkoutTimeout: '20s' },
  })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

async function direct({ user, password }: typeof web): Promise<pg.Client> {
  const client = new Client({
    host: '127.0.0.1',
    port: cluster.primary.port,
    database: 'app',
    user,
    password,
  })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Rows as text, or the error's SQLSTATE. */
async function said(db: pg.Client, text: string, values?: unknown[]): Promise<string> {
  try {
    const result = await db.query({ text, rowMode: 'array', ...(values && { values }) })
    const last = Array.isArray(result) ? result.at(-1) : result
    return JSON.stringify(last.rows)
  } catch (error) {
    return String((error as { code?: string }).code ?? error)
  }
}

async function act(db: pg.Client, { mode, use, change }: Case): Promise<string[]> {
  const heard: string[] = []
  const say = async (text: string, values?: unknown[]): Promise<void> => {
    heard.push(await said(db, text, values))
  }
  if (mode === 'simple') await say(use)
  else if (mode === 'extended') await say(use, [])
  else if (mode === 'failed') await say(`${use}; select 1/0`)
  else {
    await say('begin')
    await say(use)
    await say(mode === 'committed' ? 'commit' : 'rollback')
  }
  await say(change.own)
  await say(
    "/* pgsplit: replica */ select pg_catalog.current_setting('app.leak', true), current_user",
  )
  return heard
}

describe('what a statement leaves in its session', () => {
  it('is met by its own session on every node, and by nobody else', async () => {
    const wrong: string[] = []
    const fresh = new Map<string, Awaited<ReturnType<SessionOracle['look']>>>()
    for (const login of [web, boss]) {
      const db = await direct(login)
      fresh.set(login.user, await oracle.look(db))
      await db.end()
    }
    for (const one of cases(isAll)) {
      const login = one.change.needsSuperuser ? boss : web
      const name = `${one.carrier} × ${one.change.name} × ${one.mode}${one.isBuilt ? ' built' : ''}`
      const twins = await Promise.all([direct(login), proxy.client(login)])
      const [expected, heard] = [await act(twins[0], one), await act(twins[1], one)]
      if (JSON.stringify(heard) !== JSON.stringify(expected)) {
        wrong.push(`${name}: ${heard}, directly ${expected}`)
      }
      await Promise.all(twins.map((db) => db.end()))
      for (const hint of ['/* pgsplit: primary */ ', '/* pgsplit: replica */ ']) {
        await proxy.with(async (db) => {
          const found = await oracle.look(db, hint)
          for (const difference of differences(found, fresh.get(login.user) ?? {})) {
            wrong.push(`behind ${name}: ${difference} (${hint})`)
          }
        }, login)
      }
    }
    expect(wrong).toEqual([])
    expect(cases(isAll).length).toBeGreaterThan(changes.length * 10)
  }, 1_800_000)
})
