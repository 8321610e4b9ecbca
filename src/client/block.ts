import type { ErrorFacts } from '../errors.ts'
import { joinTouched, type Touched } from '../sql/touched-names.ts'
import { type DeferredBegin, type Settings, Transaction } from './transaction.ts'

/**
 * `deferred`: its BEGIN was answered and not sent yet. `lost`: it went with its server, and 25P02
 * is the answer to all but its end.
 */
export type BlockStage = 'none' | 'deferred' | 'open' | 'lost'

/** What a session in trouble is told beyond the first time. */
const aborted: ErrorFacts = {
  sqlstate: '25P02',
  message: 'current transaction is aborted, commands ignored until end of transaction block',
  hint: 'The connection to its server was lost; ROLLBACK and run it again.',
}

/** The transaction block of a session, as its client sees it. */
export class Block {
  #transaction: Transaction | null = null
  #deferred: DeferredBegin | null = null
  #isLost = false
  #trouble: ErrorFacts | null = null
  #ddl: Touched | undefined

  get stage(): BlockStage {
    if (this.#isLost) return 'lost'
    if (this.#deferred !== null) return 'deferred'
    return this.#transaction === null ? 'none' : 'open'
  }

  get transaction(): Transaction | null {
    return this.#transaction
  }

  /** The BEGIN that goes in front of the next statement; null: none is to be sent. */
  get deferred(): DeferredBegin | null {
    return this.#deferred
  }

  /** Something was lost, and the client has to be told, or has to end its block. */
  get isInTrouble(): boolean {
    return this.#isLost || this.#trouble !== null
  }

  /** Was a loss noted that the client hasn't been told of? */
  get hasNews(): boolean {
    return this.#trouble !== null
  }

  /** BEGIN was answered here. */
  defer(begin: DeferredBegin, settings: Settings): void {
    this.#deferred = begin
    this.#transaction = new Transaction(settings)
  }

  /** SET TRANSACTION behind a BEGIN that was not sent; or one is to be sent again: null is none. */
  deferAgain(begin: DeferredBegin | null): void {
    this.#deferred = begin ?? this.#deferred
  }

  /** It is sent now. */
  takeDeferred(onReplica: boolean): DeferredBegin | null {
    const begin = this.#deferred
    this.#deferred = null
    if (begin !== null) this.#transaction?.began(begin, onReplica)
    return begin
  }

  /** The server is in a block; `settings`: what they were in front of it, if that is news. */
  open(settings: Settings): Transaction {
    this.#transaction ??= new Transaction(settings)
    return this.#transaction
  }

  /** … AND CHAIN of `last`. */
  chain(settings: Settings, last: Transaction | null): void {
    this.#transaction = new Transaction(settings)
    if (last !== null) this.#transaction.follow(last)
  }

  /** It has ended; returns what of the catalog its statements may have changed. */
  end(): Touched | undefined {
    this.#transaction = null
    return this.takeDdl()
  }

  /** BEGIN and its end were answered here, and no server heard of them. */
  cancel(): void {
    this.#deferred = null
    this.#transaction = null
  }

  /** It is no more; `isKnown`: the client has asked for its end, and knows. */
  lose(isKnown: boolean): void {
    this.#transaction = null
    this.#isLost = !isKnown
  }

  /** A lost block has been ended by its client. */
  leaveLost(): void {
    this.#isLost = false
  }

  /** The client is told with its next statement. */
  noteTrouble(facts: ErrorFacts): void {
    this.#trouble = facts
  }

  /** What was lost and not told yet; null: nothing. */
  takeNews(): ErrorFacts | null {
    const trouble = this.#trouble
    this.#trouble = null
    return trouble
  }

  /** What a statement is told in a session that has lost something: the loss once, then 25P02. */
  takeTrouble(): ErrorFacts {
    return this.takeNews() ?? aborted
  }

  noteDdl(touched: Touched): void {
    this.#ddl = joinTouched(this.#ddl, touched)
  }

  /** What of the catalog statements may have changed that are not committed yet. */
  takeDdl(): Touched | undefined {
    const ddl = this.#ddl
    this.#ddl = undefined
    return ddl
  }
}
