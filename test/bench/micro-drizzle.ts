/**
 * What `getSession()` costs per query over a bare Drizzle database on the same kind of pool, next to
 * Drizzle's `withReplicas`. The pools are node-postgres' own; their clients answer at once without a
 * server, so that only work in this process is measured. The nodes that are watched are real. Short
 * rounds in turn, and medians of differences, as the machine's speed changes by the second.
 *
 *     node test/bench/micro-drizzle.ts
 */
import { EventEmitter } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text, withReplicas } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { createSessions } from '../../src/drizzle/index.ts'
import { startEmbedded } from '../../src/embedded/start-embedded.ts'

const items = pgTable('item', { id: integer().primaryKey(), name: text() })
const schema = { items }

const answer = { command: 'SELECT', rowCount: 1, oid: 0, fields: [], rows: [[1, 'one']] }

/** Logs in and answers at once. */
class InstantClient extends EventEmitter {
  connect(done: (error: Error | null) => void): void {
    queueMicrotask(() => done(null))
  }

  query(_config: unknown, _values: unknown, done?: (error: null, result: unknown) => void) {
    if (done === undefined) return Promise.resolve(answer)
    queueMicrotask(() => done(null, answer))
    return undefined
  }

  end(done?: () => void): void {
    done?.()
  }
}

const rounds = 60
const perRound = 2_000
const Client = InstantClient as unknown as NonNullable<pg.PoolConfig['Client']>

const cluster = await startEmbedded({ database: 'shop' })
try {
  await cluster.primary.query('CREATE TABLE item (id int PRIMARY KEY, name text)', [], 'shop')
  await cluster.catchUp()
  const sessions = createSessions({
    primary: cluster.primary.urlFor('shop'),
    replicas: cluster.replicas.map((replica) => replica.urlFor('shop')),
    schema,
    client: { Client },
  })
  await sessions.ready
  // As pools of sessions: with a limit for the wait.
  const pool = () => new pg.Pool({ Client, connectionTimeoutMillis: 5_000, max: 20 })
  const bare = drizzle({ client: pool(), schema })
  const replicated = withReplicas(drizzle({ client: pool(), schema }), [
    drizzle({ client: pool(), schema }),
    drizzle({ client: pool(), schema }),
  ])
  const kept = sessions.getSession()
  const contestants = {
    'bare Drizzle': () => bare.select().from(items).where(eq(items.id, 1)),
    'Drizzle withReplicas': () => replicated.select().from(items).where(eq(items.id, 1)),
    'a kept session': () => kept.select().from(items).where(eq(items.id, 1)),
    'getSession() per query': () =>
      sessions.getSession().select().from(items).where(eq(items.id, 1)),
    'getSession(true) per query': () =>
      sessions.getSession(true).select().from(items).where(eq(items.id, 1)),
    'getSession() in run()': () =>
      sessions.run(() => sessions.getSession().select().from(items).where(eq(items.id, 1))),
  }
  const times = new Map<string, number[]>()
  for (let round = -10; round < rounds; round++) {
    for (const [name, run] of Object.entries(contestants)) {
      const before = process.cpuUsage()
      for (let i = 0; i < perRound; i++) {
        await run()
        // Real queries wait for their server: what is known of the nodes comes in meanwhile.
        if (i % 10 === 0) await nextTurn()
      }
      const { user, system } = process.cpuUsage(before)
      if (round >= 0) times.set(name, [...(times.get(name) ?? []), (user + system) / perRound])
    }
  }
  const base = times.get('bare Drizzle') ?? []
  console.log(`CPU of this process per query, median of ${rounds} rounds of ${perRound}, µs`)
  for (const [name, all] of times) {
    const over = all.map((value, i) => value - (base[i] ?? 0))
    console.log(
      `${name.padEnd(28)} ${median(all).toFixed(2)}  over bare ${median(over).toFixed(2)}`,
    )
  }
  await sessions.close()
} finally {
  await cluster.stop()
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
