import type postgres from 'postgres'
import { ConfigError } from '../../errors.ts'
import { conninfo, tlsParts } from '../replicated.ts'
import type { PostgresJsOptions } from './js-connection.ts'

/** What postgres.js has made of a client's options, its environment included. */
export type ClientOptions = Omit<postgres.ParsedOptions, 'pass'> & { readonly pass: unknown }

/** The options of a postgres.js client. Throws ConfigError at `path` for anything else. */
export function optionsOf(client: unknown, path: string): ClientOptions {
  const { options } = (client ?? {}) as { readonly options?: Partial<ClientOptions> }
  if (typeof client !== 'function' || !Array.isArray(options?.host)) {
    throw new ConfigError(path, 'was not made over postgres.js; use createSessions with URLs')
  }
  return options as ClientOptions
}

/**
 * The connection string of the node that the client goes to. Throws ConfigError at `path` for what a
 * connection string can't say; `hasTls`: the application says itself how TLS is done.
 */
export function clientAddress(client: unknown, path: string, hasTls: boolean): string {
  const { host, port, path: socket, user, pass, database, ssl } = optionsOf(client, path)
  if (host.length !== 1) {
    throw new ConfigError(path, 'has several hosts; use createSessions with URLs')
  }
  if (typeof pass === 'function') {
    throw new ConfigError(path, 'has a password function; use createSessions with URLs')
  }
  const directory = socket ? String(socket).replace(/\/\.s\.PGSQL\.\d+$/, '') : undefined
  return conninfo([
    ['host', directory ?? host[0]],
    ['port', port[0]],
    ['user', user],
    ['password', pass],
    ['dbname', database],
    ...(hasTls ? [] : sslParts(ssl, path)),
  ])
}

/** Words are sslmodes here, of which only `verify-full` verifies. */
function sslParts(ssl: unknown, path: string): (readonly [string, string])[] {
  if (ssl === 'verify-full') return tlsParts(true, path)
  return typeof ssl === 'string' ? [['sslmode', ssl]] : tlsParts(ssl, path)
}

/** The options of its connections, but for where they go and for the bounds of the pool. */
export function connectionOptions(options: ClientOptions): PostgresJsOptions {
  const { connection, debug, fetch_types, keep_alive, onnotice, onparameter, prepare } = options
  const given = {
    ...{ connection, debug, fetch_types, keep_alive, onnotice, onparameter, prepare },
    transform: options.transform,
    types: options.types,
  }
  const set = Object.entries(given).filter(([, value]) => value !== undefined && value !== null)
  return Object.fromEntries(set) as PostgresJsOptions
}
