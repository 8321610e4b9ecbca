import { ConfigError } from '../errors.ts'
import { hasRelations } from './database-mold.ts'
import type { WithReplica } from './installed-drizzle.ts'
import type { NodeOptions, SessionBehaviour } from './session-options.ts'
import type { Sessions } from './sessions.ts'

/** How the nodes are watched, balanced and pooled; who they are is known from the databases. */
export type ReplicaOptions = Omit<
  NodeOptions,
  'primary' | 'replicas' | 'discovery' | 'login' | 'proxy'
> &
  Pick<SessionBehaviour, 'onEvent'>

/** Drizzle's database with replicas, and the sessions that do its work. */
export type ReplicatedDatabase<Db> = Db & {
  readonly $primary: Db
  readonly $replicas: Db[]
  readonly $sessions: Sessions<Db, Db>
  /** Ends the connections of pgsplit; the pools that were given are the application's own. */
  close(): Promise<void>
} & WithReplica<Db>

/** A database with whatever tables. */
export type AnyDatabase = Readonly<
  Record<(typeof reads)[number] | (typeof writes)[number], Method>
> & {
  readonly query: object
}
type Method = (...args: never[]) => unknown

const reads = ['select', 'selectDistinct', 'selectDistinctOn', '$count', '$with', 'with'] as const
const writes = [
  'insert',
  'update',
  'delete',
  'execute',
  'transaction',
  'refreshMaterializedView',
] as const

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

/** The database that takes the place of `primary` and `replicas`, whose work `sessions` does. */
export function replicated<Db>(
  primary: Db,
  replicas: readonly Db[],
  sessions: Sessions<AnyDatabase, AnyDatabase>,
): ReplicatedDatabase<Db> {
  const read = sessions.getSession()
  const write = sessions.getSession(true)
  const common = {
    $primary: primary,
    $replicas: replicas,
    $sessions: sessions,
    close: () => sessions.close(),
  }
  // Drizzle 1.0 reads from a replica where the application says so.
  const database = hasRelations(primary as object)
    ? { ...common, ...bound(write, [...reads, ...writes]), query: write.query, $replica: read }
    : { ...common, ...bound(read, reads), query: read.query, ...bound(write, writes) }
  return { ...primary, ...database } as unknown as ReplicatedDatabase<Db>
}

function bound(database: AnyDatabase, names: readonly (keyof AnyDatabase)[]): object {
  const method = (name: keyof AnyDatabase): unknown => (database[name] as Method).bind(database)
  return Object.fromEntries(names.map((name) => [name, method(name)]))
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
