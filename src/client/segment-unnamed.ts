import type { ServerConnection } from '../server/server-connection.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import { frontend } from '../wire/message-types.ts'
import type { NamedText } from './named-text.ts'
import type { UnnamedStatement } from './unnamed.ts'

/** The unnamed statement as a message of a segment found it. */
export interface ReplacedUnnamed {
  /** Index of that message in `Request.kinds`. */
  readonly unit: number
  readonly unnamed: UnnamedStatement | null
  readonly cls: StatementClass | null
  readonly names: NamedText | null
  /** An earlier message of the segment has made it. */
  readonly isOfSegment: boolean
}

/** What a segment uses of the unnamed statement that was there before, and what it makes of it. */
export class SegmentUnnamed {
  #earlier: UnnamedStatement | null = null
  #earlierUnit = 0
  #earlierStart = 0
  #isMissing = false
  #isSent = false
  #last: UnnamedStatement | null = null
  // One field each: most segments replace it once, and nobody asks what it was.
  #isParsed = false
  #parsedSerial = 0
  #parsedUnit = 0
  #isChanged = false
  #firstUnit = 0
  #firstUnnamed: UnnamedStatement | null = null
  #firstClass: StatementClass | null = null
  #firstNames: NamedText | null = null
  #later: ReplacedUnnamed[] | null = null

  /** The one of an earlier segment that it uses; null: it uses none, or there is none. */
  get earlier(): UnnamedStatement | null {
    return this.#earlier
  }

  /** Where that is first used: index in `Request.kinds`. */
  get earlierUnit(): number {
    return this.#earlierUnit
  }

  /** The same, offset in `Request.bytes`. */
  get earlierStart(): number {
    return this.#earlierStart
  }

  /** The bytes of the segment were written anew. */
  moveEarlier(start: number): void {
    this.#earlierStart = start
  }

  /** A message uses the one that is there; null: there is none. */
  use(statement: UnnamedStatement | null, unit: number, start: number): void {
    if (this.isChanged) return
    if (this.#earlier === null) {
      this.#earlierUnit = unit
      this.#earlierStart = start
    }
    this.#earlier = statement
    this.#isMissing = statement === null
  }

  /** Has it replaced or closed the unnamed statement? */
  get isChanged(): boolean {
    return this.#isChanged
  }

  /** Does one of its messages parse a new one? */
  get isParsed(): boolean {
    return this.#isParsed
  }

  /** Serial of its last Parse of it; null: it has none. */
  get serial(): number | null {
    return this.#isParsed ? this.#parsedSerial : null
  }

  /** What it leaves, if all of it is done. */
  get last(): UnnamedStatement | null {
    return this.#last
  }

  /** The message `unit` replaces or closes this one. */
  noteChange(
    unit: number,
    unnamed: UnnamedStatement | null,
    cls: StatementClass | null,
    names: NamedText | null,
  ): void {
    if (!this.#isChanged) {
      this.#isChanged = true
      this.#firstUnit = unit
      this.#firstUnnamed = unnamed
      this.#firstClass = cls
      this.#firstNames = names
      return
    }
    this.#later ??= []
    this.#later.push({ unit, unnamed, cls, names, isOfSegment: true })
  }

  /** … and makes this one. */
  noteParse(unit: number, statement: UnnamedStatement): void {
    this.#last = statement
    this.#isParsed = true
    this.#parsedSerial = statement.serial
    this.#parsedUnit = unit
  }

  /** … and that was all. */
  noteClose(): void {
    this.#last = null
  }

  /** What the first message that changes it has found. */
  get #found(): ReplacedUnnamed {
    return {
      unit: this.#firstUnit,
      unnamed: this.#firstUnnamed,
      cls: this.#firstClass,
      names: this.#firstNames,
      isOfSegment: false,
    }
  }

  /** Does the server connection need it in front of the message that uses it? */
  mustSend(connection: ServerConnection): boolean {
    return this.#earlier !== null && !this.#isSent && !connection.hasUnnamed(this.#earlier.serial)
  }

  /** It uses one and there is none: does the server connection have another client's? */
  mustClear(connection: ServerConnection): boolean {
    return this.#isMissing && !connection.lacksUnnamed
  }

  /** What was collected is on its way, and with it what it needs. */
  noteSent(): void {
    this.#isSent = this.#earlier !== null
  }

  /** It is to be sent again, elsewhere. */
  forgetSent(): void {
    this.#isSent = false
  }

  /** After an error: was its last Parse done? Null: it has none. */
  isParseDone(isDone: (unit: number) => boolean): boolean | null {
    return this.#isParsed ? isDone(this.#parsedUnit) : null
  }

  /**
   * After an error: the unnamed statement as the last message that was done has left it; null: as it
   * is. `kinds`: of the segment.
   */
  kept(kinds: readonly number[], isDone: (unit: number) => boolean): ReplacedUnnamed | null {
    if (!this.#isChanged) return null
    const undone = isDone(this.#firstUnit)
      ? (this.#later?.find((later) => !isDone(later.unit)) ?? null)
      : this.#found
    if (undone === null) return null
    // A Parse drops the old one before it looks at its text (PostgreSQL: exec_parse_message).
    const isParse = kinds[undone.unit] === frontend.parse
    const isReached = undone.unit === 0 || isDone(undone.unit - 1)
    return isParse && isReached ? { ...undone, unnamed: null, cls: null, names: null } : undone
  }
}

/** Of what is no segment. */
export const noSegmentUnnamed = new SegmentUnnamed()
