import type { Credential } from '../auth/credential.ts'
import {
  type ClusterAccess,
  type ClusterCounters,
  type NodeFailure,
  newCounters,
  type SessionLimits,
} from '../client/cluster-access.ts'
import { RetryBudget } from '../client/retry-budget.ts'
import type { ClusterConfig, LimitsConfig, NodeConfig } from '../config/config.ts'
import { PgSplitError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { ServerTls } from '../net/tls-options.ts'
import { connectNode } from '../node-client.ts'
import type { PoolOptions } from '../pool/pooled.ts'
import { createBalancer } from '../routing/balancers/create-balancer.ts'
import { LoadTable } from '../routing/load.ts'
import type { SessionFacts } from '../routing/requirement.ts'
import type { Route } from '../routing/route.ts'
import { Router } from '../routing/router.ts'
import { SessionPositions } from '../routing/session-positions.ts'
import { cancelServer } from '../server/cancel-request.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import { Monitor } from '../topology/monitor.ts'
import { News } from '../topology/news.ts'
import { PositionSampler } from '../topology/position-sampler.ts'
import { nodeAt, type Snapshot } from '../topology/snapshot.ts'
import { DatabaseCatalog } from './database-catalog.ts'
import { DefaultsChange } from './defaults-change.ts'
import { Departures } from './departures.ts'
import { Members, specOf } from './members.ts'
import { Membership } from './membership.ts'
import { probeOpener } from './open-probe.ts'
import { openServer } from './open-server.ts'
import { Scope } from './scope.ts'
import { SilentNodes } from './silent-nodes.ts'

/** How often pools look for idle and old connections, ms. */
const pruneEveryMs = 1_000

/**
 * One cluster at work: its monitor, router, catalogs and pools. Sessions see it as `ClusterAccess`.
 */
export class Cluster implements ClusterAccess {
  readonly config: ClusterConfig
  readonly name: string
  readonly load = new LoadTable()
  readonly limits: SessionLimits
  readonly counters: ClusterCounters = newCounters()
  readonly monitor: Monitor
  readonly members: Members
  readonly positions: SessionPositions
  readonly scopes = new Map<string, Scope>()
  readonly #catalogs = new Map<string, DatabaseCatalog>()
  readonly #router: Router
  readonly #membership: Membership | null
  readonly #departures: Departures
  readonly #sampler: PositionSampler
  readonly #defaults: DefaultsChange
  readonly #news = new News()
  readonly #retries: RetryBudget
  readonly #silent: SilentNodes
  #lastPrimary: number | null = null
  readonly #log: Logger
  readonly #pruner: NodeJS.Timeout

  constructor(config: ClusterConfig, limits: LimitsConfig, log: Logger) {
    this.config = config
    this.name = config.name
    this.#log = log.child({ cluster: config.name })
    this.limits = {
      maxRequestBytes: limits.maxBufferedRequestBytes,
      maxFrameBytes: limits.maxFrameBytes,
      retryMaxBytes: limits.retryMaxBytes,
      holdMs: config.failover.holdWritesMs,
      maxHeld: config.failover.maxHeld,
      preparedStatements: config.pool.preparedStatements,
      poolMode: config.pool.mode,
    }
    this.members = new Members(config)
    const { routing } = config
    const openProbe = probeOpener((index) => this.members.at(index))
    this.monitor = new Monitor({
      nodes: this.members.all.map(specOf),
      isOpen: config.discovery !== null,
      openProbe,
      probeIntervalMs: config.monitor.probeIntervalMs,
      probeTimeoutMs: config.monitor.probeTimeoutMs,
      rise: config.monitor.rise,
      fall: config.monitor.fall,
      maxFails: routing.maxFails,
      failTimeoutMs: routing.failTimeoutMs,
      maxLagMs: routing.maxLagMs,
      maxLagResumeMs: routing.maxLagResumeMs,
      slowStartMs: routing.slowStartMs,
      onEvent: (event) => {
        const { kind, ...facts } = event
        const isBad = /down|fenced|banned|lagging|failed|degraded|lost/.test(
          `${kind} ${facts.reason}`,
        )
        const text = 'node' in facts ? `${facts.node}: ${facts.detail}` : facts.detail
        this.#log[isBad ? 'warn' : 'info']({ event: kind, ...facts }, text)
        if (event.kind === 'node-down' && event.reason === 'timeout') this.#leaveSilent(event.node)
      },
    })
    this.#sampler = new PositionSampler({
      openProbe,
      snapshot: () => this.monitor.snapshot,
      nowMs: () => this.nowMs(),
      news: this.#news,
    })
    this.monitor.onSnapshot((snapshot) => {
      void this.#sampler.replicas.follow(snapshot)
      this.#leaveOldPrimary(snapshot)
      this.#news.tell()
    })
    this.#router = new Router({
      balancer: createBalancer(routing.balancer),
      load: this.load,
      zone: routing.zone ?? null,
      fallbackToPrimary: routing.fallbackToPrimary,
      positions: this.#sampler.replicas,
      maxLagMs: routing.maxLagMs,
      nowMs: () => this.nowMs(),
    })
    this.#defaults = new DefaultsChange({
      scopes: this.scopes,
      sampler: this.#sampler,
      snapshot: () => this.monitor.snapshot,
      nowMs: () => this.nowMs(),
    })
    this.#departures = new Departures({
      members: this.members,
      monitor: this.monitor,
      sampler: this.#sampler,
      scopes: this.scopes,
      load: this.load,
      counters: this.counters,
      drainTimeoutMs: limits.drainTimeoutMs,
      nowMs: () => this.nowMs(),
    })
    this.monitor.onSnapshot((snapshot) => this.#departures.note(snapshot))
    const { discovery } = config
    const { monitor, members } = this
    this.#membership =
      discovery === null
        ? null
        : new Membership({ config, discovery, members, monitor, log: this.#log })
    this.positions = new SessionPositions(this.#sampler, () => this.monitor.snapshot)
    this.#retries = new RetryBudget(routing.retryShare)
    this.#silent = new SilentNodes({
      load: this.load,
      counters: this.counters,
      snapshot: () => this.monitor.snapshot,
      nowMs: () => this.nowMs(),
      readTimeoutMs: routing.readTimeoutMs,
      onSilent: (nodeIndex) => {
        for (const scope of this.scopes.values()) scope.leaveSilent(nodeIndex)
        this.reportFailure(nodeIndex, 'timeout', 'owes answers and gives no sign of life')
      },
    })
    this.#pruner = setInterval(() => this.#prune(), pruneEveryMs)
    this.#pruner.unref()
  }

  node(index: number): NodeConfig {
    return this.members.of(index).node
  }

  tls(index: number): ServerTls {
    return this.members.of(index).tls
  }

  get snapshot(): Snapshot {
    return this.monitor.snapshot
  }

  async start(): Promise<void> {
    await this.#membership?.start()
    await this.monitor.start()
    // Sessions read only from replicas whose restart would be noticed.
    await this.#sampler.replicas.follow(this.monitor.snapshot)
  }

  async stop(): Promise<void> {
    clearInterval(this.#pruner)
    this.#silent.stop()
    this.#defaults.stop()
    this.#sampler.stop()
    await this.#membership?.stop()
    const error = new PgSplitError({ sqlstate: '57P01', message: 'pgsplit is shutting down' })
    for (const scope of this.scopes.values()) scope.close(error)
    for (const catalog of this.#catalogs.values()) catalog.stop()
    await this.monitor.stop()
  }

  route(cls: StatementClass, facts: SessionFacts, exclude: number): Route {
    if (facts.dirtySince >= 0 || facts.reader >= 0) this.positions.settle(facts)
    const route = this.#router.route(cls, facts, this.monitor.snapshot, exclude)
    if (route.isBehind === true) this.positions.chase(facts, route)
    const level = cls.hint?.consistency ?? facts.consistency
    if (level === 'bounded' && route.target === 'replica') this.positions.watch()
    return route
  }

  mayRetry(): boolean {
    return this.#retries.take(this.counters.queries)
  }

  wantsAway(facts: SessionFacts): boolean {
    return this.#router.wantsAway(facts, this.monitor.snapshot)
  }

  get systemIdentifier(): string | null {
    return this.monitor.snapshot.systemIdentifier
  }

  onNews(callback: () => void): () => void {
    return this.#news.onNext(callback)
  }

  isReplica(nodeIndex: number): boolean {
    return nodeAt(this.monitor.snapshot, nodeIndex)?.role === 'replica'
  }

  reportFailure(nodeIndex: number, kind: NodeFailure, detail: string): void {
    this.monitor.reportFailure(nodeIndex, kind, detail)
  }

  reportSuccess(nodeIndex: number): void {
    this.monitor.reportSuccess(nodeIndex)
  }

  noteDdl(database: string): void {
    this.#catalogs.get(database)?.invalidate()
  }

  vacate(database: string): void {
    for (const scope of this.scopes.values()) if (scope.database === database) scope.recycle()
    this.#catalogs.get(database)?.leave()
  }

  noteDefaultsChange(): void {
    this.#defaults.note()
  }

  async cancel(connection: ServerConnection): Promise<void> {
    const { host, port } = this.node(connection.nodeIndex)
    try {
      await cancelServer({
        target: { host, port },
        processId: connection.processId,
        secretKey: connection.secretKey,
        tls: this.tls(connection.nodeIndex),
      })
    } catch (error) {
      this.#log.warn(
        { event: 'cancel_failed', server: connection.id, node: connection.nodeId, error },
        'a cancel request did not reach its server',
      )
    }
  }

  nowMs(): number {
    return performance.now()
  }

  /** What sessions of `user` at `database` share; `credential` logs in at the servers. */
  scope(user: string, database: string, serverUser: string, credential: Credential): Scope {
    const key = `${user}\0${serverUser}\0${database}`
    let scope = this.scopes.get(key)
    if (scope === undefined) {
      scope = new Scope({
        cluster: this,
        user,
        database,
        catalog: this.#catalog(database),
        poolOptions: this.#poolOptions(),
        open: (nodeIndex, using, events) =>
          openServer(this, nodeIndex, serverUser, database, using, events),
        log: this.#log,
      })
      this.scopes.set(key, scope)
    }
    // The newest proof counts: the role's password may have changed.
    if (credential.kind !== 'none' || scope.credential.kind === 'none')
      scope.credential = credential
    return scope
  }

  #catalog(database: string): DatabaseCatalog {
    let catalog = this.#catalogs.get(database)
    if (catalog === undefined) {
      catalog = new DatabaseCatalog(
        database,
        this.#log,
        async () => {
          const { primary } = this.monitor.snapshot
          if (primary === null) throw new Error('there is no primary now')
          return connectNode(this.node(primary.index), {
            database,
            connectTimeoutMs: this.config.pool.connectTimeoutMs,
            statementTimeoutMs: 10_000,
          })
        },
        () => this.noteDefaultsChange(),
      )
      this.#catalogs.set(database, catalog)
    }
    return catalog
  }

  #poolOptions(): PoolOptions {
    const { pool } = this.config
    return {
      size: pool.size,
      sharedDepth: 8,
      checkoutTimeoutMs: pool.checkoutTimeoutMs,
      idleTimeoutMs: pool.idleTimeoutMs,
      maxLifetimeMs: pool.maxLifetimeMs,
    }
  }

  /** A host that is gone without a word never resets its connections. */
  #leaveSilent(nodeId: string): void {
    for (const { node, index } of this.members.all) {
      if (node.name !== nodeId || !this.isReplica(index)) continue
      for (const scope of this.scopes.values()) scope.leaveSilent(index)
    }
  }

  /**
   * Another primary was elected: who waits for an answer of the old one would wait for good, and an
   * old one that still lives must not be asked for its catalog.
   */
  #leaveOldPrimary({ primary }: Snapshot): void {
    if (primary === null || primary.index === this.#lastPrimary) return
    const old = this.#lastPrimary
    this.#lastPrimary = primary.index
    if (old === null) return
    const error = new Error(`${primary.id} has taken over as the primary`)
    for (const scope of this.scopes.values()) scope.leave(old, error)
    for (const catalog of this.#catalogs.values()) catalog.leave()
  }

  #prune(): void {
    for (const scope of this.scopes.values()) scope.prune()
    this.#departures.reap()
  }
}
