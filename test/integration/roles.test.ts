import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ServerCluster, sql, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: ServerCluster
let proxy: TestProxy

const admin = (text: string): Promise<unknown> => sql(cluster.primary.urlFor('roles'), text)

beforeAll(async () => {
  cluster = await startServers({ database: 'roles' })
  await admin(`CREATE ROLE app NOINHERIT LOGIN PASSWORD 'app'; CREATE ROLE keeper;
    CREATE TABLE secret (n int); INSERT INTO secret VALUES (1); GRANT SELECT ON secret TO keeper`)
  proxy = await startTestProxy(cluster, { pool: { size: 1 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})
beforeEach(async () => {
  await admin('DROP ROLE IF EXISTS boss; CREATE ROLE boss; GRANT boss TO app; GRANT keeper TO boss')
  await cluster.catchUp()
})

const app = { user: 'app', password: 'app' }

/** Rows or SQLSTATE. */
const ask = (db: pg.Client, text: string): Promise<unknown> =>
  db.query(text).then(
    ({ rows }) => rows,
    ({ code }) => code,
  )

/** Somebody else uses the one server connection of each node, so that the session's role has to be set again. */
const passBy = (): Promise<void> =>
  proxy.with(async (other) => {
    await other.query('/* pgsplit: primary */ SELECT 1')
    for (let i = 0; i < 4; i++) await other.query('SELECT count(*) FROM pg_class')
    expect(await ask(other, 'SELECT current_user::text AS name')).toEqual([{ name: 'app' }])
    expect(await ask(other, 'SELECT n FROM secret')).toBe('42501')
  }, app)

describe('a role that a session has set', () => {
  it('holds on every node, for this session only', async () => {
    await proxy.with(async (db) => {
      await db.query('SET ROLE boss')
      for (const where of ['primary', 'replica', 'replica']) {
        await passBy()
        expect(await ask(db, `/* pgsplit: ${where} */ SELECT n FROM secret`)).toEqual([{ n: 1 }])
        expect(await ask(db, 'SELECT current_user::text AS name')).toEqual([{ name: 'boss' }])
      }
      await db.query('RESET ROLE')
      expect(await ask(db, 'SELECT n FROM secret')).toBe('42501')
    }, app)
  })

  it.each([
    ['dropped', 'REVOKE keeper FROM boss; DROP ROLE boss', '22023'],
    ['renamed', 'ALTER ROLE boss RENAME TO chief', '22023'],
    ['taken from it', 'REVOKE boss FROM app', '42501'],
  ])('and that was %s meanwhile is an error until it is reset', async (_what, change, code) => {
    await proxy.with(async (db) => {
      await db.query('SET ROLE boss')
      await admin(change)
      await cluster.catchUp()
      await passBy()
      expect(await ask(db, '/* pgsplit: primary */ SELECT n FROM secret')).toBe(code)
      expect(await ask(db, 'SELECT n FROM secret')).toBe(code)
      // Nothing of it stays on a connection.
      await passBy()
      expect(await ask(db, 'BEGIN')).toEqual([])
      expect(await ask(db, 'SELECT 1')).toBe(code)
      expect(await ask(db, 'ROLLBACK')).toEqual([])
      expect(await ask(db, 'RESET ROLE')).toEqual([])
      expect(await ask(db, 'SELECT current_user::text AS name')).toEqual([{ name: 'app' }])
      await passBy()
    }, app)
    await admin('DROP ROLE IF EXISTS chief')
  })

  it.each([
    'SET ROLE NONE',
    'SET ROLE app',
    'RESET ROLE',
    'DISCARD ALL',
    'SET SESSION AUTHORIZATION DEFAULT',
  ])('and that is gone can be left by %s', async (way) => {
    await proxy.with(async (db) => {
      await db.query('SET ROLE boss')
      await admin('REVOKE keeper FROM boss; DROP ROLE boss')
      await cluster.catchUp()
      await passBy()
      expect(await ask(db, way)).toEqual([])
      expect(await ask(db, 'SELECT current_user::text AS name')).toEqual([{ name: 'app' }])
    }, app)
  })
})

describe('a session user that a superuser has set', () => {
  it('comes before its role, and both go together', async () => {
    await proxy.with(async (db) => {
      await db.query('SET SESSION AUTHORIZATION app')
      await db.query('SET ROLE boss')
      await passBy()
      const who = 'SELECT session_user::text AS login, current_user::text AS name'
      for (let i = 0; i < 3; i++) {
        expect(await ask(db, who)).toEqual([{ login: 'app', name: 'boss' }])
        await proxy.with(async (other) => {
          for (let j = 0; j < 3; j++) {
            expect(await ask(other, who)).toEqual([{ login: 'postgres', name: 'postgres' }])
          }
        })
      }
      expect(await ask(db, 'SET ROLE keeper')).toEqual([])
      expect(await ask(db, 'SET SESSION AUTHORIZATION DEFAULT')).toEqual([])
      expect(await ask(db, who)).toEqual([{ login: 'postgres', name: 'postgres' }])
    })
  })
})
