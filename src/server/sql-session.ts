import { PgSplitError } from '../errors.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import { query, textQuery } from '../wire/frontend-messages.ts'
import type { TextAnswer } from './answer-receiver.ts'
import { askText } from './ask.ts'
import type { ServerLogin } from './connect.ts'
import { ServerConnection } from './server-connection.ts'

export interface SqlSessionOptions {
  /** A question that takes longer ends the session, ms; 0 = never. */
  readonly timeoutMs: number
  /** Called once when the session is over without `end`. */
  readonly onLost?: (error: Error) => void
}

/** How long the server may take to close, ms. */
const goodbyeMs = 250

/**
 * pgsplit's own questions to a server, on a connection of their own. Errors are PgSplitError with
 * the server's SQLSTATE, 08006 for a connection that is gone.
 */
export class SqlSession {
  readonly #connection: ServerConnection
  readonly #timeoutMs: number
  #loss: Error | null = null
  #isEnded = false

  /** Takes over what `connectServer` has opened. */
  constructor(login: ServerLogin, options: SqlSessionOptions) {
    const lost = (_: ServerConnection, error: Error, fatal: ErrorFields | null): void => {
      const sqlstate = fatal?.sqlstate ?? '08006'
      this.#loss = new PgSplitError({ sqlstate, message: error.message }, error)
      if (!this.#isEnded) options.onLost?.(this.#loss)
    }
    this.#timeoutMs = options.timeoutMs
    this.#connection = new ServerConnection(
      { ...login, nodeIndex: -1, nodeId: '' },
      { onQuiet: () => {}, onLost: lost, onStrayNotice: () => {} },
      performance.now(),
    )
    login.link.offer(login.leftover)
    login.link.resume()
  }

  get isClosed(): boolean {
    return this.#connection.isClosed
  }

  /** With `values` the text has one statement, in which `$1` is the first of them. */
  async ask(text: string, values?: readonly (string | null)[]): Promise<TextAnswer> {
    const connection = this.#connection
    if (connection.isClosed) throw this.#loss ?? closed()
    const message = values === undefined ? query(text) : textQuery(text, values)
    const { promise, resolve, reject } = Promise.withResolvers<TextAnswer>()
    const timer =
      this.#timeoutMs > 0 ? setTimeout(() => this.#giveUp(reject), this.#timeoutMs) : undefined
    askText(connection, message).then(resolve, (error) =>
      reject(error instanceof PgSplitError ? error : (this.#loss ?? error)),
    )
    try {
      return await promise
    } finally {
      clearTimeout(timer)
    }
  }

  /** Rows as objects, by the names of their columns. */
  async query(
    text: string,
    values?: readonly (string | null)[],
  ): Promise<{ readonly rows: readonly Readonly<Record<string, string | null>>[] }> {
    const { columns, rows } = await this.ask(text, values)
    return {
      rows: rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i] ?? null]))),
    }
  }

  #giveUp(reject: (error: Error) => void): void {
    const message = `no answer within ${this.#timeoutMs} ms`
    const error = new PgSplitError({ sqlstate: '57014', message })
    reject(error)
    this.#connection.destroy(error)
  }

  /** Says goodbye if nothing runs, and closes; may be called twice. Who still waits is rejected. */
  end(): void {
    const connection = this.#connection
    if (this.#isEnded) return
    this.#isEnded = true
    if (connection.queue.size > 0) connection.destroy(closed())
    else connection.close()
    // A hung server never answers the goodbye.
    setTimeout(() => connection.link.destroy(), goodbyeMs).unref()
  }
}

function closed(): PgSplitError {
  return new PgSplitError({ sqlstate: '08003', message: 'the connection is closed' })
}
