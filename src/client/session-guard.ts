import type { ErrorFacts } from '../errors.ts'
import type { Classifier } from '../sql/classifier.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import type { GrantCounts, GrantUse, Place } from './grant-use.ts'
import type { Grants } from './grants.ts'
import { unfitForReaders } from './read-access.ts'
import type { Request } from './request.ts'

/** How long what isn't proved yet waits for the catalog, ms. */
const catalogWaitMs = 5_000

/** So long after its cancel request a statement must have ended, ms. */
const cancelGraceMs = 5_000

/** What a guard must know of its session. */
export interface GuardedSession {
  /** Nothing runs and nothing is open. */
  readonly isIdle: boolean
  readonly inFlight: { readonly first: Request | null }
  /** Goes on with held input. */
  pump(): void
  /** Cancels what runs; `why`: what is said of it where the server says nothing. */
  cancel(why: ErrorFacts): Promise<void>
  sendAway(sqlstate: string, message: string, hint?: string): void
}

/**
 * Looks at all that a session with limits, or with `access: read`, asks: what must wait, and what is
 * refused. Sessions without either have none, and pay nothing.
 */
export class SessionGuard {
  readonly grants: Grants
  readonly #use: GrantUse
  readonly #session: GuardedSession
  readonly #classifier: Classifier
  #place: Place | null = null
  /** What the next request is refused with: it has waited in vain, or was cancelled meanwhile. */
  #overdue: ErrorFacts | null = null
  #catalogTimer: NodeJS.Timeout | null = null
  #statementTimer: NodeJS.Timeout | null = null
  /** Whose time runs. */
  #timed: Request | null = null
  /** It has waited for this version of the catalog in vain. */
  #gaveUpAt = -1

  constructor(session: GuardedSession, grants: Grants, use: GrantUse, classifier: Classifier) {
    this.#session = session
    this.grants = grants
    this.#use = use
    this.#classifier = classifier
  }

  get isReading(): boolean {
    return this.grants.access === 'read'
  }

  /** Must what would begin now wait for its turn? `pump` is called when that has come. */
  get holds(): boolean {
    const { concurrency } = this.grants.limits
    if (concurrency === null || this.#overdue !== null) return false
    if (this.#place?.isTaken === true || !this.#session.isIdle) return false
    this.#place ??= this.#use.ask(concurrency, (error) => {
      this.#overdue = error
      if (error !== null) this.#place = null
      this.#session.pump()
    })
    return !this.#place.isTaken
  }

  /**
   * Must a statement of this class wait until the catalog is read? One that is not proved, for a
   * reason that may be over then.
   */
  awaitsCatalog(cls: StatementClass): boolean {
    const classifier = this.#classifier
    if (!this.isReading || classifier.isCertain || unfitForReaders(cls) === null) return false
    if (this.#gaveUpAt === classifier.catalogVersion) return false
    if (this.#catalogTimer !== null) return true
    const end = (): void => {
      if (this.#catalogTimer !== null) clearTimeout(this.#catalogTimer)
      this.#catalogTimer = null
      this.#session.pump()
    }
    this.#catalogTimer = setTimeout(() => {
      this.#gaveUpAt = classifier.catalogVersion
      end()
    }, catalogWaitMs)
    classifier.onCatalog(end)
    return true
  }

  /** Why a statement of this class must not be sent; null: it may. */
  refusalOf(cls: StatementClass): ErrorFacts | null {
    const why = this.isReading ? unfitForReaders(cls) : null
    if (why === null) return null
    const hint = this.#classifier.isCertain
      ? 'The configuration of pgsplit gives this client "access: read" (auth.users or auth.rules): only what is proved to read runs.'
      : 'This client has "access: read" (auth.users or auth.rules of pgsplit), and what the database contains is being read now: try again in a moment.'
    return { sqlstate: '25006', message: `refused, and not sent: ${why}`, hint }
  }

  /** The error of a request that has waited for its turn in vain; null: it has not. */
  takeOverdue(): ErrorFacts | null {
    const error = this.#overdue
    this.#overdue = null
    return error
  }

  /** What waits for its turn is cancelled by the client; false: nothing does. */
  cancelWaiting(): boolean {
    if (this.#place === null || this.#place.isTaken) return false
    this.#place.leave()
    this.#place = null
    this.#overdue = {
      sqlstate: '57014',
      message: 'canceling statement due to user request',
    }
    this.#session.pump()
    return true
  }

  /** Something has ended: a session in which nothing is open any more makes room for others. */
  settle(): void {
    if (this.#place?.isTaken !== true || !this.#session.isIdle) return
    this.#place.leave()
    this.#place = null
  }

  /** A request was refused, cancelled at its time, or its answer was cut off. */
  count(what: keyof GrantCounts): void {
    this.#use.count(what)
  }

  /** What is in flight has changed: the time of the first request runs from here on. */
  follow(): void {
    const { statementMs } = this.grants.limits
    const { first } = this.#session.inFlight
    if (statementMs === null || this.#timed === first) return
    this.#timed = first
    if (this.#statementTimer !== null) clearTimeout(this.#statementTimer)
    this.#statementTimer =
      first === null ? null : setTimeout(() => this.#end(first, statementMs), statementMs)
  }

  /** The time of what runs first is up. */
  #end(request: Request, statementMs: number): void {
    // Its server has nothing to do: the client has still to say what comes.
    if (!request.isComplete && request.isFlushed && request.isAnswered) {
      this.#statementTimer = setTimeout(() => this.#end(request, statementMs), statementMs)
      return
    }
    const { guard } = request
    if (guard === null) return
    guard.noteOverdue()
    const { overdue } = guard
    void this.#session.cancel(overdue)
    this.#statementTimer = setTimeout(() => {
      const hint = 'It did not end when it was cancelled, so the connection is closed.'
      this.#session.sendAway(overdue.sqlstate, overdue.message, hint)
    }, cancelGraceMs)
  }

  close(): void {
    if (this.#statementTimer !== null) clearTimeout(this.#statementTimer)
    this.#statementTimer = null
    if (this.#catalogTimer !== null) clearTimeout(this.#catalogTimer)
    this.#catalogTimer = null
    this.#place?.leave()
    this.#place = null
  }
}
