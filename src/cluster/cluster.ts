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
import { NodeRoom } from '../pool/node-room.ts'
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
import { monitorTuningOf, poolOptionsOf, sessionLimitsOf } from './cluster-options.ts'
import { DatabaseCatalog } from './database-catalog.ts'
import { DefaultsChange } from './defaults-change.ts'
import { Departures } from './departures.ts'
import { Members, specOf } from './members.ts'
import { Membership } from './membership.ts'
import { prepareNodes } from './node-changes.ts'
import { positionOpener } from './open-positions.ts'
import { probeOpener } from './open-probe.ts'
import { openServer } from './open-server.ts'
import { Pause } from './pause.ts'
import { Scope } from './scope.ts'
import { SilentNodes } from './silent-nodes.ts'

/** How often pools look for idle and old connections, ms. */
const pruneEveryMs = 1_000

const pausedRoute: Route = Object.freeze({
  node: null,
  target: 'primary',
  reason: 'the cluster is paused by the operator',
})

/**
 * One cluster at work: its monitor, router, catalogs and pools. Sessions see it as `ClusterAccess`.
 */
export class Cluster implements ClusterAccess {
  config: ClusterConfig
  readonly name: string
  readonly load = new LoadTable()
  limits: SessionLimits
  readonly counters: ClusterCounters = newCounters()
  readonly monitor: Monitor
  readonly members: Members
  readonly positions: SessionPositions
  readonly scopes = new Map<string, Scope>()
  /** By node: what the pools of all scopes share there. */
  readonly #rooms = new Map<number, NodeRoom>()
  readonly #catalogs = new Map<string, DatabaseCatalog>()
  #router: Router
  readonly #membership: Membership | null
  readonly #departures: Departures
  readonly #sampler: PositionSampler
  readonly #defaults: DefaultsChange
  readonly #news = new News()
  #retries: RetryBudget
  #silent: SilentNodes
  readonly #pause: Pause
  #drainTimeoutMs: number
  #lastPrimary: number | null = null
  #lastTimeline: number | null = null
  readonly #log: Logger
  readonly #pruner: NodeJS.Timeout

  constructor(config: ClusterConfig, limits: LimitsConfig, log: Logger) {
    this.config = config
    this.name = config.name
    this.#log = log.child({ cluster: config.name })
    this.limits = sessionLimitsOf(config, limits)
    this.#drainTimeoutMs = limits.drainTimeoutMs
    this.#pause = new Pause({
      cluster: config.name,
      scopes: this.scopes,
      timeoutMs: () => this.limits.pauseMs,
      onEnd: () => this.#news.tell(),
    })
    this.members = new Members(config)
    const nodeOf = (index: number) => this.members.at(index)
    const openProbe = probeOpener(nodeOf)
    this.monitor = new Monitor({
      nodes: this.members.all.map(specOf),
      isOpen: config.discovery !== null,
      openProbe,
      ...monitorTuningOf(config),
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
      openProbe: positionOpener(nodeOf, () => this.nowMs()),
      snapshot: () => this.monitor.snapshot,
      nowMs: () => this.nowMs(),
      news: this.#news,
    })
    this.monitor.onSnapshot((snapshot) => {
      void this.#sampler.replicas.follow(snapshot)
      this.#leaveOldPrimary(snapshot)
      this.#news.tell()
    })
    this.#router = this.#newRouter()
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
      drainTimeoutMs: () => this.#drainTimeoutMs,
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
    this.#retries = new RetryBudget(config.routing.retryShare)
    this.#silent = this.#watchSilence()
    this.#pruner = setInterval(() => this.#prune(), pruneEveryMs)
    this.#pruner.unref()
  }

  #newRouter(): Router {
    const { routing } = this.config
    return new Router({
      balancer: createBalancer(routing.balancer),
      load: this.load,
      zone: routing.zone ?? null,
      fallbackToPrimary: routing.fallbackToPrimary,
      positions: this.#sampler.replicas,
      maxLagMs: routing.maxLagMs,
      nowMs: () => this.nowMs(),
    })
  }

  #watchSilence(): SilentNodes {
    return new SilentNodes({
      load: this.load,
      counters: this.counters,
      snapshot: () => this.monitor.snapshot,
      nowMs: () => this.nowMs(),
      waiting: (nodeIndex) => {
        let waiting = 0
        for (const scope of this.scopes.values()) waiting += scope.waitingAt(nodeIndex)
        return waiting
      },
      ask: (nodeIndex) => void this.monitor.probeNow(nodeIndex),
      readTimeoutMs: this.config.routing.readTimeoutMs,
      onSilent: (nodeIndex) => {
        for (const scope of this.scopes.values()) scope.leaveSilent(nodeIndex)
        // Not 'timeout', which would leave it in: it gets nothing until a probe is answered.
        this.reportFailure(nodeIndex, 'reset', 'owes answers and gives no sign of life')
      },
    })
  }

  /**
   * Goes on with another configuration. Throws ConfigError when it can't, and nothing has changed;
   * what it returns puts the change in force and never fails.
   */
  prepare(config: ClusterConfig, limits: LimitsConfig): () => void {
    const changeNodes = prepareNodes(this, config)
    return () => {
      this.config = config
      this.limits = sessionLimitsOf(config, limits)
      this.#drainTimeoutMs = limits.drainTimeoutMs
      this.#router = this.#newRouter()
      this.#retries = new RetryBudget(config.routing.retryShare)
      this.#silent.stop()
      this.#silent = this.#watchSilence()
      for (const scope of this.scopes.values()) scope.reconfigure(poolOptionsOf(config))
      changeNodes()
      this.monitor.retune(monitorTuningOf(config))
    }
  }

  set logLevel(level: string) {
    this.#log.level = level
  }

  get isPaused(): boolean {
    return this.#pause.isOn
  }

  /** See `Pause.begin`. */
  async pause(signal: AbortSignal): Promise<void> {
    this.#log.info({ event: 'pausing', reason: 'operator' }, 'requests are held back')
    try {
      await this.#pause.begin(signal)
    } catch (error) {
      this.#log.warn({ event: 'pause_failed', reason: 'operator', error }, 'PAUSE was taken back')
      throw error
    }
    this.#log.info({ event: 'paused', reason: 'operator' }, 'nothing runs any more')
  }

  resume(): void {
    if (!this.#pause.isOn) return
    this.#pause.end()
    this.#log.info({ event: 'resumed', reason: 'operator' }, 'requests go on')
  }

  /** Resolves when the cluster is not paused. Rejects with 57P03 when that takes too long. */
  untilResumed(): Promise<void> {
    return this.#pause.over()
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
    this.#pause.end()
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
    if (this.#pause.isOn) return pausedRoute
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
        poolOptions: poolOptionsOf(this.config),
        room: (nodeIndex) => this.#room(nodeIndex),
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

  #room(nodeIndex: number): NodeRoom {
    let room = this.#rooms.get(nodeIndex)
    if (room === undefined) {
      room = new NodeRoom(
        () => this.members.at(nodeIndex)?.node.maxConnections ?? Number.POSITIVE_INFINITY,
      )
      this.#rooms.set(nodeIndex, room)
    }
    return room
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
  #leaveOldPrimary(snapshot: Snapshot): void {
    const { primary, timeline } = snapshot
    if (primary === null || primary.index === this.#lastPrimary) return
    const old = this.#lastPrimary
    const isSameTimeline = this.#lastTimeline === timeline
    this.#lastPrimary = primary.index
    this.#lastTimeline = timeline
    if (old === null) return
    // The same server under another name or address: nobody was promoted, and what runs may end.
    if (isSameTimeline && nodeAt(snapshot, old)?.leaving === true) return
    const error = new Error(`${primary.id} has taken over as the primary`)
    for (const scope of this.scopes.values()) scope.leave(old, error)
    for (const catalog of this.#catalogs.values()) catalog.leave()
  }

  #prune(): void {
    for (const scope of this.scopes.values()) scope.prune()
    this.#departures.reap()
  }
}
