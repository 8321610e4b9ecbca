import pg from 'pg'
import type { Door, SessionMode } from '../door.ts'

type Query = (connection: pg.PoolClient) => Promise<pg.QueryResult>

/**
 * What Drizzle takes for a `pg.Pool`: each query goes where it belongs when it runs, and `connect()`
 * gives a transaction.
 */
export class SessionPool<Context> {
  readonly #door: Door<pg.PoolClient, Context>
  readonly #mode: SessionMode
  readonly #context: () => Context

  constructor(door: Door<pg.PoolClient, Context>, mode: SessionMode, context: () => Context) {
    this.#door = door
    this.#mode = mode
    this.#context = context
  }

  query(config: string | pg.QueryConfig, values?: unknown[]): Promise<pg.QueryResult> {
    return this.#door.query(this.#mode, this.#context(), textOf(config), queryOf(config, values))
  }

  async connect(): Promise<{
    query(config: string | pg.QueryConfig, values?: unknown[]): Promise<pg.QueryResult>
    release(): void
  }> {
    const transaction = this.#door.begin(this.#mode, this.#context())
    return {
      query: async (config, values) =>
        (await transaction.query(textOf(config), queryOf(config, values))) ?? nothing(),
      release: () => transaction.release(),
    }
  }
}

// Drizzle asks `client instanceof Pool` to know that a transaction needs a connection of its own.
Object.setPrototypeOf(SessionPool.prototype, pg.Pool.prototype)

function textOf(config: string | pg.QueryConfig): string {
  return typeof config === 'string' ? config : config.text
}

function queryOf(config: string | pg.QueryConfig, values: unknown[] | undefined): Query {
  return (connection) => connection.query(config as pg.QueryConfig, values)
}

/** The result of a BEGIN, COMMIT or ROLLBACK for which nothing had to be sent. */
function nothing(): pg.QueryResult {
  return { command: '', rowCount: null, oid: 0, fields: [], rows: [] }
}
