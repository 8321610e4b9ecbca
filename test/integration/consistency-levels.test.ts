import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Consistency } from '../../src/consistency.ts'
import { createSessions } from '../../src/drizzle/index.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { endOfLog, ranAt, tagged } from '../support/node-log.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy
/** A client of the primary itself. */
let beside: pg.Client

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop', settings: { log_statement: 'all' } })
  await cluster.primary.query(
    `CREATE TABLE item (id int PRIMARY KEY, v int); INSERT INTO item VALUES (1, 0);
     CREATE ROLE other LOGIN PASSWORD 'other'; GRANT ALL ON item TO other`,
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
  await waitFor('a read on a replica', () =>
    proxy.with(async (db) => {
      await value(db)
      const { rows } = await db.query('SHOW pgsplit.last_route')
      return /^r\d/.test(rows[0]['pgsplit.last_route'])
    }),
  )
  beside = new pg.Client({ connectionString: cluster.primary.urlFor('shop') })
  await beside.connect()
})
afterAll(async () => {
  await beside?.end()
  await proxy?.stop()
  await cluster?.stop()
})

async function value(db: pg.Client, hint = ''): Promise<number> {
  const { rows } = await db.query(`${hint}SELECT v FROM item WHERE id = 1`)
  return rows[0].v
}

const addText = 'UPDATE item SET v = v + 1 WHERE id = 1 RETURNING v'
const add = async (db: pg.Client): Promise<number> => (await db.query(addText)).rows[0].v

/** Replicas that are late while `work` runs. */
async function late<R>(delay: string, work: () => Promise<R>): Promise<R> {
  for (const replica of cluster.replicas) {
    await replica.configure({ recovery_min_apply_delay: delay })
  }
  try {
    return await work()
  } finally {
    for (const replica of cluster.replicas) {
      await replica.configure({ recovery_min_apply_delay: '0' })
    }
    await cluster.catchUp()
  }
}

/** How many of `times` reads missed what `write` had committed before. */
async function missed(
  times: number,
  write: () => Promise<number>,
  read: () => Promise<number>,
): Promise<number> {
  let count = 0
  for (let i = 0; i < times; i++) {
    const written = await write()
    if ((await read()) < written) count++
  }
  return count
}

/** Of `times` tagged reads, how many ran on replicas, by the servers' own logs. */
async function onReplicas(times: number, read: (tag: string) => Promise<unknown>): Promise<number> {
  const tag = randomUUID()
  const starts = cluster.replicas.map((replica) => endOfLog(replica))
  for (let i = 0; i < times; i++) await read(tagged(tag, i))
  const ran = new Set<number>()
  for (const [i, replica] of cluster.replicas.entries()) {
    for (const number of ranAt(replica, tag, starts[i])) ran.add(number)
  }
  return ran.size
}

const options = (level: string): pg.ClientConfig => ({
  options: `-c pgsplit.consistency=${level}`,
})

describe('strict', () => {
  it.each(['5ms', '300ms'])(
    'misses nothing that was committed beside pgsplit, replicas %s late',
    (delay) =>
      late(delay, async () => {
        const db = await proxy.client({}, options('strict'))
        expect(
          await missed(
            60,
            () => add(beside),
            () => value(db),
          ),
        ).toBe(0)
        await beside.query('SET synchronous_commit = off')
        expect(
          await missed(
            60,
            () => add(beside),
            () => value(db),
          ),
        ).toBe(0)
        await beside.query('RESET synchronous_commit')
        await db.end()
      }),
  )

  it('is what makes the difference: the level below misses some', () =>
    late('300ms', () =>
      proxy.with(async (db) => {
        expect(
          await missed(
            20,
            () => add(beside),
            () => value(db),
          ),
        ).toBeGreaterThan(0)
      }),
    ))

  it('is asked for by SET and by hint, too, and shown', () =>
    late('300ms', () =>
      proxy.with(async (db) => {
        const hint = '/* pgsplit: consistency=strict */ '
        expect(
          await missed(
            20,
            () => add(beside),
            () => value(db, hint),
          ),
        ).toBe(0)
        await db.query("SET pgsplit.consistency = 'STRICT'")
        expect(
          await missed(
            20,
            () => add(beside),
            () => value(db),
          ),
        ).toBe(0)
        const { rows } = await db.query('SHOW pgsplit.consistency')
        expect(rows).toEqual([{ 'pgsplit.consistency': 'strict' }])
        const wrong = await db.query("SET pgsplit.consistency = 'strictly'").catch((e) => e)
        expect(wrong).toMatchObject({
          code: '22023',
          hint: 'It takes one of strict, shared, session, bounded, eventual, primary.',
        })
      }),
    ))

  it('reads on replicas while nobody writes', () =>
    proxy.with(async (db) => {
      await db.query("SET pgsplit.consistency = 'strict'")
      // A busy machine may hold up an answer of the primary.
      await db.query("SET pgsplit.causal_wait = '5s'")
      expect(await onReplicas(20, (tag) => value(db, tag))).toBe(20)
    }))

  it('waits for a replica that is nearly there', () =>
    late('5ms', () =>
      proxy.with(async (db) => {
        await db.query("SET pgsplit.consistency = 'strict'")
        await db.query("SET pgsplit.causal_wait = '5s'")
        const ran = await onReplicas(10, async (tag) => {
          const written = await add(beside)
          expect(await value(db, tag)).toBe(written)
        })
        expect(ran).toBe(10)
      }),
    ))

  describe('in a READ ONLY transaction on a replica', () => {
    it.each(['5ms', '300ms'])(
      'each statement sees what was committed before it, replicas %s late',
      (delay) =>
        late(delay, () =>
          proxy.with(async (db) => {
            await db.query("SET pgsplit.consistency = 'strict'")
            for (let i = 0; i < 5; i++) {
              await db.query('BEGIN READ ONLY')
              await value(db)
              await db.query('SAVEPOINT a')
              for (let n = 0; n < 3; n++) {
                const written = await add(beside)
                expect(await value(db)).toBe(written)
              }
              await db.query('COMMIT')
            }
          }),
        ),
    )

    it('stays there while nobody writes', () =>
      proxy.with(async (db) => {
        await db.query("SET pgsplit.consistency = 'strict'")
        await db.query("SET pgsplit.causal_wait = '5s'")
        await db.query('BEGIN READ ONLY')
        expect(await onReplicas(5, (tag) => value(db, tag))).toBe(5)
        await db.query('COMMIT')
      }))

    it('keeps the snapshot of REPEATABLE READ', () =>
      proxy.with(async (db) => {
        await db.query("SET pgsplit.consistency = 'strict'")
        await db.query('/* pgsplit: replica */ BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
        const first = await value(db)
        await add(beside)
        expect(await value(db)).toBe(first)
        await db.query('COMMIT')
        expect(await value(db)).toBe(first + 1)
      }))
  })

  it('fails no read while there is no primary that could tell', async () => {
    const own = await startTestProxy(cluster, { routing: { consistency: 'strict' } })
    await own.with(async (db) => {
      await value(db)
      await cluster.primary.freeze()
      const read = value(db)
      await cluster.primary.thaw()
      expect(await read).toBeGreaterThanOrEqual(0)
    })
    await own.stop()
  })
})

describe('shared', () => {
  it.each(['5ms', '300ms'])(
    'misses nothing that another session of the user has written, replicas %s late',
    (delay) =>
      late(delay, async () => {
        const writer = await proxy.client()
        const reader = await proxy.client({}, options('shared'))
        expect(
          await missed(
            60,
            () => add(writer),
            () => value(reader),
          ),
        ).toBe(0)
        await writer.query('SET synchronous_commit = off')
        expect(
          await missed(
            60,
            () => add(writer),
            () => value(reader),
          ),
        ).toBe(0)
        // In a transaction, it counts when that ends.
        const inTransaction = async (): Promise<number> => {
          await writer.query('BEGIN')
          const written = await add(writer)
          await writer.query('COMMIT')
          return written
        }
        expect(await missed(20, inTransaction, () => value(reader))).toBe(0)
        await reader.query('BEGIN READ ONLY')
        await value(reader)
        expect(
          await missed(
            5,
            () => add(writer),
            () => value(reader),
          ),
        ).toBe(0)
        await reader.query('COMMIT')
        await writer.end()
        await reader.end()
      }),
  )

  it('says nothing of other users', () =>
    late('300ms', async () => {
      const writer = await proxy.client({ user: 'other', password: 'other' })
      await waitFor('a read that misses it', async () => {
        await cluster.catchUp()
        const reader = await proxy.client({}, options('shared'))
        await value(reader)
        const written = await add(writer)
        const seen = await value(reader)
        await reader.end()
        return seen < written
      })
      await writer.end()
    }))
})

describe.each(['on the nodes', 'on a proxy'] as const)('sessions of Drizzle %s', (door) => {
  const nodes = () => ({
    primary: cluster.primary.urlFor('shop'),
    replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
  })

  async function withSessions(
    level: Consistency,
    work: (
      read: () => Promise<number>,
      sessions: ReturnType<typeof createSessions>,
    ) => Promise<void>,
  ): Promise<void> {
    const sessions = createSessions(door === 'on the nodes' ? nodes() : { proxy: proxy.url() })
    try {
      await sessions.ready
      const read = async () => {
        const query = sql`SELECT v FROM item WHERE id = 1`
        const found = await sessions.run(() => sessions.getSession().execute(query), {
          consistency: level,
        })
        return Number((found as unknown as { rows: { v: number }[] }).rows[0]?.v)
      }
      await work(read, sessions)
    } finally {
      await sessions.close()
    }
  }

  it('see at strict what was committed beside them', () =>
    late('300ms', () =>
      withSessions('strict', async (read) => {
        expect(await missed(20, () => add(beside), read)).toBe(0)
        // Side by side, too.
        const written = await add(beside)
        expect(Math.min(...(await Promise.all(Array.from({ length: 12 }, read))))).toBe(written)
      }),
    ))

  it('see at shared what the process has written, in whichever context', () =>
    late('300ms', () =>
      withSessions('shared', async (read, sessions) => {
        const write = async () => {
          const found = await sessions.run(() =>
            sessions.getSession(true).execute(sql.raw(addText)),
          )
          return Number((found as unknown as { rows: { v: number }[] }).rows[0]?.v)
        }
        expect(await missed(20, write, read)).toBe(0)
      }),
    ))

  it('see in a transaction of a read session what was committed before each statement', () =>
    late('300ms', () =>
      withSessions('strict', async (_read, sessions) => {
        const query = sql`SELECT v FROM item WHERE id = 1`
        const work = () =>
          sessions.getSession().transaction(async (tx) => {
            await tx.execute(query)
            return missed(
              5,
              () => add(beside),
              async () => {
                const found = await tx.execute(query)
                return Number((found as unknown as { rows: { v: number }[] }).rows[0]?.v)
              },
            )
          })
        expect(await sessions.run(work, { consistency: 'strict' })).toBe(0)
      }),
    ))
})
