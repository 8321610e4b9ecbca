import { readFileSync } from 'node:fs'
import { type ServerCluster, sql, startServers } from '../../support/cluster.ts'
import type { Conversation } from '../../support/conversation.ts'
import { hold, type Transcript } from '../../support/conversation-run.ts'
import { startTestProxy } from '../../support/proxy.ts'

const database = 'compare'
const sessions = 8

export interface Comparison {
  readonly direct: ReadonlyMap<string, Transcript>
  /** Rounds of other orders, so that other sessions share a server connection. */
  readonly proxied: readonly ReadonlyMap<string, Transcript>[]
}

/** Holds all conversations with a PostgreSQL server, and through pgsplit with a cluster of three. */
export async function compareAll(talks: readonly Conversation[]): Promise<Comparison> {
  const cluster = await startServers({ settings: { max_wal_size: '4GB', autovacuum: 'off' } })
  try {
    await makeTemplate(cluster, talks)
    await freshDatabase(cluster)
    const direct = await holdAll(cluster, talks, cluster.primary.port)
    const proxied: Map<string, Transcript>[] = []
    for (const seed of [1, 2]) {
      await freshDatabase(cluster)
      const proxy = await startTestProxy(cluster, {
        pool: { size: 2, checkoutTimeout: '20s' },
        // One session's commit is another's to see, at once, as on one server.
        routing: { consistency: 'shared' },
      })
      try {
        proxied.push(await holdAll(cluster, shuffled(talks, seed), proxy.port))
      } finally {
        await proxy.stop()
      }
    }
    return { direct, proxied }
  } finally {
    await cluster.stop()
  }
}

/** One database for direct runs and one for each round, alike down to the OIDs of their tables. */
async function makeTemplate(cluster: ServerCluster, talks: readonly Conversation[]): Promise<void> {
  await sql(cluster.primary.urlFor('postgres'), 'CREATE ROLE compare_reader NOLOGIN')
  await sql(cluster.primary.urlFor('postgres'), 'CREATE DATABASE compare_template')
  const url = cluster.primary.urlFor('compare_template')
  await sql(url, readFileSync(new URL('./fixture.sql', import.meta.url), 'utf8'))
  for (const { fixture } of talks) if (fixture !== undefined) await sql(url, fixture)
  await sql(url, 'VACUUM ANALYZE')
}

async function freshDatabase(cluster: ServerCluster): Promise<void> {
  const url = cluster.primary.urlFor('postgres')
  const left = await sql<{ gid: string }>(url, 'SELECT gid FROM pg_prepared_xacts')
  for (const { gid } of left)
    await sql(cluster.primary.urlFor(database), `ROLLBACK PREPARED '${gid}'`)
  await sql(url, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
  await sql(url, `CREATE DATABASE ${database} TEMPLATE compare_template STRATEGY file_copy`)
  await cluster.catchUp()
}

/** Holds the conversations, eight at a time. */
async function holdAll(
  cluster: ServerCluster,
  list: readonly Conversation[],
  port: number,
): Promise<Map<string, Transcript>> {
  const found = new Map<string, Transcript>()
  const login = { port, user: 'postgres', password: cluster.password, database }
  let next = 0
  let turn: Promise<unknown> = Promise.resolve()
  const work = async (): Promise<void> => {
    for (let talk = list[next++]; talk !== undefined; talk = list[next++]) {
      const current = talk
      // Two clients of one conversation need both server connections: one such at a time.
      const isPair = current.turns.some(({ client }) => client > 0)
      const held = isPair ? turn.then(() => hold(current, login)) : hold(current, login)
      if (isPair) turn = held
      found.set(current.name, await held)
    }
  }
  await Promise.all(Array.from({ length: sessions }, work))
  return found
}

function shuffled<T>(list: readonly T[], seed: number): T[] {
  const out = [...list]
  let state = seed
  for (let i = out.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    const j = (state >>> 8) % (i + 1)
    const swapped = out[i] as T
    out[i] = out[j] as T
    out[j] = swapped
  }
  return out
}
