import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../src/drizzle/index.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

/**
 * With synchronous replication a standby shows a commit before its primary does, which waits for the
 * other standby. Who has seen it there must not read backwards on the primary.
 */
let cluster: EmbeddedCluster
let proxy: TestProxy
let sessions: ReturnType<typeof createSessions>
let ids = 0

const other = () => cluster.replicas[1]
const count = 'SELECT count(*)::int AS n FROM item WHERE id = '

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item (id int PRIMARY KEY); CREATE SEQUENCE numbers',
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
  sessions = createSessions({
    primary: cluster.primary.urlFor('shop'),
    replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
    monitor: { probeInterval: '200ms' },
  })
  await sessions.ready
})
afterAll(async () => {
  await sessions?.close()
  await proxy?.stop()
  await cluster?.stop()
})

/** How the second standby holds up commits. */
interface Stall {
  readonly commit: 'on' | 'remote_apply'
  readonly standbys: 'ANY' | 'FIRST'
}

/** A row that the first standby shows, and whose commit the primary holds back until `release`. */
interface Held {
  readonly id: number
  release(): Promise<void>
}

async function whileHeld(stall: Stall, work: (held: Held) => Promise<void>): Promise<void> {
  const names = cluster.replicas.map(({ name }) => name).join(', ')
  const writer = new pg.Client({ connectionString: cluster.primary.urlFor('shop') })
  await writer.connect()
  const id = ++ids
  let isStalled = true
  const release = async (): Promise<void> => {
    if (!isStalled) return
    isStalled = false
    if (stall.commit === 'on') await other()?.thaw()
    else await other()?.resumeReplay()
  }
  await cluster.primary.configure({ synchronous_standby_names: `${stall.standbys} 2 (${names})` })
  try {
    await waitFor('both standbys to be waited for', async () => {
      const [row] = await cluster.primary.query(
        "SELECT count(*)::int AS n FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')",
      )
      return row?.n === 2
    })
    await proxy.waitForNode('primary', ({ waitsForStandbys }) => waitsForStandbys)
    // The door probes as often as the proxy does.
    await sleep(400)
    await writer.query(`SET synchronous_commit = ${stall.commit}`)
    if (stall.commit === 'on') await other()?.freeze()
    else await other()?.pauseReplay()
    const written = writer.query('INSERT INTO item VALUES ($1)', [id])
    try {
      await waitFor('the first standby to show it', async () => {
        const [row] = (await cluster.replicas[0]?.query(`${count}${id}`, [], 'shop')) ?? []
        return row?.n === 1
      })
      await work({ id, release })
    } finally {
      await release()
      await written
    }
  } finally {
    await writer.end()
    await cluster.primary.configure({ synchronous_standby_names: '' })
    await proxy.waitForNode('primary', ({ waitsForStandbys }) => !waitsForStandbys)
    for (const name of ['r1', 'r2']) {
      await proxy.waitForNode(name, ({ readable, fresh }) => readable && fresh)
    }
    await cluster.catchUp()
  }
}

/** Reads until the row is there: on the first standby. */
async function seen(read: () => Promise<number>): Promise<void> {
  await waitFor('the session to see it on a replica', async () => (await read()) === 1)
}

/** What `ask` gives when the commit is held for a while yet: nothing that it gives before may lack it. */
async function askedMeanwhile(held: Held, ask: () => Promise<number>): Promise<number> {
  const asked = ask()
  await Promise.race([asked.catch(() => {}), sleep(250)])
  await held.release()
  return asked
}

async function value(db: pg.Client, text: string): Promise<number> {
  return (await db.query(text)).rows[0].n
}

async function inTransaction(db: pg.Client, id: number): Promise<number> {
  await db.query('BEGIN')
  const n = await value(db, `${count}${id}`)
  await db.query('COMMIT')
  return n
}

const stalls: readonly Stall[] = [
  { standbys: 'ANY', commit: 'remote_apply' },
  { standbys: 'FIRST', commit: 'remote_apply' },
  { standbys: 'ANY', commit: 'on' },
  { standbys: 'FIRST', commit: 'on' },
]

describe.each(stalls)(
  'a commit at synchronous_commit $commit that waits for $standbys 2 standbys',
  (stall) => {
    it.each(['session', 'shared', 'strict'])(
      'is not unseen at %s by a transaction that may write',
      (level) =>
        whileHeld(stall, (held) =>
          proxy.with(async (db) => {
            await db.query(`SET pgsplit.consistency = '${level}'`)
            await seen(() => value(db, `${count}${held.id}`))
            expect(await askedMeanwhile(held, () => inTransaction(db, held.id))).toBe(1)
          }),
        ),
    )
  },
)

const [applied] = stalls as [Stall]

describe('what a replica has shown before the primary', () => {
  it('is not unseen by a read that asks for the primary', () =>
    whileHeld(applied, (held) =>
      proxy.with(async (db) => {
        await seen(() => value(db, `${count}${held.id}`))
        const ask = () => value(db, `/* pgsplit: primary */ ${count}${held.id}`)
        expect(await askedMeanwhile(held, ask)).toBe(1)
      }),
    ))

  it('is not unseen by who was handed a token of it', () =>
    whileHeld(applied, async (held) => {
      const token = await proxy.with(async (db) => {
        await seen(() => value(db, `${count}${held.id}`))
        const { rows } = await db.query('SHOW pgsplit.causal_token')
        return rows[0]['pgsplit.causal_token']
      })
      await proxy.with(async (db) => {
        await db.query(`SET pgsplit.causal_token = '${token}'`)
        expect(await askedMeanwhile(held, () => inTransaction(db, held.id))).toBe(1)
      })
    }))

  it('is not unseen on the connection that a session is pinned to', () =>
    whileHeld(applied, (held) =>
      proxy.with(async (db) => {
        await db.query("SELECT nextval('numbers')")
        await seen(() => value(db, `${count}${held.id}`))
        expect(await askedMeanwhile(held, () => inTransaction(db, held.id))).toBe(1)
      }),
    ))

  it('is not unseen when its replica goes and the primary takes over', () =>
    whileHeld(applied, (held) =>
      proxy.with(async (db) => {
        await seen(() => value(db, `${count}${held.id}`))
        await cluster.replicas[0]?.kill()
        const release = async (): Promise<void> => {
          await cluster.replicas[0]?.start()
          await held.release()
        }
        const ask = () => inTransaction(db, held.id)
        expect(await askedMeanwhile({ ...held, release }, ask)).toBe(1)
      }),
    ))

  it('is not unseen by a write session of Drizzle', () =>
    whileHeld(applied, (held) =>
      sessions.run(async () => {
        const query = sql.raw(`${count}${held.id}`)
        const read = async (isWrite: boolean): Promise<number> => {
          const db = isWrite ? sessions.getSession(true) : sessions.getSession()
          const found = await db.execute(query)
          return Number((found as unknown as { rows: { n: number }[] }).rows[0]?.n)
        }
        await seen(() => read(false))
        expect(await askedMeanwhile(held, () => read(true))).toBe(1)
      }),
    ))

  it('is waited for no longer than a bound: then the primary answers as it is', () =>
    whileHeld(applied, (held) =>
      proxy.with(async (db) => {
        await seen(() => value(db, `${count}${held.id}`))
        expect(await inTransaction(db, held.id)).toBe(0)
      }),
    ))

  it('holds up nobody whose replicas have shown him nothing', () =>
    whileHeld(applied, (held) =>
      proxy.with(async (db) => {
        expect(await inTransaction(db, held.id)).toBe(0)
        await db.query('BEGIN')
        await db.query('ROLLBACK')
      }),
    ))
})
