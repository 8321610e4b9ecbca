import type { PgSplitError } from '../errors.ts'
import type { RequestMeter } from '../metrics/request-meter.ts'
import type { NodePool } from '../pool/node-pool.ts'
import type { CatalogAge } from '../routing/catalog-age.ts'
import type { ClusterCounters } from '../routing/counters.ts'
import type { DatabaseTally } from '../routing/database-tally.ts'
import type { LoadTable } from '../routing/load.ts'
import type { SessionFacts } from '../routing/requirement.ts'
import type { Route } from '../routing/route.ts'
import type { SessionPositions } from '../routing/session-positions.ts'
import type { VisibleCommits } from '../routing/visible-commits.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { Classifier } from '../sql/classifier.ts'
import type { StatementClass, TransactionModes } from '../sql/statement-class.ts'
import type { Touched } from '../sql/touched-names.ts'
import type { NodeRefusals } from './node-refusals.ts'
import type { NotificationHub } from './notification-hub.ts'
import type { StatementRegistry } from './prepared-statement.ts'
import type { ClientSession } from './session.ts'

/** What a node has done wrong, seen while using it. */
export type NodeFailure = 'refused' | 'reset' | 'shutdown' | 'timeout' | 'read-only-primary'

/** What the sessions of one user at one database share. */
export interface SessionScope {
  readonly user: string
  readonly database: string
  readonly classifier: Classifier
  /** Whether a replica's error may come of what its catalog lacks. */
  readonly catalogAge: CatalogAge
  readonly statements: StatementRegistry
  /** Custom parameters that DDL has named; see `blind-class.ts`. */
  readonly customsInDdl: Set<string>
  /** Reported parameters by session state, as a first log-in found them. */
  readonly reported: WeakMap<object, ReadonlyMap<string, string>>
  /** A session has lately used what nextval() gave it in an earlier transaction; others may, too. */
  readonly usesCurrval: boolean
  /** Isolation level of its transactions that say none; null = not asked yet. */
  defaultIsolation: TransactionModes['isolation']
  /** What all of them have written, for reads at consistency `shared`. */
  readonly written: SessionFacts
  /** Replicas that have refused its sessions lately. */
  readonly refusals: NodeRefusals
  noteCurrval(): void
  /** Carries the channels that clients of this database listen to; null: each has its own connection. */
  readonly hub: NotificationHub | null
  /** Requests share a server connection now: who waits behind a slow one is looked after. */
  watchShared(): void
  pool(nodeIndex: number): NodePool<ServerConnection>
  /** 53300 for what has waited at these nodes in vain, with who holds their connections. */
  noFree(nodeIndexes: readonly number[], waitedMs: number): PgSplitError
}

export interface SessionLimits {
  /** Longest frame that is collected whole (CopyData is streamed), bytes. */
  readonly maxRequestBytes: number
  /** Longest frame at all, CopyData included, bytes. */
  readonly maxFrameBytes: number
  /** How long a request waits for a primary when there is none, ms; 0 = not at all. */
  readonly holdMs: number
  /** How long a request waits while the cluster is paused, ms. */
  readonly pauseMs: number
  /** So many requests may wait for a primary, or for the end of a pause, at once. */
  readonly maxHeld: number
  /** Bytes of all these requests; a single one is held whatever its size. */
  readonly maxHeldBytes: number
  /** Longest request that is kept to be run again elsewhere, bytes. */
  readonly retryMaxBytes: number
  /** Messages of one client without a Sync. */
  readonly maxSegmentMessages: number
  /** Named prepared statements on one server connection. */
  readonly preparedStatements: number
  readonly poolMode: PoolMode
}

/** When a client gives its server connections back: after each transaction, or when it leaves. */
export type PoolMode = 'transaction' | 'session'

/** The cluster as sessions see it. Everything here is synchronous but `cancel`. */
export interface ClusterAccess {
  readonly name: string
  readonly load: LoadTable
  readonly limits: SessionLimits
  readonly counters: ClusterCounters
  readonly meter: RequestMeter
  /** Of all sessions of this database. */
  tallyOf(database: string): DatabaseTally
  route(cls: StatementClass, facts: SessionFacts, exclude: number): Route
  /** Would the session's reads rather go to another replica than the one where it stays? */
  wantsAway(facts: SessionFacts): boolean
  /**
   * A read finds no replica that has what its session needs: will one have it within `limitMs`, as
   * far as can be known?
   */
  isCatchingUp(cls: StatementClass, facts: SessionFacts, exclude: number, limitMs: number): boolean
  /** Of the cluster; null = not known yet. */
  readonly systemIdentifier: string | null
  /** Calls back once, when the topology or a known position has changed. The result takes that back. */
  onNews(callback: () => void): () => void
  /** The operator holds back what would begin now (PAUSE). */
  readonly isPaused: boolean
  isReplica(nodeIndex: number): boolean
  readonly hasPrimary: boolean
  /** One request more is to be run again: is there room for it in the retry budget? */
  mayRetry(): boolean
  reportFailure(nodeIndex: number, kind: NodeFailure, detail: string): void
  /** What sessions have written and seen. */
  readonly positions: SessionPositions
  /** Who shows a commit. */
  readonly visible: VisibleCommits
  /** The node has answered. */
  reportSuccess(nodeIndex: number): void
  /** A replica has refused what was judged to be a read; `isNew`: for the first time. */
  noteMisroute(
    nodeIndex: number,
    database: string,
    what: { readonly sqlstate: string; readonly keyword: string; readonly reason: string },
    isNew: boolean,
  ): void
  /** DDL passed through in `database`. */
  noteDdl(database: string, touches: Touched): void
  /** ALTER ROLE/DATABASE … SET: idle server connections would keep the old defaults. */
  noteDefaultsChange(): void
  /** A session has taken a role by SET ROLE or SET SESSION AUTHORIZATION. */
  noteTakenRole(session: ClientSession, setting: 'role' | 'session_authorization'): void
  /** A statement needs a database that nobody is connected to: what nobody uses is closed. */
  vacate(database: string): void
  /** Resolves when the server has dealt with the cancel request. Never rejects. */
  cancel(connection: ServerConnection): Promise<void>
  nowMs(): number
}
