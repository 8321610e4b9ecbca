import pg from 'pg'
import type { Connector } from '../connection-pool.ts'
import { noFree } from '../door-error.ts'
import type { Driver, DriverPool, DriverPoolOptions, NodeTarget } from '../driver-pool.ts'
import { assertClientOptions } from '../option-names.ts'
import type { ProxyDriver } from '../proxy/lines.ts'
import { BoundClient } from './bound-client.ts'

/** What an application may set of its connections; where they go and their bounds are pgsplit's. */
export type PgClientOptions = Omit<
  pg.PoolConfig,
  | 'host'
  | 'port'
  | 'user'
  | 'password'
  | 'database'
  | 'ssl'
  | 'connectionString'
  | 'max'
  | 'min'
  | 'idleTimeoutMillis'
  | 'maxLifetimeSeconds'
  | 'connectionTimeoutMillis'
  | 'stream'
>

const byUrl = 'the URLs say where and as whom'

/** What `PgClientOptions` leaves out, and where it is said. */
const taken = {
  host: byUrl,
  port: byUrl,
  user: byUrl,
  password: byUrl,
  database: byUrl,
  connectionString: byUrl,
  stream: byUrl,
  ssl: 'say it under tls',
  max: 'say pool.size',
  min: 'pgsplit keeps none open that nobody uses',
  idleTimeoutMillis: 'say pool.idleTimeout',
  maxLifetimeSeconds: 'say pool.maxLifetime',
  connectionTimeoutMillis: 'say pool.checkoutTimeout',
} satisfies Record<Exclude<keyof pg.PoolConfig, keyof PgClientOptions>, string>

/** What was heard first of the end of a connection on which nothing ran. */
const lastWords = new WeakMap<object, Error>()

/** node-postgres: a `pg.Pool` for each node, or single clients for a proxy. */
export function pgDriver(
  client: PgClientOptions,
): Driver<pg.PoolClient> & ProxyDriver<pg.ClientBase> {
  assertClientOptions(client, taken)
  return {
    bindsChannels: true,
    open: (target, options) => openPool(target, options, client),
    connector: (target) => pgConnector(target, client),
    ask: async (connection, text) => {
      const { rows } = await connection.query({ text, rowMode: 'array' })
      return String(rows[0]?.[0] ?? '')
    },
    command: (connection: pg.ClientBase, text: string) => connection.query(text),
    lastWord: (connection) => lastWords.get(connection) ?? null,
  }
}

function openPool(
  target: NodeTarget,
  options: DriverPoolOptions,
  client: PgClientOptions,
): DriverPool<pg.PoolClient> {
  const { size, checkoutTimeoutMs, idleTimeoutMs, maxLifetimeMs } = options
  const pool = new pg.Pool({
    ...clientConfig(target, client),
    ...(target.isBound ? { Client: BoundClient } : {}),
    max: size,
    connectionTimeoutMillis: checkoutTimeoutMs,
    idleTimeoutMillis: idleTimeoutMs,
    maxLifetimeSeconds: maxLifetimeMs / 1000,
  })
  // An idle connection that is lost is replaced; without a listener it would end the process.
  pool.on('error', () => {})
  // So would one that is in use and waits for its application, as in a transaction.
  pool.on('connect', (connection) => {
    connection.on('error', (error) => {
      if (!lastWords.has(connection)) lastWords.set(connection, error)
    })
    options.onLogin?.()
  })
  return {
    checkout: (done) => {
      pool.connect((error, connection) => {
        if (connection !== undefined) done(null, connection)
        else
          done(
            isFull(pool, error)
              ? noFree(`${target.host}:${target.port}`, options, pool.waitingCount, error)
              : error,
            null,
          )
      })
    },
    checkin: (connection, isSpoiled) => connection.release(isSpoiled),
    destroy: (connection) => streamOf(connection)?.destroy(),
    get counts() {
      return { total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }
    },
    end: () => pool.end(),
  }
}

function clientConfig(target: NodeTarget, client: PgClientOptions): pg.ClientConfig {
  const { password, isDirectTls, isBound, keepAliveIdleMs, settings = [], ...where } = target
  const levels = settings.map(([name, value]) => `-c ${name}=${value.replace(/[\\\s]/g, '\\$&')}`)
  return {
    keepAlive: keepAliveIdleMs !== null,
    ...(keepAliveIdleMs == null ? {} : { keepAliveInitialDelayMillis: keepAliveIdleMs }),
    ...client,
    ...where,
    ...(isBound ? { enableChannelBinding: true } : {}),
    ...(isDirectTls ? { sslnegotiation: 'direct' as const } : {}),
    // A function: an empty string would make pg look into the environment and ~/.pgpass.
    password: () => password ?? '',
    // Texts are judged as they read with this setting, whatever a role's default is.
    options: [...levels, client.options, '-c standard_conforming_strings=on']
      .filter(Boolean)
      .join(' '),
  }
}

function pgConnector(target: NodeTarget, client: PgClientOptions): Connector<pg.ClientBase> {
  return {
    open: async (timeoutMs, onLost) => {
      const Client = target.isBound ? BoundClient : pg.Client
      const connection = new Client({
        ...clientConfig(target, client),
        connectionTimeoutMillis: timeoutMs,
      })
      // What runs on it rejects; without a listener a loss would end the process.
      connection.on('error', () => {})
      connection.once('end', onLost)
      try {
        await connection.connect()
        return connection
      } catch (error) {
        connection.end().catch(() => {})
        throw error
      }
    },
    end: (connection) => void (connection as pg.Client).end().catch(() => {}),
    destroy: (connection) => streamOf(connection)?.destroy(),
  }
}

function streamOf(connection: pg.ClientBase): { destroy(): void } | undefined {
  const { connection: inner } = connection as unknown as {
    readonly connection?: { readonly stream?: { destroy(): void } }
  }
  return inner?.stream
}

/** pg-pool's words for "all were in use for too long". */
function isFull(pool: pg.Pool, error: unknown): boolean {
  const isTimeout = error instanceof Error && error.message.startsWith('timeout exceeded')
  return isTimeout && pool.totalCount >= pool.options.max
}
