import { credential, noCredential } from '../auth/credential.ts'
import type { NodeConfig } from '../config/config.ts'
import { PgSplitError } from '../errors.ts'
import type { ServerTls } from '../net/tls-options.ts'
import { connectServer } from '../server/connect.ts'
import type { ReplyReceiver } from '../server/reply-queue.ts'
import { ServerConnection } from '../server/server-connection.ts'
import type { OpenProbe } from '../topology/probe-connection.ts'
import { Cursor } from '../wire/cursor.ts'
import { decodeErrorFields } from '../wire/error-fields.ts'
import { query } from '../wire/frontend-messages.ts'
import { backend } from '../wire/message-types.ts'

/** How long connecting may take, ms; who asked gives up by its own signal. */
const connectTimeoutMs = 5_000

type Row = readonly (string | null)[]

/**
 * Connections for questions about positions, as the monitor's role. They are asked hundreds of times
 * a second while sessions wait, so they are what clients' requests run on: one prepared message out,
 * one row in.
 */
export function positionOpener(
  nodeOf: (index: number) => { readonly node: NodeConfig; readonly tls: ServerTls } | undefined,
  nowMs: () => number,
): OpenProbe {
  return async (spec, { signal, onLost }) => {
    const found = nodeOf(spec.index)
    if (found === undefined) throw new Error(`node ${spec.id} has left the cluster`)
    const { node, tls } = found
    const password = node.login.password?.reveal()
    const login = await connectServer({
      target: { host: node.host, port: node.port },
      user: node.login.user,
      database: node.login.database,
      credential:
        password === undefined ? noCredential : credential({ kind: 'password', password }),
      tls,
      timeoutMs: connectTimeoutMs,
      allowCleartext: true,
      parameters: [
        ['application_name', 'pgsplit-monitor'],
        // Role defaults must not break it: a standby refuses serializable for every statement.
        ['options', '-c default_transaction_isolation=read\\ committed -c statement_timeout=10s'],
      ],
    })
    const facts = { ...login, nodeIndex: spec.index, nodeId: spec.id }
    const connection = new ServerConnection(
      facts,
      { onQuiet: () => {}, onLost: () => onLost(), onStrayNotice: () => {} },
      nowMs(),
    )
    const close = (): void => connection.destroy(new Error('closed by pgsplit'))
    if (signal.aborted) {
      close()
      throw new Error('nobody waits for the connection any more')
    }
    if (login.leftover.length > 0) login.link.onChunk(login.leftover)
    login.link.resume()
    const messages = new Map<string, Buffer>()
    return {
      query: (sql) =>
        new Promise<Row>((resolve, reject) => {
          let message = messages.get(sql)
          if (message === undefined) {
            message = Buffer.from(query(sql))
            messages.set(sql, message)
          }
          connection.request(message, 0, message.length, new RowReceiver(resolve, reject))
        }),
      close,
    }
  }
}

/** Reads the one row of an answer. */
class RowReceiver implements ReplyReceiver {
  readonly #resolve: (row: Row) => void
  readonly #reject: (error: Error) => void
  #row: (string | null)[] | null = null
  #error: Error | null = null

  constructor(resolve: (row: Row) => void, reject: (error: Error) => void) {
    this.#resolve = resolve
    this.#reject = reject
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    if (type === backend.dataRow && this.#row === null) {
      const cursor = new Cursor(buffer, start + 5, end)
      this.#row = []
      for (let left = cursor.uint16(); left > 0; left--) {
        const length = cursor.int32()
        this.#row.push(length < 0 ? null : cursor.bytes(length).toString('latin1'))
      }
    } else if (type === backend.errorResponse) {
      const { sqlstate, message } = decodeErrorFields(buffer, start + 5, end)
      this.#error = new PgSplitError({ sqlstate, message })
    }
  }

  onPart(): void {}
  onChunkEnd(): void {}

  onReady(): void {
    if (this.#error !== null) this.#reject(this.#error)
    else if (this.#row === null) this.#reject(new Error('a question was answered without a row'))
    else this.#resolve(this.#row)
  }

  onLost(error: Error): void {
    this.#reject(error)
  }
}
