import type { ReplyReceiver } from '../server/reply-queue.ts'
import { type ServerConnection, swallow } from '../server/server-connection.ts'
import { decodeErrorFields } from '../wire/error-fields.ts'
import { backend, frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { expectSteps } from './name-steps.ts'
import type { NamedText } from './named-text.ts'
import { type Request, takenName } from './request.ts'
import { writeClose, writePreparation } from './write-preparation.ts'

const writer = new Writer(1024)

/**
 * Brings to the connection what a Query with names of prepared statements finds there, in a round
 * of its own whose answer nobody gets; an error of it is the Query's. `limit`: most named
 * statements on one server connection.
 */
export function prepareInFront(
  request: Request,
  names: NamedText,
  connection: ServerConnection,
  limit: number,
): void {
  const { prepared } = connection
  const prepares: string[] = []
  for (const { serverName } of names.absent) {
    if (prepared.delete(serverName)) writeClose(writer, 0x53, serverName)
  }
  const isTaken = names.takenName !== null && !prepared.has(takenName)
  if (isTaken) {
    writer.begin(frontend.parse).string(takenName).byte(0).int16(0).end()
    prepares.push(takenName)
  }
  for (const statement of names.needs) {
    if (prepared.has(statement.serverName)) continue
    writePreparation(writer, statement)
    prepares.push(statement.serverName)
  }
  for (const name of prepares) prepared.set(name, true)
  evict(names, connection, limit)
  if (writer.length > 0) {
    writer.begin(frontend.sync).end()
    const bytes = writer.take()
    connection.request(bytes, 0, bytes.length, new FrontReceiver(request, connection, prepares))
  }
  if (request.steps !== null) expectSteps(connection, request)
}

/** Closes the least recently prepared statements beyond `limit`, but none that the text uses. */
function evict(names: NamedText, connection: ServerConnection, limit: number): void {
  const { prepared, queue } = connection
  if (prepared.size < limit || queue.size > 0) return
  for (const name of prepared.keys()) {
    if (prepared.size < limit) return
    if (name === takenName || names.needs.some(({ serverName }) => serverName === name)) continue
    prepared.delete(name)
    writeClose(writer, 0x53, name)
  }
}

/** Swallows the round; after an error nothing of it is thought to exist, and is closed to be sure. */
class FrontReceiver implements ReplyReceiver {
  readonly #request: Request
  readonly #connection: ServerConnection
  readonly #prepares: readonly string[]
  #hasFailed = false

  constructor(request: Request, connection: ServerConnection, prepares: readonly string[]) {
    this.#request = request
    this.#connection = connection
    this.#prepares = prepares
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    if (type !== backend.errorResponse) return
    this.#hasFailed = true
    // What a failed transaction says to everything the request hears itself.
    const isOfBlock = decodeErrorFields(buffer, start + 5, end).sqlstate === '25P02'
    if (this.#request.connection !== this.#connection) return
    this.#request.unprepared = this.#prepares
    if (!isOfBlock) {
      this.#request.errorInFront = Buffer.from(buffer.subarray(start, end))
    }
  }

  onPart(): void {}
  onChunkEnd(): void {}
  onLost(): void {}

  onReady(): void {
    if (!this.#hasFailed || this.#connection.isClosed) return
    for (const name of this.#prepares) {
      this.#connection.prepared.delete(name)
      writeClose(writer, 0x53, name)
    }
    writer.begin(frontend.sync).end()
    const bytes = writer.take()
    this.#connection.request(bytes, 0, bytes.length, swallow)
  }
}
