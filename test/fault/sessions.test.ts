import { integer, pgTable } from 'drizzle-orm/pg-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../src/drizzle/index.ts'
import { createSessions as createSessionsOnPostgresJs } from '../../src/drizzle/postgres-js/index.ts'
import type { EmbeddedNode } from '../../src/embedded/embedded-node.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'

const items = pgTable('item', { id: integer().primaryKey() })
const journal = pgTable('journal', { writer: integer(), n: integer() })

const drivers = { 'node-postgres': createSessions, 'postgres.js': createSessionsOnPostgresJs }
type Sessions = ReturnType<typeof createSessions>

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item AS SELECT generate_series(1, 10) AS id; CREATE TABLE journal (writer int, n int)',
    [],
    'shop',
  )
  const names = cluster.replicas.map(({ name }) => name).join(', ')
  for (const node of cluster.nodes) {
    await node.configure({ synchronous_standby_names: `ANY 1 (${names})` })
  }
  await cluster.catchUp()
})
afterAll(() => cluster?.stop())

const replica = (index: number): EmbeddedNode => {
  const node = cluster.replicas[index]
  if (node === undefined) throw new Error(`no replica ${index}`)
  return node
}

function start(driver: keyof typeof drivers): Sessions {
  // Both drivers' sessions take the same calls.
  const create = drivers[driver] as typeof createSessions
  return create({
    primary: cluster.primary.urlFor('shop'),
    replicas: cluster.replicas.map((node) => node.urlFor('shop')),
    monitor: { probeInterval: '200ms' },
    routing: { readTimeout: '1s' },
  })
}

/** Readers that never stop, each a request of its own for every read. */
class Readers {
  readonly errors: unknown[] = []
  readonly counts: number[]
  readonly #running: Promise<unknown>
  #isOver = false

  constructor(sessions: Sessions, readers: number) {
    this.counts = Array.from({ length: readers }, () => 0)
    this.#running = Promise.all(this.counts.map((_, i) => this.#read(sessions, i)))
  }

  async #read(sessions: Sessions, i: number): Promise<void> {
    while (!this.#isOver && this.errors.length < 100) {
      try {
        const rows = await sessions.run(() => sessions.getSession().select().from(items))
        expect(rows).toHaveLength(10)
        this.counts[i] = (this.counts[i] ?? 0) + 1
      } catch (error) {
        this.errors.push(error)
      }
      // The test itself runs in this process, too.
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  /** Resolves when every reader has read some more. */
  async progress(): Promise<void> {
    const from = [...this.counts]
    await waitFor('reads by everybody', () => this.counts.every((n, i) => n > (from[i] ?? 0) + 10))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#running
  }
}

/** Is the node a replica that gets reads, as the sessions see it? */
const stateOf = (sessions: Sessions, name: string): string | undefined =>
  sessions.snapshot().nodes.find((node) => node.name === name)?.state

describe.each(Object.keys(drivers) as (keyof typeof drivers)[])('getSession() on %s', (driver) => {
  it('meets no error while replicas are killed ten times', async () => {
    const sessions = start(driver)
    await sessions.ready
    const readers = new Readers(sessions, 16)
    try {
      for (let killed = 0; killed < 10; killed++) {
        const node = replica(killed % 2)
        const name = new URL(node.url).host
        await waitFor('load on it', async () => {
          const rows = await node.query(
            `SELECT 1 FROM pg_stat_activity WHERE query LIKE 'select "id" from "item"%'`,
          )
          return rows.length > 0
        })
        await node.kill()
        await readers.progress()
        await waitFor('its end to be known', () => stateOf(sessions, name) !== 'up')
        await node.start()
        await waitFor('it to be back', () => stateOf(sessions, name) === 'up')
      }
    } finally {
      await readers.stop()
      await sessions.close()
    }
    expect(readers.errors).toEqual([])
  })

  it('reads on while a replica is frozen', async () => {
    const sessions = start(driver)
    await sessions.ready
    const readers = new Readers(sessions, 16)
    try {
      await readers.progress()
      replica(0).freeze()
      await readers.progress()
    } finally {
      replica(0).thaw()
      await readers.stop()
      await sessions.close()
    }
    expect(readers.errors).toEqual([])
  })
})

it('goes on with the promoted node when the primary is killed: no error but of what was in flight, nothing lost', async () => {
  const sessions = start('node-postgres')
  await sessions.ready
  const readers = new Readers(sessions, 8)
  const acknowledged: { readonly writer: number; readonly n: number }[] = []
  const refused: unknown[] = []
  let isOver = false
  const writing = Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      for (let n = 1; !isOver; n++) {
        try {
          const db = sessions.getSession(true)
          if (n % 2 === 0) await db.insert(journal).values({ writer, n })
          else await db.transaction((tx) => tx.insert(journal).values({ writer, n }))
          acknowledged.push({ writer, n })
        } catch (error) {
          refused.push(error instanceof Error ? error.cause : error)
        }
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    }),
  )
  const written = async (): Promise<void> => {
    const from = acknowledged.length
    await waitFor('writes', () => acknowledged.length > from + 40)
  }
  const old = cluster.primary
  try {
    await written()
    await old.kill()
    await readers.progress()
    // Whoever is further has all that was acknowledged: one of both had to confirm it.
    const [one, other] = await Promise.all(
      [replica(0), replica(1)].map(async (node) => {
        const [row] = await node.query('SELECT pg_last_wal_receive_lsn() - $1::pg_lsn AS at', [
          '0/0',
        ])
        return { node, at: BigInt(String(row?.at)) }
      }),
    )
    if (one === undefined || other === undefined) throw new Error('there are two replicas')
    await cluster.failover(one.at >= other.at ? one.node : other.node)
    await written()
    await readers.progress()
  } finally {
    isOver = true
    await writing
    await readers.stop()
    await sessions.close()
  }
  expect(readers.errors).toEqual([])
  // One statement of each writer may have been under way.
  for (const error of refused)
    expect(error).toMatchObject({ code: expect.stringMatching(/^0800[67]$/) })
  expect(refused.length).toBeLessThanOrEqual(8)
  const found = await cluster.primary.query('SELECT writer, n FROM journal', [], 'shop')
  const keys = found.map(({ writer, n }) => `${writer}/${n}`)
  expect(new Set(keys).size).toBe(keys.length)
  expect(acknowledged.filter(({ writer, n }) => !keys.includes(`${writer}/${n}`))).toEqual([])
})
