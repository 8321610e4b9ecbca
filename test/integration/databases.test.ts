import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, sql, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  proxy = await startTestProxy(cluster)
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const admin = (text: string) => sql(cluster.primary.urlFor('postgres'), text)

/** Connections of pgsplit to a database on the primary. */
async function connections(database: string): Promise<number> {
  const rows = await cluster.primary.query(
    'SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
    [database],
    'template1',
  )
  return Number(rows[0]?.n)
}

const sqlstate = (entered: Promise<pg.Client>): Promise<string> =>
  entered.then(
    () => 'in',
    ({ code }) => code,
  )

describe('a database that does not exist', () => {
  it('is refused as directly, and nothing of it is tried again', async () => {
    const logged = proxy.log.length
    const names = Array.from({ length: 30 }, (_, i) => `mistyped_${i}`)
    for (const database of names) {
      expect(await sqlstate(proxy.client({ database }))).toBe('3D000')
    }
    expect(proxy.proxy.clusters[0]?.scopes.size).toBeLessThan(5)
    const told = proxy.log.slice(logged).filter((line) => line.includes('catalog'))
    expect(told).toEqual([])
    const seen = await cluster.primary.query(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname LIKE 'mistyped%'",
      [],
    )
    expect(seen[0]?.n).toBe(0)
  })
})

describe('many databases', () => {
  it('are watched while clients are connected, not longer', async () => {
    const names = Array.from({ length: 6 }, (_, i) => `many_${i}`)
    for (const name of names) await admin(`CREATE DATABASE ${name}`)
    await cluster.catchUp()
    const clients = await Promise.all(names.map((database) => proxy.client({ database })))
    for (const name of names) {
      await waitFor(`two connections to ${name}`, async () => (await connections(name)) === 2)
    }
    for (const client of clients) await client.end()
    for (const name of names) {
      await waitFor(
        `the watch of ${name} to end`,
        async () => (await connections(name)) === 1,
        15_000,
      )
    }
    // Reads are proved again as soon as somebody is back.
    await proxy.with(
      async (client) => {
        await waitFor('a read on a replica', async () => {
          await client.query('SELECT 1')
          const { rows } = await client.query('SHOW pgsplit.last_route')
          return /^r[12]:/.test(String(Object.values(rows[0])[0])) || undefined
        })
      },
      { database: 'many_0' },
    )
  })

  it('beyond the bound are served by the primary', async () => {
    const small = await startTestProxy(cluster, { monitor: { maxCatalogs: 1 } })
    try {
      const route = async (client: pg.Client): Promise<string> => {
        await client.query('SELECT count(*) FROM pg_class')
        const { rows } = await client.query('SHOW pgsplit.last_route')
        return String(Object.values(rows[0])[0])
      }
      const onReplica = (client: pg.Client) => async (): Promise<true | undefined> =>
        /^r[12]:/.test(await route(client)) || undefined
      const first = await small.client({ database: 'many_1' })
      await waitFor('its catalog', onReplica(first))
      const second = await small.client({ database: 'many_2' })
      expect(await route(second)).toMatch(/^primary:/)
      await waitFor('the first to be read on', onReplica(first))
      await first.end()
      await waitFor('its turn', onReplica(second), 15_000)
      await second.end()
    } finally {
      await small.stop()
    }
  })
})

describe('what wants a database for itself', () => {
  it.each([
    ['ALTER DATABASE … RENAME', 'ALTER DATABASE own RENAME TO owned', 'own'],
    ['CREATE DATABASE … TEMPLATE', 'CREATE DATABASE copied TEMPLATE owned', 'owned'],
    ['DROP DATABASE', 'DROP DATABASE owned', 'owned'],
  ])('%s beside pgsplit is not kept from it by idle connections', async (_what, text, database) => {
    if (database === 'own') await admin('CREATE DATABASE own')
    await cluster.catchUp()
    const clients = await Promise.all([1, 2, 3].map(() => proxy.client({ database })))
    await Promise.all(clients.map((client) => client.query('SELECT pg_sleep(0.05)')))
    expect(await connections(database)).toBeGreaterThan(1)
    await admin(text)
    for (const client of clients) await client.end().catch(() => {})
  })

  it('CREATE DATABASE beside pgsplit is not kept from template1', async () => {
    const client = await proxy.client({ database: 'template1' })
    await client.query('SELECT 1')
    await admin('CREATE DATABASE beside')
    // Who was there goes on.
    expect((await client.query('SELECT 1 AS n')).rows).toEqual([{ n: 1 }])
    await client.end()
  })

  it('sends away whose role is gone when what it runs is done, at its next statement', async () => {
    await admin("CREATE ROLE leaver LOGIN PASSWORD 'one'")
    await cluster.catchUp()
    const [busy, idle] = await Promise.all(
      [1, 2].map(() => proxy.client({ user: 'leaver', password: 'one' })),
    )
    if (busy === undefined || idle === undefined) throw new Error('unreachable')
    const ended = new Promise<string>((resolve) => {
      idle.on('error', ({ message }) => resolve(message))
    })
    await busy.query('BEGIN')
    await busy.query('SELECT 1 AS n')
    await admin('DROP ROLE leaver')
    expect(await ended).toContain('role "leaver" was dropped')
    // What is open goes on, as directly.
    expect((await busy.query('SELECT 2 AS n')).rows).toEqual([{ n: 2 }])
    await busy.query('COMMIT')
    const after = busy.query('SELECT 3 AS n')
    await expect(after).rejects.toThrow(/was dropped|Connection terminated|not queryable/)
  })

  it('sends away whose database was dropped, as the server would', async () => {
    await admin('CREATE DATABASE gone')
    await cluster.catchUp()
    const client = await proxy.client({ database: 'gone' })
    const ended = new Promise<string>((resolve) => {
      client.on('error', ({ message }) => resolve(message))
    })
    await client.query('SELECT 1')
    await admin('DROP DATABASE gone WITH (FORCE)')
    expect(await ended).toContain('database "gone" was dropped')
    expect(await sqlstate(proxy.client({ database: 'gone' }))).toBe('3D000')
    await waitFor('its pools to go', () => {
      const scopes = [...(proxy.proxy.clusters[0]?.scopes.values() ?? [])]
      return scopes.every(({ database }) => database !== 'gone')
    })
  })
})
