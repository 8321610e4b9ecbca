import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { PgWithReplicas } from 'drizzle-orm/pg-core'
import type pg from 'pg'
import { openDirectDoor } from '../direct/open-direct-door.ts'
import type { DrizzleParts } from '../drizzle-parts.ts'
import type { NodeOptions, SessionBehaviour } from '../session-options.ts'
import type { Sessions } from '../sessions.ts'
import { sessionsOver } from './create-sessions.ts'
import { pgDriver } from './pg-driver.ts'
import { clientOptions, poolAddress } from './pool-address.ts'

/** How the nodes are watched, balanced and pooled; who they are is known from the databases. */
export type ReplicaOptions = Omit<
  NodeOptions,
  'primary' | 'replicas' | 'discovery' | 'login' | 'proxy'
> &
  Pick<SessionBehaviour, 'onEvent'>

/** Drizzle's database with replicas, and the sessions that do its work. */
export type ReplicatedDatabase<Db> = PgWithReplicas<Db> & {
  readonly $sessions: Sessions<Db, Db>
  /** Ends the connections of pgsplit; the pools that were given are the application's own. */
  close(): Promise<void>
}

/** What `drizzle()` gives, as much of it as is needed here; `dialect` and `session` are internal there. */
interface Parts {
  readonly $client: unknown
  readonly _: { readonly schema: unknown }
  readonly dialect: DrizzleParts<Record<string, unknown>>['dialect']
  readonly session: { readonly options: DrizzleParts<Record<string, unknown>>['options'] }
}

type Database = NodePgDatabase<Record<string, unknown>>

/**
 * In place of Drizzle's `withReplicas`, with the same arguments: databases over pools of
 * node-postgres, the primary's first. What is proved to be a read goes to the best replica, all
 * else to the primary. The application's pools only say where the nodes are; `getReplica` is taken and
 * not called, as the replica is chosen when a statement runs. Throws ConfigError for a database
 * whose pool can't be understood.
 */
export function withReplicas<Db extends { readonly $client: unknown }>(
  primary: Db,
  replicas: [Db, ...Db[]],
  getReplica?: ((replicas: Db[]) => Db) | ReplicaOptions,
  options: ReplicaOptions = typeof getReplica === 'object' ? getReplica : {},
): ReplicatedDatabase<Db> {
  const hasTls = options.tls !== undefined
  const primaryUrl = poolAddress(primary.$client, 'primary', hasTls)
  const pool = primary.$client as pg.Pool
  const nodes = {
    primary: primaryUrl,
    replicas: replicas.map(({ $client }, i) => poolAddress($client, `replicas[${i}]`, hasTls)),
    ...options,
    pool: { size: pool.options.max, ...options.pool },
    onWriteInReadSession: 'primary',
  } as const
  const door = openDirectDoor(nodes, pgDriver(clientOptions(pool)))
  const { _: config, dialect, session } = primary as unknown as Parts
  const parts = {
    dialect,
    schema: config.schema === undefined ? undefined : config,
    options: session.options,
  } as DrizzleParts<Record<string, unknown>>
  const sessions = sessionsOver<never, Record<string, unknown>, 'primary'>(door as never, parts)
  const read: Database = sessions.getSession()
  const write: Database = sessions.getSession(true)
  const database = {
    ...primary,
    select: read.select.bind(read),
    selectDistinct: read.selectDistinct.bind(read),
    selectDistinctOn: read.selectDistinctOn.bind(read),
    $count: read.$count.bind(read),
    $with: read.$with.bind(read),
    with: read.with.bind(read),
    query: read.query,
    insert: write.insert.bind(write),
    update: write.update.bind(write),
    delete: write.delete.bind(write),
    execute: write.execute.bind(write),
    transaction: write.transaction.bind(write),
    refreshMaterializedView: write.refreshMaterializedView.bind(write),
    $primary: primary,
    $replicas: replicas,
    $sessions: sessions,
    close: () => sessions.close(),
  }
  return database as unknown as ReplicatedDatabase<Db>
}
