import { type Credential, noCredential } from '../auth/credential.ts'
import type { SessionScope } from '../client/cluster-access.ts'
import { noFreeConnection } from '../client/no-free-connection.ts'
import { NodeRefusals } from '../client/node-refusals.ts'
import type { NotificationHub } from '../client/notification-hub.ts'
import { StatementRegistry } from '../client/prepared-statement.ts'
import { moveWaiting, owesOnlyReads } from '../client/rerun-request.ts'
import type { ClientSession } from '../client/session.ts'
import { forgetCurrval } from '../client/settle-lease.ts'
import type { DatabaseCatalog } from '../core/database-catalog.ts'
import type { NodeUse } from '../core/node-use.ts'
import { tellAdmitted, tellRefused } from '../core/tell-login.ts'
import { PgSplitError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { nowMs } from '../net/turn-clock.ts'
import { NodePool } from '../pool/node-pool.ts'
import type { NodeRoom } from '../pool/node-room.ts'
import type { PoolOptions } from '../pool/pooled.ts'
import type { CatalogAge } from '../routing/catalog-age.ts'
import { isFatalConflict } from '../routing/judge-error.ts'
import { isLoginRefusal } from '../routing/refused-nodes.ts'
import { initialFacts } from '../routing/requirement.ts'
import { ConnectError } from '../server/connect-error.ts'
import type { ServerConnection, ServerConnectionEvents } from '../server/server-connection.ts'
import type { Classifier } from '../sql/classifier.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import type { Cluster } from './cluster.ts'
import type { ScopeIdentity } from './scope-identity.ts'

export interface ScopeOptions {
  readonly cluster: Cluster
  readonly identity: ScopeIdentity
  readonly user: string
  readonly database: string
  readonly catalog: DatabaseCatalog
  readonly hub?: NotificationHub
  readonly poolOptions: PoolOptions
  /** What the pools of all scopes share at a node. */
  readonly room?: (nodeIndex: number) => NodeRoom
  readonly open: (
    nodeIndex: number,
    using: Credential,
    events: ServerConnectionEvents,
  ) => Promise<ServerConnection>
  readonly log: Logger
}

/** A head of a shared queue that runs longer than this frees those behind it, ms. */
const stallMs = 20

/** So long after the last currval() across transactions sessions are pinned at nextval(), ms. */
const currvalMs = 10 * 60_000

/** The pools, statements and classifier of one user at one database. */
export class Scope implements SessionScope, ServerConnectionEvents, NodeUse {
  readonly user: string
  readonly database: string
  /** Who its connections are. */
  readonly identity: ScopeIdentity
  /** The role or the database is gone: it lets nobody in any more. */
  isGone = false
  readonly classifier: Classifier
  readonly catalogAge: CatalogAge
  readonly hub: NotificationHub | null
  readonly statements = new StatementRegistry()
  readonly customsInDdl = new Set<string>()
  reported = new WeakMap<object, ReadonlyMap<string, string>>()
  readonly written = initialFacts()
  readonly refusals = new NodeRefusals()
  defaultIsolation: SessionScope['defaultIsolation'] = null
  readonly sessions = new Set<ClientSession>()
  readonly pools = new Map<number, NodePool<ServerConnection>>()
  /** When a session last used currval() across transactions, ms; null: none has lately. */
  #currvalAtMs: number | null = null
  credential: Credential = noCredential
  readonly #options: ScopeOptions
  #poolOptions: PoolOptions
  #stallTimer: NodeJS.Timeout | null = null
  /** Clients that log in or have a session. */
  #clients = 0
  #unusedSinceMs: number | null = null
  #farewell = ''

  constructor(options: ScopeOptions) {
    this.#options = options
    this.#poolOptions = options.poolOptions
    this.user = options.user
    this.database = options.database
    this.identity = options.identity
    this.classifier = options.catalog.classifier
    this.catalogAge = options.catalog.age
    this.hub = options.hub ?? null
    options.catalog.users++
  }

  /** A client logs in: the catalog is watched until the function that it returns is called. */
  enter(): () => void {
    this.#clients++
    const letGo = this.#options.catalog.hold()
    let isIn = true
    return () => {
      if (isIn) this.#clients--
      isIn = false
      letGo()
    }
  }

  /** For how long nobody has used it and it has had no connection, ms. */
  unusedMs(nowMs: number): number {
    const isUsed = this.#clients > 0 || [...this.pools.keys()].some((node) => !this.isEmpty(node))
    this.#unusedSinceMs = isUsed ? null : (this.#unusedSinceMs ?? nowMs)
    return this.#unusedSinceMs === null ? 0 : nowMs - this.#unusedSinceMs
  }

  /** Resolves when reads can be proved, or after `timeoutMs`: then they go to the primary at first. */
  async catalogReady(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs)
    })
    await Promise.race([this.#options.catalog.ready, timeout])
    clearTimeout(timer)
  }

  pool(nodeIndex: number): NodePool<ServerConnection> {
    // Who was busy when it went wants a connection again: there is none any more.
    if (this.isGone) setImmediate(() => this.sendAway())
    let pool = this.pools.get(nodeIndex)
    if (pool === undefined) {
      pool = new NodePool<ServerConnection>(
        this.#poolOptions,
        {
          open: () => this.#open(nodeIndex),
          timeoutError: (_counts, waitedMs) => this.noFree([nodeIndex], waitedMs),
          onLease: (change) => this.#options.cluster.load.lease(nodeIndex, change),
          isFull: (error) =>
            (error instanceof PgSplitError && error.sqlstate === '53300') ||
            (error instanceof ConnectError && error.failure === 'own'),
          nowMs,
        },
        this.#options.room?.(nodeIndex) ?? null,
      )
      this.pools.set(nodeIndex, pool)
      if (this.isGone) pool.close(this.#gone())
    }
    return pool
  }

  /** What a replica refuses, though it answers, is told once, and not asked for by each read. */
  async #open(nodeIndex: number): Promise<ServerConnection> {
    const { open, cluster, log } = this.#options
    const { refusals } = this
    try {
      const connection = await open(nodeIndex, this.credential, this)
      if (refusals.logins.end(nodeIndex)) tellAdmitted(log, connection.nodeId, this)
      return connection
    } catch (error) {
      if (error instanceof PgSplitError && isRefusal(error) && cluster.isReplica(nodeIndex)) {
        const { sqlstate, message } = error
        if (refusals.logins.note(nodeIndex, `${sqlstate}: ${message}`, nowMs())) {
          tellRefused(log, cluster.node(nodeIndex).name, this, error)
        }
      }
      throw error
    }
  }

  /**
   * Logs in at the primary as the client would, whose log-in a trigger may refuse: those of pooled
   * connections tell nothing of this one. Rejects with what the server said.
   */
  async knock(): Promise<void> {
    const { open, cluster } = this.#options
    const { primary } = cluster.snapshot
    if (primary === null) return
    try {
      const connection = await open(primary.index, this.credential, this)
      connection.close()
    } catch (error) {
      if (error instanceof PgSplitError && isRefusal(error)) throw error
    }
  }

  noFree(nodeIndexes: readonly number[], waitedMs: number): PgSplitError {
    const { cluster } = this.#options
    const places = nodeIndexes.map((index) => ({
      pool: this.pool(index),
      node: cluster.node(index).name,
      isReplica: cluster.isReplica(index),
      others: this.#options.room?.(index)?.openBeside(this.pool(index)) ?? 0,
    }))
    return noFreeConnection(places, this.#poolOptions, waitedMs, nowMs())
  }

  get usesCurrval(): boolean {
    return this.#currvalAtMs !== null
  }

  noteCurrval(): void {
    this.#currvalAtMs = nowMs()
  }

  watchShared(): void {
    if (this.#stallTimer !== null) return
    this.#stallTimer = setInterval(() => this.#relieve(), stallMs / 2)
    this.#stallTimer.unref()
  }

  #stopWatching(): void {
    if (this.#stallTimer !== null) clearInterval(this.#stallTimer)
    this.#stallTimer = null
  }

  /** Frees requests that wait behind a slow one, or behind a slow reader. */
  #relieve(): void {
    const now = nowMs()
    let isShared = false
    for (const pool of this.pools.values()) {
      for (const connection of pool.connections) {
        if (connection.queue.size === 0 || pool.isLeased(connection)) continue
        isShared = true
        if (connection.queue.size < 2) continue
        if (now - (connection.headSinceMs ?? 0) < stallMs && !connection.isReaderSlow) continue
        pool.stall(connection)
        moveWaiting(connection)
      }
    }
    if (!isShared) this.#stopWatching()
  }

  onQuiet(connection: ServerConnection): void {
    this.pools.get(connection.nodeIndex)?.quiet(connection)
  }

  onLost(connection: ServerConnection, error: Error, fatal: ErrorFields | null): void {
    this.pools.get(connection.nodeIndex)?.remove(connection)
    const isOfClient = fatal !== null && /^(57P05|25P0[34]|57014|08P01)/.test(fatal.sqlstate)
    this.#options.log.info(
      {
        event: 'server_lost',
        server: connection.id,
        node: connection.nodeId,
        reason: fatal?.sqlstate ?? 'closed',
        detail: fatal?.message ?? error.message,
      },
      'server connection lost',
    )
    if (isOfClient || (fatal !== null && isFatalConflict(fatal))) return
    // pg_terminate_backend says 57P01, too: the probe tells whether the node is really going.
    if (fatal !== null && /^57P0[23]$/.test(fatal.sqlstate)) {
      this.#options.cluster.reportFailure(connection.nodeIndex, 'shutdown', fatal.message)
    } else this.#options.cluster.reportFailure(connection.nodeIndex, 'reset', error.message)
  }

  onStrayNotice(connection: ServerConnection, fields: ErrorFields): void {
    this.#options.log.info(
      {
        event: 'server_notice',
        server: connection.id,
        node: connection.nodeId,
        reason: fields.sqlstate,
      },
      'notice on an idle server connection',
    )
  }

  /**
   * The replica has stopped answering: reads that wait for it run elsewhere; what can't, as its
   * transaction or a part of its answer is there, is told so.
   */
  leaveSilent(nodeIndex: number): void {
    const pool = this.pools.get(nodeIndex)
    if (pool === undefined) return
    const error = new Error('the node has stopped answering')
    // Waiters first: for each connection that goes another one would be opened for them.
    pool.failWaiters(error)
    for (const connection of [...pool.connections]) {
      if (connection.queue.size > 0) connection.destroy(error)
    }
  }

  leaveSilentReads(nodeIndex: number): void {
    const pool = this.pools.get(nodeIndex)
    if (pool === undefined) return
    const error = new Error('the node has stopped answering')
    for (const connection of [...pool.connections]) {
      if (owesOnlyReads(connection)) connection.destroy(error)
    }
  }

  /** A connection beside the pools, as this user. */
  open(nodeIndex: number, events: ServerConnectionEvents): Promise<ServerConnection> {
    return this.#options.open(nodeIndex, this.credential, events)
  }

  /** How many requests wait for a connection to the node. */
  waitingAt(nodeIndex: number): number {
    return this.pools.get(nodeIndex)?.counts().waiting ?? 0
  }

  /** The node is the primary no more: nothing of it is used on. */
  leave(nodeIndex: number, error: Error): void {
    const pool = this.pools.get(nodeIndex)
    if (pool === undefined) return
    // Waiters first: for each connection that goes another one would be opened for them. What is
    // being opened now is not used either.
    pool.recycle()
    pool.failWaiters(error)
    for (const connection of [...pool.connections]) connection.destroy(error)
  }

  /** The node leaves: no connection there is kept beyond its present use. */
  retire(nodeIndex: number): void {
    this.pools.get(nodeIndex)?.recycle()
  }

  /** The node's time is up: who still uses it is told. */
  abandon(nodeIndex: number, error: Error): void {
    const pool = this.pools.get(nodeIndex)
    if (pool === undefined) return
    pool.close(error)
    for (const connection of [...pool.connections]) connection.destroy(error)
  }

  /** Whether nothing of this scope is at the node or on its way there. */
  isEmpty(nodeIndex: number): boolean {
    const pool = this.pools.get(nodeIndex)
    if (pool === undefined) return true
    const { connecting, waiting } = pool.counts()
    return pool.connections.size === 0 && connecting === 0 && waiting === 0
  }

  /** The node has left, and its index may be given to another one. */
  forget(nodeIndex: number): void {
    this.pools.get(nodeIndex)?.close(new Error('the node has left the cluster'))
    this.pools.delete(nodeIndex)
    this.refusals.logins.end(nodeIndex)
  }

  /** Other sizes and time-outs. */
  reconfigure(options: PoolOptions): void {
    this.#poolOptions = options
    for (const pool of this.pools.values()) pool.reconfigure(options)
  }

  prune(): void {
    for (const pool of this.pools.values()) pool.prune()
    if (this.#currvalAtMs === null || nowMs() - this.#currvalAtMs < currvalMs) return
    this.#currvalAtMs = null
    for (const session of this.sessions) if (session.pinReason !== null) forgetCurrval(session)
  }

  /** What sessions start with has changed: connections from before are not used again. */
  recycle(): void {
    this.reported = new WeakMap()
    this.defaultIsolation = null
    for (const pool of this.pools.values()) pool.recycle()
  }

  recycleNode(nodeIndex: number): void {
    this.pools.get(nodeIndex)?.recycle()
  }

  /**
   * Its role or its database is gone. Sessions end as by pg_terminate_backend(), those that run
   * something when it is done; see `sendAway`.
   */
  bury(why: string): void {
    if (this.isGone) return
    this.isGone = true
    this.#farewell = `terminating connection because ${why}`
    for (const pool of this.pools.values()) pool.close(this.#gone())
    this.sendAway()
  }

  #gone(): PgSplitError {
    return new PgSplitError({ sqlstate: '57P01', message: this.#farewell, severity: 'FATAL' })
  }

  /** Ends who runs nothing of a scope that is gone, also who waits for a connection there. */
  sendAway(): void {
    if (!this.isGone) return
    for (const session of [...this.sessions]) {
      const runsNothing = session.inFlight.length === 0 && session.lease === null
      if (session.isIdle || runsNothing) session.sendAway('57P01', this.#farewell)
    }
  }

  close(error: Error): void {
    this.#stopWatching()
    this.#options.catalog.users--
    for (const pool of this.pools.values()) pool.close(error)
  }
}

/** Has the server said no to this user? Full, unreachable or going away is another matter. */
function isRefusal({ sqlstate }: PgSplitError): boolean {
  return isLoginRefusal(sqlstate)
}
