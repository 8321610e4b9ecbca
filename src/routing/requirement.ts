import type { StatementClass, TransactionModes } from '../sql/statement-class.ts'
import type { Lsn } from '../topology/lsn.ts'

type Consistency = 'session' | 'bounded' | 'eventual' | 'primary'

/** What routing must know of a session. The session keeps one such object and updates it. */
export interface SessionFacts {
  /** Why the session is pinned to its server connection; null = it is not. */
  pinned: string | null
  /** Where its open transaction runs; null = none has a node yet. */
  inTransactionOn: 'primary' | 'replica' | null
  /** Index of the node that holds the pin or the transaction; null = none. */
  heldNode: number | null
  /** Modes of a BEGIN that was answered and not sent yet; null = no such transaction. */
  pendingBegin: TransactionModes | null
  /** `default_transaction_read_only` of the session. */
  defaultReadOnly: boolean
  /** `default_transaction_isolation` is serializable: a standby refuses every snapshot then. */
  defaultIsolationSerializable: boolean
  /** `default_transaction_deferrable` of the session. */
  defaultDeferrable: boolean
  /** `pgsplit.route`. */
  routeSetting: 'auto' | 'primary' | 'replica'
  /** `pgsplit.consistency`. */
  consistency: Consistency
  /** `pgsplit.max_lag` in ms; null = the configured limit. */
  maxLagMs: number | null
  /** Position that the session's reads must have reached; null = none. */
  watermark: Lsn | null
  /** The session may have written and no watermark covers it yet. */
  dirty: boolean
  /** Hash of the client's address, for `ip-hash`. */
  clientAddressHash: number
}

/** Facts of a session that has just started, with the defaults of the configuration. */
export function initialFacts(given: Partial<SessionFacts> = {}): SessionFacts {
  return {
    pinned: null,
    inTransactionOn: null,
    heldNode: null,
    pendingBegin: null,
    defaultReadOnly: false,
    defaultIsolationSerializable: false,
    defaultDeferrable: false,
    routeSetting: 'auto',
    consistency: 'session',
    maxLagMs: null,
    watermark: null,
    dirty: false,
    clientAddressHash: 0,
    ...given,
  }
}

/** What the node that serves a request must be. */
export interface Requirement {
  readonly target: 'primary' | 'replica'
  /** One clause for logs, `SHOW pgsplit.last_route` and EXPLAIN. */
  readonly reason: string
  /** ms; null = the configured limit with its two thresholds. */
  readonly maxLagMs: number | null
  readonly minLsn: Lsn | null
}

/** The common case: compared by identity on the hot path. */
export const PLAIN_REPLICA = replicaFor('proved read-only')
const READ_ONLY_TRANSACTION = replicaFor('READ ONLY transaction')
const HINTED_REPLICA = replicaFor('hint asks for a replica')
const SET_REPLICA = replicaFor("pgsplit.route is 'replica'")

const ON_PRIMARY = primaryFor('in a transaction on the primary')
const ON_REPLICA = replicaFor('in a READ ONLY transaction on a replica')
const HINTED_PRIMARY = primaryFor('hint asks for the primary')
const SET_PRIMARY = primaryFor("pgsplit.route is 'primary'")
const UNSPLIT = primaryFor("pgsplit.consistency is 'primary'")
const SERIALIZABLE = primaryFor('serializable isolation, which a standby refuses')
const DEFERRABLE = primaryFor('deferrable transaction, which a standby refuses')
const MAY_WRITE = primaryFor('transaction that may write')
const DIRTY = primaryFor("the session's own write has no position yet")

/** Classes are interned by fingerprint, so their requirements can be kept beside them. */
const ofClass = new WeakMap<StatementClass, Requirement>()

/**
 * Where a statement of this class must go for this session (README, "Where a statement goes").
 * Pure, and without allocation except for a session that has a watermark or its own lag limit. Held
 * places come first, then what forbids a replica, then what people asked for.
 */
export function requirementOf(cls: StatementClass, facts: SessionFacts): Requirement {
  if (facts.pinned !== null) return primaryFor(`pinned: ${facts.pinned}`)
  if (facts.inTransactionOn !== null) {
    return facts.inTransactionOn === 'primary' ? ON_PRIMARY : ON_REPLICA
  }
  if (cls.learned !== null) return primaryFor(cls.learned)
  const { verdict, hint } = cls
  const begin = facts.pendingBegin
  if (verdict !== 'replica' && verdict !== 'either') {
    // SET LOCAL, SHOW or SAVEPOINT at the head of a READ ONLY transaction don't decide its node.
    if (verdict !== 'control' || begin === null || !isReadOnly(begin, facts)) return byClass(cls)
  }
  if (hint !== null && hint.route === 'primary') return HINTED_PRIMARY
  const asksReplica = hint !== null && hint.route === 'replica'
  if (facts.routeSetting === 'primary' && !asksReplica) return SET_PRIMARY
  const consistency = hint?.consistency ?? facts.consistency
  const unsplit = consistency === 'primary' && !(asksReplica && hint.consistency === null)
  if (unsplit) return UNSPLIT
  const forbidden = forbiddenByModes(begin, facts)
  if (forbidden !== null) return forbidden
  const sees = consistency === 'session'
  if (sees && facts.dirty) return DIRTY
  const minLsn = sees ? facts.watermark : null
  const maxLagMs = hint?.maxLagMs ?? facts.maxLagMs
  const plain = replicaBase(begin, asksReplica, facts)
  if (minLsn === null && maxLagMs === null) return plain
  return { target: 'replica', reason: plain.reason, maxLagMs, minLsn }
}

function replicaBase(
  begin: TransactionModes | null,
  asksReplica: boolean,
  facts: SessionFacts,
): Requirement {
  if (asksReplica) return HINTED_REPLICA
  if (facts.routeSetting === 'replica') return SET_REPLICA
  return begin === null ? PLAIN_REPLICA : READ_ONLY_TRANSACTION
}

function forbiddenByModes(begin: TransactionModes | null, facts: SessionFacts): Requirement | null {
  const isolation = begin?.isolation ?? null
  const serializable =
    isolation === null ? facts.defaultIsolationSerializable : isolation === 'serializable'
  if (serializable) return SERIALIZABLE
  if (begin === null) return null
  if (begin.deferrable ?? facts.defaultDeferrable) return DEFERRABLE
  // A hint can't help here: the transaction's later writes would fail.
  return isReadOnly(begin, facts) ? null : MAY_WRITE
}

function isReadOnly(begin: TransactionModes, facts: SessionFacts): boolean {
  return begin.readOnly ?? facts.defaultReadOnly
}

function byClass(cls: StatementClass): Requirement {
  let requirement = ofClass.get(cls)
  if (requirement === undefined) {
    requirement = primaryFor(cls.reason)
    ofClass.set(cls, requirement)
  }
  return requirement
}

function primaryFor(reason: string): Requirement {
  return Object.freeze({ target: 'primary', reason, maxLagMs: null, minLsn: null })
}

function replicaFor(reason: string): Requirement {
  return Object.freeze({ target: 'replica', reason, maxLagMs: null, minLsn: null })
}
