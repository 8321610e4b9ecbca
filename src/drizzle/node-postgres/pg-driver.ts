import pg from 'pg'
import { noFree } from '../door-error.ts'
import type { Driver, DriverPool, DriverPoolOptions, NodeTarget } from '../driver-pool.ts'

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

/** node-postgres: a `pg.Pool` for each node. */
export function pgDriver(client: PgClientOptions): Driver<pg.PoolClient> {
  return {
    open: (target, options) => openPool(target, options, client),
    command: (connection, text) => connection.query(text),
  }
}

function openPool(
  target: NodeTarget,
  options: DriverPoolOptions,
  client: PgClientOptions,
): DriverPool<pg.PoolClient> {
  const { password, ...where } = target
  const { size, checkoutTimeoutMs, idleTimeoutMs, maxLifetimeMs } = options
  const pool = new pg.Pool({
    keepAlive: true,
    ...client,
    ...where,
    // A function: an empty string would make pg look into the environment and ~/.pgpass.
    password: () => password ?? '',
    // Texts are judged as they read with this setting, whatever a role's default is.
    options: [client.options, '-c standard_conforming_strings=on'].filter(Boolean).join(' '),
    max: size,
    connectionTimeoutMillis: checkoutTimeoutMs,
    idleTimeoutMillis: idleTimeoutMs,
    maxLifetimeSeconds: maxLifetimeMs / 1000,
  })
  // An idle connection that is lost is replaced; without a listener it would end the process.
  pool.on('error', () => {})
  // So would one that is in use and waits for its application, as in a transaction.
  pool.on('connect', (connection) => connection.on('error', () => {}))
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

function streamOf(connection: pg.PoolClient): { destroy(): void } | undefined {
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
