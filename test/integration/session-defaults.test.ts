import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { probeChanges } from '../../src/catalog/load-catalog.ts'
import { type ServerCluster, sql, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'defaults' })
  await sql(cluster.primary.urlFor('defaults'), "CREATE ROLE app LOGIN PASSWORD 'app'")
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 2 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const app = { user: 'app', password: 'app' }

/** What a client that logs in now has, on the primary and on a replica. */
function seen(name: string): Promise<string[]> {
  return proxy.with(async (db) => {
    const values: string[] = []
    for (const where of ['primary', 'replica', 'replica']) {
      const { rows } = await db.query(
        `/* pgsplit: ${where} */ SELECT current_setting('${name}') AS value`,
      )
      values.push(String(rows[0]?.value))
    }
    return values
  }, app)
}

/** Server connections are opened with the old values, and several are in use. */
beforeEach(async () => {
  await Promise.all([seen('work_mem'), seen('work_mem'), seen('work_mem')])
})

async function untilAllSee(name: string, value: string): Promise<void> {
  await waitFor(`${name} = ${value} on all nodes`, async () => {
    const values = await seen(name)
    return values.every((one) => one === value)
  })
}

describe('what sessions start with', () => {
  it('is new for who logs in after ALTER ROLE … SET through pgsplit', async () => {
    await proxy.with((db) => db.query("ALTER ROLE app SET work_mem = '7MB'"))
    expect((await seen('work_mem'))[0]).toBe('7MB')
    await untilAllSee('work_mem', '7MB')
  })

  it('is new when ALTER DATABASE … SET was committed, and not when it was rolled back', async () => {
    await proxy.with(async (db) => {
      await db.query('BEGIN')
      await db.query("ALTER DATABASE defaults SET application_name = 'by database'")
      expect((await seen('application_name'))[0]).toBe('')
      await db.query('COMMIT')
      expect((await seen('application_name'))[0]).toBe('by database')
      await db.query('BEGIN')
      await db.query("ALTER DATABASE defaults SET application_name = 'never'")
      await db.query('ROLLBACK')
    })
    await untilAllSee('application_name', 'by database')
  })

  it('is reported to who logs in', async () => {
    const reported = async (): Promise<string | undefined> => {
      const client = await proxy.raw(app)
      client.end()
      return client.login.parameters.get('TimeZone')
    }
    const before = await reported()
    await proxy.with((db) => db.query("ALTER ROLE app SET timezone = 'Asia/Tokyo'"))
    expect(before).not.toBe('Asia/Tokyo')
    expect(await reported()).toBe('Asia/Tokyo')
  })

  it('is new soon when it was changed elsewhere', async () => {
    await cluster.primary.query("ALTER ROLE app IN DATABASE defaults SET work_mem = '9MB'", [])
    await untilAllSee('work_mem', '9MB')
    await cluster.primary.query('ALTER ROLE app IN DATABASE defaults RESET work_mem', [])
    await untilAllSee('work_mem', '7MB')
  })

  it('changes the mark that is watched even if it was changed back between two looks', async () => {
    const url = cluster.primary.urlFor('defaults')
    const watching = new pg.Client({ connectionString: url })
    await watching.connect()
    const before = (await probeChanges(watching)).defaults
    await sql(url, "ALTER ROLE app IN DATABASE defaults SET work_mem = '9MB'")
    await sql(url, 'ALTER ROLE app IN DATABASE defaults RESET work_mem')
    await waitFor(`another mark than ${before}`, async () => {
      return (await probeChanges(watching)).defaults !== before
    })
    await watching.end()
  })

  it('follows ALTER SYSTEM and a reload', async () => {
    await cluster.primary.query("ALTER SYSTEM SET IntervalStyle = 'iso_8601'", [])
    await cluster.primary.query('SELECT pg_reload_conf()', [])
    await waitFor('the new style to be reported', async () => {
      const client = await proxy.raw(app)
      client.end()
      return client.login.parameters.get('IntervalStyle') === 'iso_8601'
    })
    await cluster.primary.query('ALTER SYSTEM RESET IntervalStyle', [])
    await cluster.primary.query('SELECT pg_reload_conf()', [])
  })
})
