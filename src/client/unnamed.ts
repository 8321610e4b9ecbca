import type { StatementClass } from '../sql/statement-class.ts'
import { copyBytes } from '../wire/copy-bytes.ts'
import type { NamedText } from './named-text.ts'

/** An unnamed statement: its Parse body, and what tells one from the next. */
export interface UnnamedStatement {
  readonly serial: number
  readonly body: Buffer
  readonly bodyBytes: number
  /** Of an own command, which `body` only stands in for. */
  readonly own: StatementClass | null
}

let nextSerial = 1

/** The unnamed statement of a session, as the messages that it has sent so far have left it. */
export class Unnamed {
  #statement: UnnamedStatement | null = null
  #cls: StatementClass | null = null
  #names: NamedText | null = null
  /** Of the one before it: room for the next one's. */
  #spare: Buffer | null = null

  get statement(): UnnamedStatement | null {
    return this.#statement
  }

  get cls(): StatementClass | null {
    return this.#cls
  }

  get names(): NamedText | null {
    return this.#names
  }

  /**
   * A Parse with the body `buffer[start, end)`. `mayReuse`: nobody needs the bytes any more of the
   * one before the one that it replaces.
   */
  parse(
    buffer: Buffer,
    start: number,
    end: number,
    mayReuse: boolean,
    cls: StatementClass,
    /** What it does with names of prepared statements. */
    names: NamedText | null = null,
    own: StatementClass | null = null,
  ): UnnamedStatement {
    const size = end - start
    const spare = mayReuse ? this.#spare : null
    this.#spare = this.#statement?.body ?? null
    const body =
      spare !== null && spare.length >= size && spare.length < 4096 + size * 2
        ? spare
        : Buffer.allocUnsafe(Math.max(128, size))
    copyBytes(buffer, start, end, body, 0)
    const statement = { serial: nextSerial++, body, bodyBytes: size, own }
    this.#statement = statement
    this.#cls = cls
    this.#names = names
    return statement
  }

  /** Its class is another one by now, or becomes known. */
  judge(cls: StatementClass): void {
    this.#cls = cls
  }

  /** The names that its text tells may be others' by now; `needs` of it are. */
  rename(names: NamedText): void {
    this.#names = names
  }

  /** Its text names others by now: it is another statement. */
  rewrite(text: Buffer): void {
    const before = this.#statement
    if (before === null) return
    const rest = before.body.subarray(before.body.indexOf(0), before.bodyBytes)
    const body = Buffer.concat([text, rest])
    this.#statement = { serial: nextSerial++, body, bodyBytes: body.length, own: null }
  }

  /** It was closed, or a Query has dropped it. */
  drop(): void {
    this.#statement = null
    this.#cls = null
    this.#names = null
  }

  /** What replaced it has failed: it is what it was. */
  restore(statement: UnnamedStatement | null, cls: StatementClass | null, names: NamedText | null) {
    this.#statement = statement
    this.#cls = cls
    this.#names = names
    this.#spare = null
  }
}
