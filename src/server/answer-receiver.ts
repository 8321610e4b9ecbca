import { PgSplitError } from '../errors.ts'
import { Cursor } from '../wire/cursor.ts'
import { decodeErrorFields } from '../wire/error-fields.ts'
import { backend } from '../wire/message-types.ts'
import { type TextRow, textRow } from '../wire/text-row.ts'
import type { ReplyReceiver } from './reply-queue.ts'

/** Rows of one statement; of a text with several, those of the last that gives any. */
export interface TextAnswer {
  readonly columns: readonly string[]
  readonly rows: readonly TextRow[]
}

/** What a whole answer may have, bytes: the catalog of a very large schema has tens of millions. */
const maxAnswerBytes = 256 * 1024 * 1024

/** Collects the answer to one of pgsplit's own questions, all of it, as text. */
export class AnswerReceiver implements ReplyReceiver {
  readonly #resolve: (answer: TextAnswer) => void
  readonly #reject: (error: Error) => void
  #columns: string[] = []
  #rows: TextRow[] = []
  #error: Error | null = null
  #bytes = 0
  /** A frame that comes in parts. */
  #parts: Buffer[] = []

  constructor(resolve: (answer: TextAnswer) => void, reject: (error: Error) => void) {
    this.#resolve = resolve
    this.#reject = reject
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    if (type === backend.dataRow) this.#takeRow(buffer, start, end)
    else if (type === backend.rowDescription) this.#takeColumns(buffer, start, end)
    else if (type === backend.errorResponse) {
      const { sqlstate, message } = decodeErrorFields(buffer, start + 5, end)
      this.#error ??= new PgSplitError({ sqlstate, message })
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
    if (!this.#mayGrow(end - start)) return
    this.#parts.push(Buffer.from(buffer.subarray(start, end)))
    if (!isLast) return
    const whole = Buffer.concat(this.#parts)
    this.#parts = []
    this.#bytes -= whole.length
    this.onFrame(type, whole, 0, whole.length)
  }

  #takeColumns(buffer: Buffer, start: number, end: number): void {
    const cursor = new Cursor(buffer, start + 5, end)
    this.#rows = []
    this.#columns = []
    for (let left = cursor.uint16(); left > 0; left--) {
      this.#columns.push(cursor.string())
      // Its table, type and format.
      cursor.bytes(18)
    }
  }

  #takeRow(buffer: Buffer, start: number, end: number): void {
    if (!this.#mayGrow(end - start)) return
    this.#rows.push(textRow(buffer, start, end, 'utf8'))
  }

  #mayGrow(bytes: number): boolean {
    this.#bytes += bytes
    if (this.#bytes <= maxAnswerBytes) return true
    const message = `an answer to pgsplit itself has more than ${maxAnswerBytes} bytes`
    this.#error ??= new PgSplitError({ sqlstate: '54000', message })
    this.#rows = []
    this.#parts = []
    return false
  }

  onChunkEnd(): void {}

  onReady(): void {
    if (this.#error !== null) this.#reject(this.#error)
    else this.#resolve({ columns: this.#columns, rows: this.#rows })
  }

  onLost(error: Error): void {
    this.#reject(error)
  }
}
