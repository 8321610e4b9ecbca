import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../../src/drizzle/index.ts'
import { createSessions as createJsSessions } from '../../../src/drizzle/postgres-js/index.ts'
import { type ServerCluster, startServers, waitFor } from '../../support/cluster.ts'

let cluster: ServerCluster

const pool = { size: 3, checkoutTimeout: '60s' } as const
const nodes = (checkoutTimeout: string = pool.checkoutTimeout) => ({
  primary: cluster.primary.urlFor('shop'),
  replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
  pool: { ...pool, checkoutTimeout },
})
const startPg = (checkoutTimeout?: string) => createSessions(nodes(checkoutTimeout))
type Sessions = ReturnType<typeof startPg>

const ways = [
  { name: 'node-postgres', start: startPg },
  {
    name: 'postgres.js',
    start: (checkoutTimeout?: string) =>
      createJsSessions(nodes(checkoutTimeout)) as unknown as Sessions,
  },
]

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    `CREATE TABLE item AS SELECT 1 AS id;
     CREATE FUNCTION which_server() RETURNS int LANGUAGE plpgsql STABLE AS
       $$BEGIN RETURN current_setting('port')::int; END$$`,
    [],
    'shop',
  )
  await cluster.catchUp()
})
afterAll(() => cluster?.stop())

const text = sql`SELECT which_server() AS port, count(*) FROM item GROUP BY 1`

/** The port of the server that ran it. */
function portOf(result: unknown): number {
  const rows = (result as { rows?: unknown[] }).rows ?? (result as unknown[])
  return Number((rows[0] as { port: unknown }).port)
}

/** Transactions of read sessions that are open until told to end, and where each of them is. */
class Holders {
  readonly ports: number[] = []
  readonly #over = Promise.withResolvers<void>()
  readonly #running: Promise<unknown>[] = []
  readonly #sessions: Sessions

  constructor(sessions: Sessions) {
    this.#sessions = sessions
  }

  async add(): Promise<void> {
    const begun = Promise.withResolvers<void>()
    const running = this.#sessions.getSession(false).transaction(async (tx) => {
      this.ports.push(portOf(await tx.execute(text)))
      begun.resolve()
      await this.#over.promise
    })
    this.#running.push(running)
    await Promise.race([begun.promise, running])
  }

  async end(): Promise<void> {
    this.#over.resolve()
    await Promise.all(this.#running)
  }
}

describe.each(ways)('the in-process door with $name', ({ start }) => {
  it('gives reads the next node that has a connection, and keeps some for writes', async () => {
    const sessions = start()
    const holders = new Holders(sessions)
    try {
      await waitFor('both replicas', async () => {
        const found = sessions.snapshot().nodes.filter(({ state }) => state === 'up')
        return found.length === 3
      })
      // Three on each replica, and two on the primary, where a third is kept for writes.
      for (let i = 0; i < 8; i++) await holders.add()
      const count = (port: number): number => holders.ports.filter((one) => one === port).length
      const [r1, r2] = cluster.replicas
      expect([count(r1?.port ?? 0), count(r2?.port ?? 0), count(cluster.primary.port)]).toEqual([
        3, 3, 2,
      ])
      await sessions.getSession(true).execute(sql`UPDATE item SET id = id`)
      // One more waits where it may run, and is served when one of them ends.
      let isServed = false
      const waiting = Promise.resolve(sessions.getSession(false).execute(text)).then(() => {
        isServed = true
      })
      await waitFor('it to wait', () =>
        sessions.snapshot().nodes.some(({ waiting: here }) => here > 0),
      )
      await sessions.getSession(true).execute(sql`UPDATE item SET id = id`)
      expect(isServed).toBe(false)
      await holders.end()
      await waiting
    } finally {
      await holders.end()
      await sessions.close()
    }
  })

  it('refuses a read with 53300 when all that it may have is taken', async () => {
    const sessions = start('300ms')
    const holders = new Holders(sessions)
    try {
      for (let i = 0; i < 8; i++) await holders.add()
      const error = await Promise.resolve(sessions.getSession(false).execute(text)).catch(
        (reason: { cause?: unknown }) => reason.cause ?? reason,
      )
      expect(error).toMatchObject({ code: '53300' })
      await sessions.getSession(true).execute(sql`UPDATE item SET id = id`)
    } finally {
      await holders.end()
      await sessions.close()
    }
  })
})
