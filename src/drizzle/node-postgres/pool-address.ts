import pg from 'pg'
import { ConfigError } from '../../errors.ts'
import { conninfo, tlsParts } from '../replicated.ts'
import type { PgClientOptions } from './pg-driver.ts'

/** What `pg` has made of a pool's options, its environment included. */
interface Resolved {
  readonly host: string
  readonly port: number
  readonly user: string | undefined
  readonly database: string | undefined
  readonly password: unknown
  readonly ssl: unknown
}

/** The pool under a database. Throws ConfigError at `path` for anything else. */
export function poolOf(client: unknown, path: string): pg.Pool {
  if (client instanceof pg.Pool) return client
  throw new ConfigError(path, 'was not made over a pg.Pool; use createSessions with URLs')
}

/**
 * The connection string of the node that a `pg.Pool` goes to. Throws ConfigError at `path` for what
 * a connection string can't say; `hasTls`: the application says itself how TLS is done.
 */
export function poolAddress(client: unknown, path: string, hasTls: boolean): string {
  const { options } = poolOf(client, path)
  // It never connects.
  const made = new pg.Client(options) as unknown as Resolved
  const { host, port, user, database } = made
  // `pg` hides it from enumeration only.
  const password = options.password ?? made.password
  if (typeof password === 'function') {
    throw new ConfigError(path, 'has a password function; use createSessions with URLs')
  }
  return conninfo([
    ['host', host],
    ['port', port],
    ['user', user],
    ['password', password],
    ['dbname', database],
    ...(hasTls ? [] : tlsParts(made.ssl, path)),
  ])
}

const own = new Set([
  'host',
  'port',
  'user',
  'password',
  'database',
  'ssl',
  'connectionString',
  'max',
  'min',
  'maxUses',
  'idleTimeoutMillis',
  'maxLifetimeSeconds',
  'connectionTimeoutMillis',
  'stream',
  'Client',
  'Promise',
  'log',
])

/** The options of its connections, but for where they go and for the bounds of the pool. */
export function clientOptions({ options }: pg.Pool): PgClientOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !own.has(name)))
}
