import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { notificationTalk, runTalk, withKnownSenders } from '../support/notification-talk.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { seededNumbers } from '../support/seeded-numbers.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'app', replicas: 1 })
  await cluster.primary.query(
    `CREATE TABLE event (id serial);
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM pg_notify('a', 'event ' || (SELECT count(*) FROM event WHERE false)); RETURN NULL; END $$;
    CREATE TRIGGER tell AFTER INSERT ON event FOR EACH STATEMENT EXECUTE FUNCTION tell()`,
    [],
    'app',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 6 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const processIdOf = (client: pg.Client): number =>
  (client as unknown as { processID: number }).processID

async function forgetPrepared(): Promise<void> {
  const left = await cluster.primary.query('SELECT gid FROM pg_prepared_xacts')
  for (const { gid } of left) await cluster.primary.query(`ROLLBACK PREPARED '${gid}'`, [], 'app')
}

describe('LISTEN', () => {
  it('pins nobody, and what others notify is heard with the process id of their log-in', async () => {
    await proxy.with(async (ear) => {
      const heard: unknown[] = []
      ear.on('notification', ({ channel, payload, processId }) =>
        heard.push([channel, payload, processId]),
      )
      await ear.query('LISTEN news')
      expect((await ear.query('SHOW pgsplit.pin')).rows).toEqual([{ 'pgsplit.pin': '' }])
      await proxy.with(async (other) => {
        await other.query("NOTIFY news, 'one'")
        await other.query("SELECT pg_notify('news', 'two')")
        await ear.query('SELECT 1')
        expect(heard).toEqual([
          ['news', 'one', processIdOf(other)],
          ['news', 'two', processIdOf(other)],
        ])
      })
      await ear.query("NOTIFY news, 'own'")
      expect(heard[2]).toEqual(['news', 'own', processIdOf(ear)])
      expect((await ear.query('SELECT pg_listening_channels() c')).rows).toEqual([{ c: 'news' }])
      await ear.query('UNLISTEN news')
      expect((await ear.query('SELECT pg_listening_channels() c')).rows).toEqual([])
      await proxy.with((other) => other.query("NOTIFY news, 'three'"))
      await ear.query('SELECT 1')
      expect(heard).toHaveLength(3)
    })
  })

  const talks = Number(process.env.PGSPLIT_TALKS ?? 6)
  const seed = Number(process.env.PGSPLIT_TALKS_SEED ?? 1)
  it(`is as directly in ${talks} generated conversations`, async () => {
    const { password } = cluster
    const login = { user: 'postgres', password, database: 'app' }
    for (let i = seed; i < seed + talks; i++) {
      const random = seededNumbers(i * 7919)
      const clients = 3 + random(4)
      const steps = notificationTalk(random, clients, 60)
      const direct = await runTalk({ ...login, port: cluster.primary.port }, clients, steps)
      await forgetPrepared()
      const through = await runTalk({ ...login, port: proxy.port }, clients, steps)
      await forgetPrepared()
      expect(through.map(withKnownSenders(direct)), `conversation ${i}`).toEqual(direct)
    }
  })
})

describe('with more clients that listen than server connections', () => {
  const count = 500
  it(`${count} hear everything, in order, and writes go on`, async () => {
    const ears: pg.Client[] = []
    while (ears.length < count) {
      ears.push(...(await Promise.all(Array.from({ length: 100 }, () => proxy.client()))))
    }
    try {
      const heard = ears.map(() => [] as string[])
      for (const [i, ear] of ears.entries()) {
        ear.on('notification', ({ channel, payload }) => heard[i]?.push(`${channel} ${payload}`))
      }
      await Promise.all(
        ears.map(async (ear, i) => {
          await ear.query('LISTEN everybody')
          await ear.query(`LISTEN only_${i}`)
        }),
      )
      await proxy.with(async (writer) => {
        for (let n = 0; n < 20; n++) {
          await writer.query('INSERT INTO event DEFAULT VALUES')
          await writer.query(`NOTIFY everybody, '${n}'`)
        }
        await writer.query(`SELECT pg_notify('only_' || i, 'you') FROM generate_series(0, 499) i`)
      })
      const all = Array.from({ length: 20 }, (_, n) => `everybody ${n}`)
      await waitFor('all to hear', () => heard.every(({ length }) => length >= 21))
      for (const [i, list] of heard.entries()) expect(list).toEqual([...all, `only_${i} you`])
      const rows = await cluster.primary.query(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = 'app'",
      )
      expect(Number(rows[0]?.n)).toBeLessThan(12)
    } finally {
      await Promise.all(ears.map((ear) => ear.end()))
    }
  })

  it('a client that does not read is ended when too much waits for it, and nobody else waits', async () => {
    const deaf = await proxy.raw()
    await deaf.query('LISTEN loud')
    deaf.pause()
    await proxy.with(async (ear) => {
      let heard = 0
      ear.on('notification', () => heard++)
      await ear.query('LISTEN loud')
      await proxy.with(async (other) => {
        const payload = 'x'.repeat(7000)
        for (let i = 0; i < 40; i++) {
          await other.query(
            `SELECT pg_notify('loud', g || '${payload}') FROM generate_series(${i * 100}, ${i * 100 + 99}) g`,
          )
        }
      })
      await waitFor('all of it', () => heard === 4000)
    })
    deaf.resume()
    await deaf.closed()
  })
})

describe('when the connection of the hub is lost', () => {
  it('whoever listens is ended with 57P01, and hears again when it has come back', async () => {
    const ear = await proxy.client()
    const ended = new Promise<Error>((resolve) => ear.once('error', resolve))
    await ear.query('LISTEN news')
    await proxy.with(async (idle) => {
      await cluster.primary.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgsplit listen'",
      )
      expect(await ended).toMatchObject({ code: '57P01' })
      await idle.query('SELECT 1')
    })
    await proxy.with(async (again) => {
      await again.query('LISTEN news')
      const heard = new Promise((resolve) => again.once('notification', resolve))
      await proxy.with((other) => other.query('NOTIFY news'))
      await heard
    })
  })
})
