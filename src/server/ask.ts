import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts'
import { backend } from '../wire/message-types.ts'
import { AnswerReceiver, type TextAnswer } from './answer-receiver.ts'
import { type ReplyReceiver, swallow } from './reply-queue.ts'
import type { ServerConnection } from './server-connection.ts'

/** Most of an answer that is kept, bytes. */
const maxAnswerBytes = 1024 * 1024

/** What a server has said to something of pgsplit's own. */
export interface OwnAnswer {
  /** Its DataRow messages; of a text with several statements, those of all. */
  readonly rows: readonly Buffer[]
  /** Its RowDescription and NoData messages. */
  readonly descriptions: readonly Buffer[]
  /** Its ErrorResponse, as it came; null: there was none. */
  readonly error: Buffer | null
  /** It was longer than 1 MiB: some of it is missing. */
  readonly isCut: boolean
}

/** Who asks; exactly one of `answered` and `lost` is called, once. */
export interface Asker {
  /** The server is ready again. */
  answered(answer: OwnAnswer, connection: ServerConnection): void
  /** The connection is gone; nobody knows what was done of it. */
  lost(error: Error): void
  /** A ParameterStatus in the answer; its bytes are only valid during the call. */
  parameter?(frame: Buffer): void
}

/**
 * Sends something of pgsplit's own: messages that end with one Query or Sync. What is sent behind it
 * is answered behind it. The client hears nothing of it.
 */
export function ask(connection: ServerConnection, bytes: Uint8Array, asker: Asker): void {
  connection.request(bytes, 0, bytes.length, new AskReceiver(connection, asker))
}

/** The same where nobody wants to know what the server says to it. */
export function tell(connection: ServerConnection, bytes: Uint8Array): void {
  connection.request(bytes, 0, bytes.length, swallow)
}

/**
 * Asks for rows as text, of up to 256 MiB. Rejects with the server's error as a PgSplitError, and
 * with the connection's own when that is lost.
 */
export function askText(connection: ServerConnection, bytes: Uint8Array): Promise<TextAnswer> {
  return new Promise((resolve, reject) => {
    connection.request(bytes, 0, bytes.length, new AnswerReceiver(resolve, reject))
  })
}

/** The error of an answer; null: there was none. */
export function errorOf({ error }: OwnAnswer): ErrorFields | null {
  return error === null ? null : decodeErrorFields(error, 5, error.length)
}

const none: readonly never[] = []

class AskReceiver implements ReplyReceiver, OwnAnswer {
  readonly #connection: ServerConnection
  readonly #asker: Asker
  // Most answers have nothing of it.
  #rows: Buffer[] | null = null
  #descriptions: Buffer[] | null = null
  #parts: Buffer[] | null = null
  #error: Buffer | null = null
  #bytes = 0

  constructor(connection: ServerConnection, asker: Asker) {
    this.#connection = connection
    this.#asker = asker
  }

  get rows(): readonly Buffer[] {
    return this.#rows ?? none
  }

  get descriptions(): readonly Buffer[] {
    return this.#descriptions ?? none
  }

  get error(): Buffer | null {
    return this.#error
  }

  get isCut(): boolean {
    return this.#bytes > maxAnswerBytes
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    if (type === backend.errorResponse) this.#error = Buffer.from(buffer.subarray(start, end))
    else if (type === backend.parameterStatus) {
      this.#asker.parameter?.(buffer.subarray(start, end))
    } else if (isKept(type) && this.#mayGrow(end - start)) {
      this.#keep(type, Buffer.from(buffer.subarray(start, end)))
    }
  }

  onPart(
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
    _isFirst: boolean,
    isLast: boolean,
  ): void {
    if (!isKept(type)) return
    if (this.#mayGrow(end - start)) {
      this.#parts ??= []
      this.#parts.push(Buffer.from(buffer.subarray(start, end)))
    }
    if (!isLast || this.#parts === null) return
    const frame = Buffer.concat(this.#parts)
    this.#parts = null
    if (!this.isCut) this.#keep(type, frame)
  }

  #mayGrow(bytes: number): boolean {
    this.#bytes += bytes
    return !this.isCut
  }

  #keep(type: number, frame: Buffer): void {
    if (type === backend.dataRow) {
      this.#rows ??= []
      this.#rows.push(frame)
    } else {
      this.#descriptions ??= []
      this.#descriptions.push(frame)
    }
  }

  onChunkEnd(): void {}

  onReady(): void {
    this.#asker.answered(this, this.#connection)
  }

  onLost(error: Error): void {
    this.#asker.lost(error)
  }
}

function isKept(type: number): boolean {
  return type === backend.dataRow || type === backend.rowDescription || type === backend.noData
}
