import type { PgDatabase, PgQueryResultHKT, PgWithReplicas } from 'drizzle-orm/pg-core'
import { ConfigError } from '../errors.ts'
import type { DrizzleParts } from './drizzle-parts.ts'
import type { NodeOptions, SessionBehaviour } from './session-options.ts'
import type { Sessions } from './sessions.ts'

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

/** A database with whatever schema. */
export type AnyDatabase = PgDatabase<PgQueryResultHKT, Record<string, unknown>>
type AnyParts = DrizzleParts<Record<string, unknown>>

/** What `drizzle()` gives, as much of it as is needed here; `dialect` and `session` are internal there. */
interface Internals {
  readonly _: { readonly schema: unknown }
  readonly dialect: AnyParts['dialect']
  readonly session: { readonly options: AnyParts['options'] }
}

/**
 * The nodes behind the databases' clients, and the bounds of pgsplit's pools. `addressOf` gives a
 * client's connection string, or throws ConfigError at its path; `size`: of the primary's own pool.
 */
export function nodesOf<Db extends { readonly $client: unknown }>(
  primary: Db,
  replicas: readonly Db[],
  options: ReplicaOptions,
  addressOf: (client: unknown, path: string, hasTls: boolean) => string,
  size: number,
) {
  const hasTls = options.tls !== undefined
  return {
    primary: addressOf(primary.$client, 'primary', hasTls),
    replicas: replicas.map(({ $client }, i) => addressOf($client, `replicas[${i}]`, hasTls)),
    ...options,
    pool: { size, ...options.pool },
    onWriteInReadSession: 'primary',
  } as const
}

/** Schema, casing, logger and cache of a database. */
export function partsOf(database: unknown): AnyParts {
  const { _: config, dialect, session } = database as Internals
  const schema = config.schema === undefined ? undefined : config
  return { dialect, schema, options: session.options } as AnyParts
}

/** The database that takes the place of `primary` and `replicas`, whose work `sessions` does. */
export function replicated<Db>(
  primary: Db,
  replicas: readonly Db[],
  sessions: Sessions<AnyDatabase, AnyDatabase>,
): ReplicatedDatabase<Db> {
  const read = sessions.getSession()
  const write = sessions.getSession(true)
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

/** libpq's form of a connection string; what has no value is left out. */
export function conninfo(parts: readonly (readonly [name: string, value: unknown])[]): string {
  return parts
    .filter(([, value]) => value !== undefined && value !== null && value !== '')
    .map(([name, value]) => `${name}='${String(value).replace(/['\\]/g, '\\$&')}'`)
    .join(' ')
}

/** What a driver's `ssl` option says. Throws ConfigError for what a connection string can't say. */
export function tlsParts(ssl: unknown, path: string): (readonly [string, string])[] {
  if (ssl === false || ssl === undefined || ssl === null) return [['sslmode', 'disable']]
  const options = ssl === true ? {} : (ssl as { readonly [name: string]: unknown })
  if (options.ca !== undefined || options.cert !== undefined || options.key !== undefined) {
    throw new ConfigError(path, 'has certificates in its ssl option; name their files under tls')
  }
  if (options.rejectUnauthorized === false) return [['sslmode', 'require']]
  return [
    ['sslmode', 'verify-full'],
    ['sslrootcert', 'system'],
  ]
}
