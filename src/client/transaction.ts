import type { SessionState } from '../server/session-state.ts'
import type { Effect, TransactionModes } from '../sql/statement-class.ts'

interface Savepoint {
  readonly name: string
  readonly state: SessionState
}

/**
 * What a session's settings fall back to when its transaction, or a part of it, is rolled back
 * (SET is transactional: PostgreSQL documentation, SET), and the BEGIN that has not been sent yet.
 */
export class Transaction {
  readonly before: SessionState
  /** UNLISTENs, which take effect at COMMIT. */
  readonly unlistens: Effect[] = []
  #savepoints: Savepoint[] = []

  constructor(before: SessionState) {
    this.before = before
  }

  savepoint(name: string, state: SessionState): void {
    this.#savepoints.push({ name, state })
  }

  /** Settings after ROLLBACK TO; the savepoint itself stays. null: no such savepoint. */
  rollbackTo(name: string): SessionState | null {
    const index = this.#savepoints.findLastIndex((savepoint) => savepoint.name === name)
    if (index < 0) return null
    this.#savepoints.length = index + 1
    return (this.#savepoints[index] as Savepoint).state
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
