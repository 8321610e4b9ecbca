import type { SessionState } from '../server/session-state.ts'
import type { Effect, TransactionModes } from '../sql/statement-class.ts'

/** Settings, and what the server connection has instead (`ClientSession.actual`). */
export interface Settings {
  readonly state: SessionState
  readonly actual: SessionState | null
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
  /** The BEGIN that went in front of its first statement; null: it came as part of a request. */
  begin: DeferredBegin | null = null
  /** Nothing but proved reads has run in it, and nothing of it is left on its server. */
  hasOnlyRead = true
  /** UNLISTEN and DISCARD TEMP, which are final at COMMIT. */
  readonly releases: Effect[] = []
  /** ALTER ROLE … SET has run in it. */
  hasNewDefaults = false
  #savepoints: Savepoint[] = []

  constructor({ state, actual }: Settings) {
    this.before = { state, actual }
  }

  savepoint(name: string, { state, actual }: Settings): void {
    this.#savepoints.push({ name, state, actual })
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

/** A BEGIN that was answered and is sent in front of the transaction's first statement. */
export interface DeferredBegin {
  /** Whole Query messages: the BEGIN, and SET TRANSACTION statements behind it. */
  readonly messages: readonly Buffer[]
  readonly modes: TransactionModes
}

/** Later statements override what earlier ones said. */
export function mergeModes(first: TransactionModes, second: TransactionModes): TransactionModes {
  return {
    isolation: second.isolation ?? first.isolation,
    readOnly: second.readOnly ?? first.readOnly,
    deferrable: second.deferrable ?? first.deferrable,
  }
}
