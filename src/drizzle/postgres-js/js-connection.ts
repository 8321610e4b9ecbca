import type { Socket } from 'node:net'
import postgres from 'postgres'
import type { NodeTarget } from '../driver-pool.ts'
import { type ArrayType, addArrayTypes, arrayTypesSql } from './array-types.ts'
import { dialNode } from './dial-node.ts'
import { fatalIn } from './fatal-in.ts'

/** How one statement is run; as the third parameter of `sql.unsafe`. */
export interface RunOptions {
  readonly prepare?: boolean
}

/** What every connection shares: the application's options, and how values are read and written. */
export interface JsSettings {
  readonly client: PostgresJsOptions
  readonly parsers: postgres.ParsedOptions['parsers']
  readonly serializers: postgres.ParsedOptions['serializers']
}

/** What an application may set of its connections; where they go and their bounds are pgsplit's. */
export type PostgresJsOptions = Pick<
  postgres.Options<Record<string, postgres.PostgresType>>,
  | 'connection'
  | 'debug'
  | 'fetch_types'
  | 'keep_alive'
  | 'onnotice'
  | 'onparameter'
  | 'prepare'
  | 'transform'
  | 'types'
>

/**
 * One connection to a server: a postgres.js instance of its own over a socket that is dialled here.
 * An instance with a pool opens another connection when one is lost, also in the middle of a
 * transaction; this one never does, and every statement on it ends when its socket does.
 */
export class JsConnection {
  readonly #sql: postgres.Sql
  readonly #socket: Socket
  readonly #running = new Set<(error: Error) => void>()
  #isLost = false
  /** What the server has said last when nothing ran: postgres.js hears it and tells nobody. */
  lastWord: Error | null = null

  private constructor(
    socket: Socket,
    target: NodeTarget,
    settings: JsSettings,
    onLost: () => void,
  ) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      if (this.#running.size === 0) this.lastWord ??= fatalIn(chunk)
    })
    socket.on('error', () => this.#lose())
    socket.on('end', () => this.#lose())
    socket.on('close', () => {
      this.#lose()
      // What postgres.js itself says of it comes first.
      setImmediate(() => {
        for (const reject of [...this.#running]) reject(connectionClosed())
        onLost()
      })
    })
    this.#sql = instance(socket, target, settings)
  }

  /** Rejects with the system's or the server's error, or CONNECT_TIMEOUT. */
  static async open(
    target: NodeTarget,
    settings: JsSettings,
    timeoutMs: number,
    onLost: () => void,
  ): Promise<JsConnection> {
    const endMs = performance.now() + timeoutMs
    const socket = await dialNode(target, timeoutMs)
    const connection = new JsConnection(socket, target, settings, onLost)
    const timer = setTimeout(() => socket.destroy(), Math.max(1, endMs - performance.now()))
    try {
      // When it is answered the log-in is done.
      const isAsked = settings.client.fetch_types !== false
      const types = await connection.run(isAsked ? arrayTypesSql : '', [], {}, true)
      addArrayTypes(connection.#sql.options, types as unknown as Iterable<ArrayType>)
      return connection
    } catch (error) {
      socket.destroy()
      if (performance.now() < endMs) throw error
      throw Object.assign(new Error(`log-in to ${target.host} timed out`, { cause: error }), {
        code: 'CONNECT_TIMEOUT',
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /** Runs one text. `isArrays`: rows as arrays in place of objects. Rejects with postgres.js' errors. */
  run(
    text: string,
    params: readonly unknown[],
    options: RunOptions,
    isArrays: boolean,
  ): Promise<postgres.RowList<postgres.Row[]>> {
    if (this.#isLost || this.#socket.destroyed) return Promise.reject(connectionClosed())
    return new Promise((resolve, reject) => {
      this.#running.add(reject)
      const query = this.#sql.unsafe(text, [...params] as never[], options)
      const rows = isArrays ? query.values() : query
      const done = (): unknown => this.#running.delete(reject)
      rows.then(
        (result) => {
          done()
          resolve(result as postgres.RowList<postgres.Row[]>)
        },
        (error: unknown) => {
          done()
          reject(error)
        },
      )
    })
  }

  /** Closes in order. */
  end(): void {
    if (this.#isLost) return
    // Its own end() would wait for a lost connection to come back.
    this.#sql.end({ timeout: 1 }).then(
      () => this.#socket.destroySoon(),
      () => this.#socket.destroy(),
    )
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #lose(): void {
    this.#isLost = true
  }
}

function instance(
  socket: Socket,
  { host, port, user, password, database, settings = [] }: NodeTarget,
  { client, parsers, serializers }: JsSettings,
): postgres.Sql {
  let isUsed = false
  const options = {
    ...client,
    host,
    port,
    user,
    database,
    // A function: an empty string would make postgres.js look into the environment.
    password: () => password ?? '',
    connection: {
      ...Object.fromEntries(settings),
      ...client.connection,
      // Texts are judged as they read with these settings, whatever a role's default is.
      client_encoding: 'UTF8',
      standard_conforming_strings: 'on',
    },
    ssl: false,
    max: 1,
    // It has no handler for the failure of that question.
    fetch_types: false,
    // Time limits are the pool's.
    idle_timeout: 0,
    max_lifetime: 0,
    connect_timeout: 0,
    // It is dialled once; a lost connection stays lost.
    socket: () => {
      if (isUsed) throw connectionClosed()
      isUsed = true
      return socket
    },
  }
  const sql = postgres(options as postgres.Options<Record<string, postgres.PostgresType>>)
  Object.assign(sql.options.parsers, parsers)
  Object.assign(sql.options.serializers, serializers)
  return sql as postgres.Sql
}

function connectionClosed(): Error {
  return Object.assign(new Error('Connection terminated: the server has closed it'), {
    code: 'CONNECTION_CLOSED',
  })
}
