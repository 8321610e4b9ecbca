import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: ServerCluster
let proxy: TestProxy

const onReplicas = (sql: string): Promise<unknown> =>
  Promise.all(cluster.replicas.map((replica) => replica.query(sql)))

beforeAll(async () => {
  cluster = await startServers()
  proxy = await startTestProxy(cluster)
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

describe('a log-in that the replicas do not know of yet', () => {
  it('to a new database reads from the primary', async () => {
    await onReplicas('SELECT pg_wal_replay_pause()')
    await proxy.with((db) => db.query('CREATE DATABASE young'))
    await proxy.with(
      async (db) => {
        for (let i = 0; i < 5; i++) {
          const { rows } = await db.query('SELECT count(*)::int AS n FROM pg_class')
          expect(rows[0]?.n).toBeGreaterThan(100)
        }
      },
      { database: 'young' },
    )
    await onReplicas('SELECT pg_wal_replay_resume()')
  })

  it('of a new role reads from the primary', async () => {
    await onReplicas('SELECT pg_wal_replay_pause()')
    await proxy.with((db) => db.query("CREATE ROLE young LOGIN PASSWORD 'secret'"))
    await proxy.with(
      async (db) => {
        for (let i = 0; i < 5; i++) {
          const { rows } = await db.query('SELECT count(*)::int AS n FROM pg_class')
          expect(rows[0]?.n).toBeGreaterThan(100)
        }
      },
      { user: 'young', password: 'secret' },
    )
    await onReplicas('SELECT pg_wal_replay_resume()')
  })

  it('that the primary refuses, too, is refused as it refuses it', async () => {
    await expect(
      proxy.with((db) => db.query('SELECT 1'), { database: 'none' }),
    ).rejects.toMatchObject({ code: '3D000', message: 'database "none" does not exist' })
  })
})
