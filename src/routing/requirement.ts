import {
  type Consistency,
  isCausal,
  type TransactionReads,
  type TransactionStart,
} from '../consistency.ts'
import { isProvedRead, type StatementClass, type TransactionModes } from '../sql/statement-class.ts'
import type { RouteWord } from './route-word.ts'
import type { CausalToken } from './watermark.ts'

/** Modes of a BEGIN that was answered and not sent yet. */
export interface PendingBegin extends TransactionModes {
  /** It says neither READ ONLY nor READ WRITE, is READ COMMITTED, and may begin on a replica. */
  readonly isOptimistic?: boolean
}

/** What routing must know of a session. The session keeps one such object and updates it. */
export interface SessionFacts {
  /** Why the session is pinned to its server connection; null = it is not. */
  pinned: string | null
  /**
   * The BEGIN of the transaction that is to begin, or of the last one while it lasts; null = none was
   * deferred.
   */
  pendingBegin: PendingBegin | null
  /** `default_transaction_read_only` of the session. */
  defaultReadOnly: boolean
  /** `default_transaction_isolation` is serializable: a standby refuses every snapshot then. */
  defaultIsolationSerializable: boolean
  /** The same is repeatable read: a transaction keeps its first snapshot. */
  defaultIsolationRepeatable: boolean
  /** The transaction that is to begin opens a cursor or a portal, which keeps a snapshot. */
  opensCursor: boolean
  /** It is to stay on a replica whatever comes: who asked for it (a hint, a read session) knows. */
  wantsReplica: boolean
  /** `default_transaction_deferrable` of the session. */
  defaultDeferrable: boolean
  /** `pgsplit.transactions`. */
  transactions: TransactionStart
  /** What reads in optimistic transactions promise, if their session asks for less. */
  transactionReads: TransactionReads
  /** `pgsplit.route`. */
  routeSetting: 'auto' | 'primary' | 'replica'
  /** `pgsplit.consistency`. */
  consistency: Consistency
  /** `pgsplit.max_lag` in ms; null = the configured limit. */
  maxLagMs: number | null
  /** Position that the session's reads must have reached: what it has written or seen. */
  watermark: CausalToken | null
  /** Epoch of what the session wrote or saw on the primary and `watermark` doesn't cover yet; -1. */
  dirtySince: number
  /** The replica whose state the session saw and `watermark` doesn't cover yet; -1 = none. */
  reader: number
  /** Epoch of the last such read. */
  readEpoch: number
  /**
   * What all sessions of the same user and database have written here, for reads at `shared`; null =
   * nobody notes it.
   */
  group: SessionFacts | null
  /**
   * What the read that is under way must see of the group besides, at `shared`: the epoch of what has
   * no position yet, -1 = nothing; and the position of the rest. It is not the session's own: without
   * a primary that could tell, reads go on without it.
   */
  othersSince: number
  othersMark: CausalToken | null
  /**
   * Position up to where replicas, or others by a token, have shown it what the primary may not show
   * yet; `mustFind`: what it saw on a replica that is lost has the position that `dirtySince` is for.
   */
  shown: CausalToken | null
  mustFind: boolean
  /** Until when its request that began then may wait for the primary to show that, monotonic ms. */
  shownWait: { readonly startedMs: number; readonly untilMs: number } | null
  /** How long a read may wait for a replica that has what the session wrote or saw, ms. */
  causalWaitMs: number
  /** Hash of the client's address, for `ip-hash`. */
  clientAddressHash: number
}

/** Facts of a session that has just started, with the defaults of the configuration. */
export function initialFacts(given: Partial<SessionFacts> = {}): SessionFacts {
  return {
    pinned: null,
    pendingBegin: null,
    defaultReadOnly: false,
    defaultIsolationSerializable: false,
    defaultIsolationRepeatable: false,
    opensCursor: false,
    wantsReplica: false,
    defaultDeferrable: false,
    transactions: 'primary',
    transactionReads: 'strict',
    routeSetting: 'auto',
    consistency: 'session',
    maxLagMs: null,
    watermark: null,
    dirtySince: -1,
    reader: -1,
    readEpoch: -1,
    group: null,
    othersSince: -1,
    othersMark: null,
    shown: null,
    mustFind: false,
    shownWait: null,
    causalWaitMs: 0,
    clientAddressHash: 0,
    ...given,
  }
}

/**
 * At which level a statement reads: its hint comes before its session. In an optimistic transaction
 * no read is older than it would be on the primary, where the next one may run.
 */
export function consistencyOf(
  { hint }: StatementClass,
  { consistency, pendingBegin, transactionReads }: SessionFacts,
): Consistency {
  const level = hint?.consistency ?? consistency
  if (pendingBegin?.isOptimistic !== true || level === 'primary' || level === 'strict') return level
  return level === 'shared' && transactionReads === 'session' ? level : transactionReads
}

/** What the node that serves a request must be. */
export interface Requirement {
  readonly target: 'primary' | 'replica'
  /** One clause for logs, `SHOW pgsplit.last_route` and EXPLAIN. */
  readonly reason: string
  readonly word: RouteWord
  /** ms; null = the configured limit with its two thresholds. */
  readonly maxLagMs: number | null
  /** Its data must contain what the session has written and seen. */
  readonly sees: boolean
  /** `maxLagMs`, or the configured limit, counts from the request and not from the last probe. */
  readonly isBounded: boolean
  /** Nobody has asked for a replica: the primary serves it where none may, whatever is configured. */
  readonly isElective?: true
}

/** The common case, and reasons of reads: with the session's watermark, and without. */
export const SEEING_REPLICA = replicaFor('read', 'proved read-only', true)
export const PLAIN_REPLICA = replicaFor('read', 'proved read-only', false)
const READ_ONLY_TRANSACTION = bothFor('read_only_transaction', 'READ ONLY transaction')
const OPTIMISTIC = optimistic('optimistic transaction')
const HINTED_REPLICA = bothFor('asked', 'hint asks for a replica')
const SET_REPLICA = bothFor('asked', "pgsplit.route is 'replica'")
const PROVED = { seeing: SEEING_REPLICA, plain: PLAIN_REPLICA }

const HINTED_PRIMARY = primaryFor('asked', 'hint asks for the primary')
const SET_PRIMARY = primaryFor('asked', "pgsplit.route is 'primary'")
const UNSPLIT = primaryFor('asked', "pgsplit.consistency is 'primary'")
const SERIALIZABLE = primaryFor('isolation', 'serializable isolation, which a standby refuses')
const DEFERRABLE = primaryFor('isolation', 'deferrable transaction, which a standby refuses')
/**
 * What a later statement needs may be on the primary only (an unlogged table, a lock, a function that
 * isn't proved to read), and a snapshot that a replica gave can't be taken there.
 */
const REPEATABLE = primaryFor(
  'isolation',
  'repeatable read: its snapshot could not follow it to the primary',
)
const CURSOR = primaryFor('cursor', 'its cursor could not follow it to the primary')
const MAY_WRITE = primaryFor('transaction', 'transaction that may write')

/** Classes are interned by fingerprint, so their requirements can be kept beside them. */
const ofClass = new WeakMap<StatementClass, Requirement>()

/**
 * Where a statement of this class must go for this session (docs/behaviour/routing.md).
 * Pure, and without allocation except for a session that has its own lag limit. Held
 * places come first, then what forbids a replica, then what people asked for.
 */
export function requirementOf(cls: StatementClass, facts: SessionFacts): Requirement {
  if (facts.pinned !== null) return primaryFor('pinned', `pinned: ${facts.pinned}`)
  if (cls.learned !== null) return primaryFor('refused', cls.learned)
  const { verdict, hint } = cls
  const begin = facts.pendingBegin
  if (!isProvedRead(cls)) {
    // SET LOCAL, SHOW or SAVEPOINT at the head of a READ ONLY transaction don't decide its node.
    if (verdict !== 'control' || begin === null || !isReadOnly(begin, facts)) return byClass(cls)
  }
  if (hint !== null && hint.route === 'primary') return HINTED_PRIMARY
  const asksReplica = hint !== null && hint.route === 'replica'
  if (facts.routeSetting === 'primary' && !asksReplica) return SET_PRIMARY
  const consistency = consistencyOf(cls, facts)
  const unsplit = consistency === 'primary' && !(asksReplica && hint.consistency === null)
  if (unsplit) return UNSPLIT
  const forbidden = forbiddenByModes(begin, facts, asksReplica)
  if (forbidden !== null) return forbidden
  const both = replicaBase(begin, asksReplica, facts)
  const sees = isCausal(consistency)
  const base = sees ? both.seeing : both.plain
  const maxLagMs = hint?.maxLagMs ?? facts.maxLagMs
  const isBounded = consistency === 'bounded'
  return maxLagMs === null && !isBounded ? base : { ...base, maxLagMs, isBounded }
}

function replicaBase(
  begin: PendingBegin | null,
  asksReplica: boolean,
  facts: SessionFacts,
): { readonly seeing: Requirement; readonly plain: Requirement } {
  if (begin?.isOptimistic === true) return OPTIMISTIC
  if (asksReplica) return HINTED_REPLICA
  if (facts.routeSetting === 'replica') return SET_REPLICA
  return begin === null ? PROVED : READ_ONLY_TRANSACTION
}

function forbiddenByModes(
  begin: PendingBegin | null,
  facts: SessionFacts,
  asksReplica: boolean,
): Requirement | null {
  const isolation = begin?.isolation ?? null
  const serializable =
    isolation === null ? facts.defaultIsolationSerializable : isolation === 'serializable'
  if (serializable) return SERIALIZABLE
  if (begin === null) return null
  if (begin.deferrable ?? facts.defaultDeferrable) return DEFERRABLE
  if (!asksReplica && !facts.wantsReplica && facts.routeSetting !== 'replica') {
    const isRepeatable =
      isolation === null ? facts.defaultIsolationRepeatable : isolation === 'repeatable read'
    if (isRepeatable) return REPEATABLE
    if (facts.opensCursor) return CURSOR
  }
  // A hint can't help here: the transaction's later writes would fail.
  return begin.isOptimistic === true || isReadOnly(begin, facts) ? null : MAY_WRITE
}

function isReadOnly(begin: TransactionModes, facts: SessionFacts): boolean {
  return begin.readOnly ?? facts.defaultReadOnly
}

function byClass(cls: StatementClass): Requirement {
  let requirement = ofClass.get(cls)
  if (requirement === undefined) {
    requirement = primaryFor(wordOf(cls), cls.reason)
    ofClass.set(cls, requirement)
  }
  return requirement
}

/** First words of what may turn out to read: queries, and what runs one. */
const QUERIES = new Set([
  'select',
  'with',
  'values',
  'table',
  'execute',
  'fetch',
  'explain',
  'copy',
])

function wordOf({ verdict, keyword }: StatementClass): RouteWord {
  if (verdict === 'control') return 'control'
  if (verdict === 'pin') return 'pins'
  return QUERIES.has(keyword) ? 'unproved' : 'write'
}

function primaryFor(word: RouteWord, reason: string): Requirement {
  const target = 'primary'
  return Object.freeze({ target, reason, word, maxLagMs: null, sees: false, isBounded: false })
}

function replicaFor(word: RouteWord, reason: string, sees: boolean): Requirement {
  const target = 'replica'
  return Object.freeze({ target, reason, word, maxLagMs: null, sees, isBounded: false })
}

function optimistic(reason: string): {
  readonly seeing: Requirement
  readonly plain: Requirement
} {
  const { seeing } = bothFor('optimistic_transaction', reason)
  const elective = Object.freeze({ ...seeing, isElective: true as const })
  return { seeing: elective, plain: elective }
}

function bothFor(
  word: RouteWord,
  reason: string,
): { readonly seeing: Requirement; readonly plain: Requirement } {
  return { seeing: replicaFor(word, reason, true), plain: replicaFor(word, reason, false) }
}
