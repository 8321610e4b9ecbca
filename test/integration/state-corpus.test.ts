import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  debianBinDir,
  loadCorpusSchema,
  type ServerCluster,
  startServers,
  testProvider,
} from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { differences, SessionOracle } from '../support/session-oracle.ts'
import { corpusStatements } from '../unit/sql/corpus-statements.ts'

const binDir = debianBinDir()
const isThere = testProvider === 'containers' || binDir !== null

interface Statement {
  readonly sql: string
  readonly setup?: readonly string[]
  readonly params?: readonly unknown[]
  readonly user?: string
}

const customs = ['my.x', 'my.tenant', 'app.tenant', 'app.user', 'myapp.x', 'a.b', 'x.y']

describe.skipIf(!isThere)('the corpus (needs /usr/lib/postgresql/15 or containers)', () => {
  let cluster: ServerCluster
  let proxy: TestProxy

  beforeAll(async () => {
    cluster = await startServers({ binDir: binDir ?? '', replicas: 1 })
    await loadCorpusSchema(cluster)
    await cluster.primary.query(`ALTER ROLE alice PASSWORD '${cluster.password}'`)
    await cluster.catchUp()
    const asServer = { password: 'unused', serverPassword: cluster.password }
    const users = ['postgres', 'alice'].map((name) => ({ name, ...asServer }))
    proxy = await startTestProxy(cluster, {
      auth: { method: 'trust', users },
      pool: { size: 1, checkoutTimeout: '20s' },
    })
  })
  afterAll(async () => {
    await proxy?.stop()
    await cluster?.stop()
  })

  it('leaves nothing behind in a connection, whichever of its statements has run there', async () => {
    const names = new Set(customs)
    const all = corpusStatements(cluster.version) as readonly Statement[]
    for (const { sql, setup = [] } of all) {
      for (const text of [sql, ...setup]) {
        for (const [, name] of text.matchAll(/\b([a-z_]+\.[a-z_]+)\s*(?:=|to\b|')/gi)) {
          if (name !== undefined) names.add(name.toLowerCase())
        }
      }
    }
    const oracle = new SessionOracle([...names])
    const wrong: string[] = []
    for (const { sql, setup = [], params, user = 'postgres' } of all) {
      const db = await proxy.client({ user })
      for (const text of setup) await db.query(text).catch(() => {})
      await db.query(sql, params === undefined ? undefined : [...params]).catch(() => {})
      await db.end()
      const direct = new pg.Client({
        host: '127.0.0.1',
        port: cluster.primary.port,
        database: cluster.database,
        user,
        password: cluster.password,
      })
      await direct.connect()
      const expected = await oracle.look(direct)
      await direct.end()
      for (const hint of ['/* pgsplit: primary */ ', '/* pgsplit: replica */ ']) {
        await proxy.with(
          async (next) => {
            for (const difference of differences(await oracle.look(next, hint), expected)) {
              wrong.push(`behind ${sql}: ${difference} (${hint})`)
            }
          },
          { user },
        )
      }
    }
    expect(wrong).toEqual([])
  }, 600_000)
})
