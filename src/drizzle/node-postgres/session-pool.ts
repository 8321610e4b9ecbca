import pg from 'pg'
import type { Door, Run, SessionMode } from '../door.ts'

type Query = Run<pg.ClientBase, pg.QueryResult>

/**
 * What Drizzle takes for a `pg.Pool`: each query goes where it belongs when it runs, and `connect()`
 * gives a transaction.
 */
export class SessionPool<Context> {
  readonly #door: Door<pg.ClientBase, Context>
  readonly #mode: SessionMode
  readonly #context: () => Context

  constructor(door: Door<pg.ClientBase, Context>, mode: SessionMode, context: () => Context) {
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
    on(): void
    off(): void
  }> {
    const transaction = this.#door.begin(this.#mode, this.#context())
    return {
      query: async (config, values) =>
        (await transaction.query(textOf(config), queryOf(config, values))) ?? nothing(),
      release: () => transaction.release(),
      // What goes wrong with a connection is told by what runs on it.
      on: () => {},
      off: () => {},
    }
  }
}

// Drizzle asks `client instanceof Pool` to know that a transaction needs a connection of its own.
Object.setPrototypeOf(SessionPool.prototype, pg.Pool.prototype)

function textOf(config: string | pg.QueryConfig): string {
  return typeof config === 'string' ? config : config.text
}

function queryOf(config: string | pg.QueryConfig, values: unknown[] | undefined): Query {
  return (connection, hint = '') =>
    // Its own promise would come with a second one, for the stack of errors.
    new Promise((resolve, reject) => {
      const query = (hint === '' ? config : hinted(config, hint)) as string
      connection.query(query, values as unknown[], (error: Error | null, result) =>
        error ? reject(error) : resolve(result),
      )
    })
}

/** A prepared statement of another text needs another name. */
function hinted(config: string | pg.QueryConfig, hint: string): string | pg.QueryConfig {
  if (typeof config === 'string') return hint + config
  const { name, text } = config
  return {
    ...config,
    text: hint + text,
    ...(name === undefined ? {} : { name: `${name}@primary` }),
  }
}

/** The result of a BEGIN, COMMIT or ROLLBACK for which nothing had to be sent. */
function nothing(): pg.QueryResult {
  return { command: '', rowCount: null, oid: 0, fields: [], rows: [] }
}
