import type { ErrorFacts } from '../errors.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import { errorResponse } from '../wire/backend-messages.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import { openSegmentClass } from './fixed-class.ts'
import type { SessionGuard } from './session-guard.ts'

/** One request of a session that has a guard: why it is refused, how long it runs, what it gives. */
export class RequestGuard {
  readonly #guard: SessionGuard
  #refusal: ErrorFacts | null
  #isTold = false
  #isOverdue = false
  #rows = 0
  #isCut = false

  constructor(guard: SessionGuard) {
    this.#guard = guard
    this.#refusal = guard.takeOverdue()
  }

  /** A statement of this class is in it. */
  note(cls: StatementClass): void {
    // It only says that the rest of a segment, which is looked at as it comes, runs on the primary.
    if (cls !== openSegmentClass) this.#refusal ??= this.#guard.refusalOf(cls)
  }

  /** It contains what goes to the server as it is, without having been read. */
  noteUnread(what: string): void {
    if (!this.#guard.isReading) return
    const hint = 'This client has "access: read" (auth.users or auth.rules of pgsplit).'
    this.#refusal ??= { sqlstate: '25006', message: `refused, and not sent: ${what}`, hint }
  }

  /** What the client gets in place of all that has not been sent; null: it may be sent. */
  get refusal(): ErrorFacts | null {
    if (this.#refusal !== null && !this.#isTold) {
      this.#isTold = true
      if (this.#refusal.sqlstate === '25006') this.#guard.count('refused')
    }
    return this.#refusal
  }

  /** Its time is up. */
  noteOverdue(): void {
    this.#isOverdue = true
    this.#guard.count('timedOut')
  }

  /** What stands for the server's error: by whom the statement was cancelled. */
  errorFor({ sqlstate }: ErrorFields): Buffer | null {
    return this.#isOverdue && sqlstate === '57014' ? errorResponse(this.overdue) : null
  }

  get overdue(): ErrorFacts {
    return {
      sqlstate: '57014',
      message: `canceling statement: it has run for ${this.#guard.grants.limits.statementMs} ms`,
      hint: 'The limit is limits.statementTime of its entry in auth.users or auth.rules of pgsplit.',
    }
  }

  /**
   * A row more is to go out, with which the answer has so many bytes. Says once why it must not: what
   * comes after that is nobody's.
   */
  excessOf(bytes: number): ErrorFacts | null {
    this.#rows++
    const { limits } = this.#guard.grants
    const isRows = limits.rows !== null && this.#rows > limits.rows
    if (!isRows && (limits.bytes === null || bytes <= limits.bytes)) return null
    if (this.#isCut) return null
    this.#isCut = true
    this.#guard.count('cut')
    const [most, name] = isRows
      ? [`${limits.rows} rows`, 'rows']
      : [`${limits.bytes} bytes`, 'bytes']
    return {
      sqlstate: '54000',
      message: `the answer has more than the ${most} that this client may take; the connection is closed`,
      hint: `What the statement was to do may have been done or not. The limit is limits.${name} of its entry in auth.users or auth.rules of pgsplit.`,
      severity: 'FATAL',
    }
  }

  /** The request runs again: what came of it before is not its answer. */
  dropRows(): void {
    this.#rows = 0
  }
}
