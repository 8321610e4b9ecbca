import type { TransactionStart } from '../consistency.ts'
import type { SessionState } from '../server/session-state.ts'
import type { Effect, TransactionModes } from '../sql/statement-class.ts'
import { query } from '../wire/frontend-messages.ts'
import { isOwnSetting } from './own-settings.ts'
import type { Request } from './request.ts'
import { markOf, mayBeMark } from './transaction-marks.ts'

/** Settings, and what the server connection has instead (`ClientSession.actual`). */
export interface Settings {
  readonly state: SessionState
  readonly actual: SessionState | null
  /** Of changes of what the session listens to, so many came before. */
  readonly pending: number
}

interface Savepoint extends Settings {
  readonly name: string
}

/**
 * What a session's settings fall back to when its transaction, or a part of it, is rolled back
 * (SET is transactional: PostgreSQL documentation, SET), and the BEGIN that has not been sent yet.
 */
export class Transaction {
  /** A statement of it may have called nextval(). */
  callsNextval = false
  readonly before: Settings
  /** Nothing but proved reads has run in it, and what else is left of it on its server is `marks`. */
  hasOnlyRead = true
  /** Its transaction-local settings and savepoints, in order: what another server must be told. */
  readonly marks: Buffer[] = []
  /** A statement of it has answered from its snapshot. */
  hasRead = false
  /** UNLISTEN and DISCARD TEMP, which are final at COMMIT. */
  readonly releases: Effect[] = []
  /** ALTER ROLE … SET has run in it. */
  hasNewDefaults = false
  #begin: DeferredBegin | null = null
  #hasBegunOnReplica = false
  #savepoints: Savepoint[] = []

  constructor({ state, actual, pending }: Settings) {
    this.before = { state, actual, pending }
  }

  /** The BEGIN that went in front of its first statement; null: it came as part of a request. */
  get begin(): DeferredBegin | null {
    return this.#begin
  }

  /** It began on a replica, and may write, which it can't where it is: not even after a promotion. */
  get isOptimistic(): boolean {
    return this.#hasBegunOnReplica && this.#begin?.start === 'optimistic' && isOpen(this.#begin)
  }

  /** Its BEGIN goes to a server. */
  began(begin: DeferredBegin, onReplica: boolean): void {
    this.#begin = begin
    this.#hasBegunOnReplica = onReplica
  }

  /** … AND CHAIN of `last`: the same modes, on the same server. */
  follow(last: Transaction): void {
    if (!last.isOptimistic || last.begin === null) return
    this.began({ ...last.begin, marks: [] }, true)
  }

  savepoint(name: string, { state, actual, pending }: Settings): void {
    this.#savepoints.push({ name, state, actual, pending })
  }

  /** A request goes to its server. `hasPortals`: named ones are open there. */
  noteSent({ effects, pin, isComplete }: Request, hasPortals: boolean): void {
    if (!this.hasOnlyRead) return
    const mayGo = effects.every((effect) => leavesNothing(effect) || mayBeMark(effect))
    if (!mayGo || pin !== null || hasPortals) this.hasOnlyRead = false
    // What is open behind a Flush may leave more.
    else if (!isComplete && effects.some(mayBeMark)) this.hasOnlyRead = false
  }

  /** A request has ended there. */
  noteDone(request: Request): void {
    const { effects, error } = request
    // Of a transaction that had failed before it: nothing of it was done.
    if (error?.sqlstate === '25P02') return
    if (takesSnapshots(request)) this.hasRead = true
    if (effects.length === 0 || !this.hasOnlyRead) return
    const isEmpty = effects.every(leavesNothing)
    const mark = isEmpty ? null : markOf(request)
    if (mark !== null && error === null) this.marks.push(mark)
    // What a failed mark has done goes with the way back to a savepoint, or to the end.
    else if (!isEmpty && mark === null) this.hasOnlyRead = false
  }

  /**
   * The BEGIN with all that has followed, for a server that takes it over; null = it can't be. The
   * next BEGIN that is sent is this. `hasFailed`: it is to have failed there, too.
   */
  moved(hasFailed = false): DeferredBegin | null {
    const { begin, marks, hasOnlyRead } = this
    if (begin === null || !hasOnlyRead) return null
    // Behind a query its modes are fixed.
    const last = this.isOptimistic && this.hasRead ? [takesSnapshot] : []
    if (hasFailed) last.push(failsBlock)
    return { ...begin, marks: [...begin.marks, ...marks.splice(0), ...last] }
  }

  /** Settings after ROLLBACK TO; the savepoint itself stays. null: no such savepoint. */
  rollbackTo(name: string): Settings | null {
    const index = this.#savepoints.findLastIndex((savepoint) => savepoint.name === name)
    if (index < 0) return null
    this.#savepoints.length = index + 1
    return this.#savepoints[index] as Savepoint
  }

  release(name: string): void {
    const index = this.#savepoints.findLastIndex((savepoint) => savepoint.name === name)
    if (index >= 0) this.#savepoints.length = index
  }
}

/** Does it fix the transaction's modes, by running or preparing something? SHOW doesn't. */
function takesSnapshots({ cls, executed }: Request): boolean {
  return [cls, ...executed].some(({ parts }) => parts.some(({ verdict }) => verdict !== 'control'))
}

/** Is nothing of it left on its server when it is done, for as long as the transaction lasts? */
export function leavesNothing(effect: Effect): boolean {
  // What pgsplit answers itself.
  if (effect.kind === 'explain-route') return true
  if ((effect.kind === 'set' || effect.kind === 'reset') && isOwnSetting(effect.name)) return true
  if (effect.kind === 'commit' || effect.kind === 'rollback') return true
  return effect.kind === 'show' || (effect.kind === 'copy' && effect.direction === 'out')
}

/** The least that a query can be. */
const takesSnapshot: Buffer = query('SELECT')

/** Fails with 3B001 in a transaction block, which fails by it. */
export const failsBlock: Buffer = query('ROLLBACK TO SAVEPOINT pgsplit_refused')

/** A BEGIN that was answered and is sent in front of the transaction's first statement. */
export interface DeferredBegin {
  /** Whole Query messages: the BEGIN, and SET TRANSACTION statements behind it. */
  readonly messages: readonly Buffer[]
  /** What comes behind them: savepoints and settings of a transaction that goes on elsewhere. */
  readonly marks: readonly Buffer[]
  /** `pgsplit.transactions` when it came. */
  readonly start: TransactionStart
  readonly modes: TransactionModes
  /** A hint in front of it asks for a replica. */
  readonly wantsReplica: boolean
  /** One of them says READ WRITE, which a standby refuses whatever is said behind it. */
  readonly saysReadWrite: boolean
}

/** Does it say neither READ ONLY nor READ WRITE? */
function isOpen({ modes, saysReadWrite }: DeferredBegin): boolean {
  return modes.readOnly === null && !saysReadWrite
}

/** Later statements override what earlier ones said. */
export function mergeModes(first: TransactionModes, second: TransactionModes): TransactionModes {
  return {
    isolation: second.isolation ?? first.isolation,
    readOnly: second.readOnly ?? first.readOnly,
    deferrable: second.deferrable ?? first.deferrable,
  }
}
