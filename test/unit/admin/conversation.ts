import type { AdminActions } from '../../../src/admin/admin-actions.ts'
import { AdminSession } from '../../../src/admin/admin-session.ts'
import type { AdminSource } from '../../../src/admin/admin-source.ts'
import { Cursor } from '../../../src/wire/cursor.ts'
import { decodeErrorFields } from '../../../src/wire/error-fields.ts'
import { Writer } from '../../../src/wire/writer.ts'
import { sampleSource } from './sample-source.ts'

/** A backend message as the tests look at it. */
export interface Answer {
  readonly type: string
  readonly body: Buffer
}

/** Splits bytes into messages and throws unless they are whole ones. */
export function decodeAnswers(bytes: Buffer | Promise<Buffer>): Answer[] {
  if (bytes instanceof Promise) throw new Error('the answer takes its time')
  const answers: Answer[] = []
  let at = 0
  while (at < bytes.length) {
    const size = bytes.readInt32BE(at + 1)
    if (size < 4 || at + 1 + size > bytes.length) throw new Error(`broken frame at ${at}`)
    const type = String.fromCharCode(bytes.readUInt8(at))
    answers.push({ type, body: bytes.subarray(at + 5, at + 1 + size) })
    at += 1 + size
  }
  return answers
}

/** Drives one session with whole messages, and remembers what was answered. */
export class Conversation {
  readonly session: AdminSession
  answers: Answer[] = []

  /** Resolves when the last command that took its time is answered. */
  settled: Promise<void> = Promise.resolve()

  constructor(source: AdminSource = sampleSource(), actions: AdminActions | null = null) {
    this.session = new AdminSession(source, actions)
  }

  send(type: string, write: (body: Writer) => unknown = () => undefined): this {
    const body = new Writer()
    write(body)
    const answer = this.session.handle(type.charCodeAt(0), body.take())
    if (answer instanceof Promise) {
      this.settled = answer.then((late) => void this.answers.push(...decodeAnswers(late)))
    } else if (answer !== null) this.answers.push(...decodeAnswers(answer))
    return this
  }

  query(text: string): this {
    return this.send('Q', (body) => body.string(text))
  }

  parse(text: string, name = ''): this {
    return this.send('P', (body) => body.string(name).string(text).int16(0))
  }

  bind(formats: readonly number[] = [], portal = '', statement = ''): this {
    return this.send('B', (body) => {
      body.string(portal).string(statement).int16(0).int16(0).int16(formats.length)
      for (const format of formats) body.int16(format)
    })
  }

  describe(kind: 'S' | 'P', name = ''): this {
    return this.send('D', (body) => body.byte(kind.charCodeAt(0)).string(name))
  }

  execute(maxRows = 0, portal = ''): this {
    return this.send('E', (body) => body.string(portal).int32(maxRows))
  }

  sync(): this {
    return this.send('S')
  }

  /** Type letters answered since the last look, in order: `TDDCZ`. */
  types(): string {
    const types = this.answers.map((answer) => answer.type).join('')
    this.answers = []
    return types
  }

  /** Column names and text cells of the rows answered so far. */
  table(): { columns: string[]; oids: number[]; rows: (string | null)[][] } {
    const columns: string[] = []
    const oids: number[] = []
    const rows: (string | null)[][] = []
    for (const { type, body } of this.answers) {
      const cursor = new Cursor(body, 0, body.length)
      if (type === 'T') {
        for (let left = cursor.uint16(); left > 0; left--) {
          columns.push(cursor.string())
          cursor.bytes(6)
          oids.push(cursor.int32())
          cursor.bytes(8)
        }
      } else if (type === 'D') {
        rows.push(cells(cursor).map((cell) => cell?.toString() ?? null))
      } else continue
      cursor.assertEnd()
    }
    return { columns, oids, rows }
  }

  /** Cells of the first DataRow as bytes. */
  rawRow(): (Buffer | null)[] {
    const row = this.answers.find((answer) => answer.type === 'D')
    return row === undefined ? [] : cells(new Cursor(row.body, 0, row.body.length))
  }

  /** SQLSTATE, message and severity of the first error answered. */
  error() {
    const body = this.answers.find((answer) => answer.type === 'E')?.body
    if (body === undefined) return null
    const { sqlstate, message, severity } = decodeErrorFields(body, 0, body.length)
    return { sqlstate, message, severity, hint: body.toString().match(/\0H([^\0]*)/)?.[1] }
  }

  /** Transaction status of the last ReadyForQuery. */
  status(): string | undefined {
    return this.answers.findLast((answer) => answer.type === 'Z')?.body.toString()
  }

  tags(): string[] {
    return this.answers
      .filter((answer) => answer.type === 'C')
      .map((answer) => answer.body.toString('utf8', 0, answer.body.length - 1))
  }
}

function cells(cursor: Cursor): (Buffer | null)[] {
  return Array.from({ length: cursor.uint16() }, () => {
    const size = cursor.int32()
    return size < 0 ? null : cursor.bytes(size)
  })
}
