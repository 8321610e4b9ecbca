import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { RequestMeter } from '../metrics/request-meter.ts'
import type { ServerTls } from '../net/tls-options.ts'
import { nowMs } from '../net/turn-clock.ts'
import { connectNode } from '../node-client.ts'
import { createBalancer } from '../routing/balancers/create-balancer.ts'
import { type ClusterCounters, newCounters } from '../routing/counters.ts'
import { LoadTable } from '../routing/load.ts'
import { unknownSince } from '../routing/owed.ts'
import { consistencyOf, type SessionFacts } from '../routing/requirement.ts'
import { RetryBudget } from '../routing/retry-budget.ts'
import type { Route } from '../routing/route.ts'
import { Router } from '../routing/router.ts'
import { SessionPositions } from '../routing/session-positions.ts'
import { VisibleCommits } from '../routing/visible-commits.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import type { Touched } from '../sql/touched-names.ts'
import type { Lsn } from '../topology/lsn.ts'
import { Monitor, type PassiveFailure } from '../topology/monitor.ts'
import type { MonitorTuning } from '../topology/monitor-options.ts'
import { News } from '../topology/news.ts'
import { PositionSampler } from '../topology/position-sampler.ts'
import { nodeAt, type Snapshot } from '../topology/snapshot.ts'
import { type CatalogSource, catalogSource, sameSource } from './catalog-source.ts'
import { DatabaseCatalog } from './database-catalog.ts'
import { Departures } from './departures.ts'
import type { EventLog } from './event-log.ts'
import { Members, specOf } from './members.ts'
import { Membership } from './membership.ts'
import { NodeSettings } from './node-settings.ts'
import type { NodeUse } from './node-use.ts'
import { probeOpener } from './open-probe.ts'
import { SilentNodes } from './silent-nodes.ts'

/** How often nodes that leave, and what the doors add, are looked after, ms. */
const tidyEveryMs = 1_000

/** How long the start waits for what the nodes' configurations say, ms. */
const settingsWaitMs = 3_000

/** Bounds of probes' connections; the monitor and the sampler give up much earlier. */
const probeTimeouts = { connectTimeoutMs: 10_000, statementTimeoutMs: 10_000 }

/** What a replica has refused, as far as a log may tell it. */
export interface Misroute {
  readonly sqlstate: string
  /** First word of the statement. */
  readonly keyword: string
  /** Why it was judged to be a read. */
  readonly reason: string
}

export interface ClusterCoreOptions<Use extends NodeUse> {
  readonly config: ClusterConfig
  readonly log: EventLog
  /** How long what runs at a node that leaves may go on, ms. */
  readonly drainTimeoutMs: number
  /** Who has connections to the nodes, by a name of its own; the door adds and removes them. */
  readonly uses: Map<string, Use>
}

/**
 * One cluster as both doors share it: who is primary, who lags how far, which node may serve what,
 * what sessions have written and seen, and the catalogs that statements are judged by. It knows no
 * client and no pool.
 */
export class ClusterCore<Use extends NodeUse = NodeUse> {
  config: ClusterConfig
  readonly name: string
  readonly load = new LoadTable()
  readonly counters: ClusterCounters = newCounters()
  readonly meter = new RequestMeter()
  readonly monitor: Monitor
  readonly members: Members
  readonly positions: SessionPositions
  readonly visible: VisibleCommits
  readonly settings: NodeSettings
  protected readonly uses: Map<string, Use>
  protected readonly sampler: PositionSampler
  protected readonly news = new News()
  protected readonly eventLog: EventLog
  protected drainTimeoutMs: number
  /** By node: whether the last probe got through with TLS. */
  readonly #isEncrypted = new WeakMap<NodeConfig, boolean>()
  /** By node: why the last probe could not be opened. */
  readonly #refusals = new WeakMap<NodeConfig, unknown>()
  readonly #catalogs = new Map<string, DatabaseCatalog>()
  #isToldOfCatalogs = false
  readonly #membership: Membership | null
  readonly #departures: Departures
  readonly #tidy: NodeJS.Timeout
  #router: Router
  #retries: RetryBudget
  #silent: SilentNodes
  #lastPrimary: number | null = null
  #catalogSource: CatalogSource | null = null
  #lastTimeline: number | null = null

  /** Throws ConfigError for TLS files that can't be read. */
  constructor({ config, log, drainTimeoutMs, uses }: ClusterCoreOptions<Use>) {
    this.config = config
    this.name = config.name
    this.uses = uses
    this.eventLog = log
    this.drainTimeoutMs = drainTimeoutMs
    this.members = new Members(config)
    const nodeOf = (index: number) => this.members.at(index)
    const { counters } = this
    this.monitor = new Monitor({
      nodes: this.members.all.map(specOf),
      isOpen: config.discovery !== null,
      openProbe: probeOpener(nodeOf, {
        ...probeTimeouts,
        onOpen: (node, isEncrypted) => {
          this.#isEncrypted.set(node, isEncrypted)
          this.#refusals.delete(node)
        },
        onFailure: (node, error) => this.#refusals.set(node, error),
      }),
      ...monitorTuningOf(config),
      onEvent: (event) => {
        const { kind, ...facts } = event
        const isBad = /down|fenced|strayed|banned|lagging|failed|degraded|lost/.test(
          `${kind} ${facts.reason}`,
        )
        const text = 'node' in facts ? `${facts.node}: ${facts.detail}` : facts.detail
        log[isBad ? 'warn' : 'info']({ event: kind, ...facts }, text)
        if (event.kind === 'primary-changed' && event.reason === 'elected') counters.elections++
        if (event.kind === 'node-down' && event.reason === 'timeout') this.#leaveSilent(event.node)
      },
    })
    this.sampler = new PositionSampler({
      openProbe: probeOpener(nodeOf, probeTimeouts),
      snapshot: () => this.monitor.snapshot,
      nowMs: () => this.nowMs(),
      news: this.news,
    })
    this.monitor.onSnapshot((snapshot) => {
      void this.sampler.replicas.follow(snapshot)
      this.#leaveOldPrimary(snapshot)
      this.#followCatalogSource(snapshot)
      this.news.tell()
    })
    this.#router = this.#newRouter()
    const { monitor, members, sampler, load } = this
    this.#departures = new Departures({
      members,
      monitor,
      sampler,
      uses,
      load,
      counters,
      meter: this.meter,
      drainTimeoutMs: () => this.drainTimeoutMs,
      nowMs: () => this.nowMs(),
    })
    monitor.onSnapshot((snapshot) => this.#departures.note(snapshot))
    const { discovery } = config
    this.#membership =
      discovery === null ? null : new Membership({ config, discovery, members, monitor, log })
    this.settings = new NodeSettings({
      open: (index) => {
        const { connectTimeoutMs } = this.config.pool
        const timeouts = { connectTimeoutMs, statementTimeoutMs: 10_000 }
        return connectNode(this.node(index), { ...timeouts, tls: this.tls(index), isPlain: true })
      },
      snapshot: () => monitor.snapshot,
      onChange: (index) => {
        for (const use of this.uses.values()) use.retire(index)
      },
      onApart: (names) => {
        for (const catalog of this.#catalogs.values()) catalog.setApart(names)
      },
      log,
    })
    monitor.onSnapshot((snapshot) => this.settings.follow(snapshot))
    this.positions = new SessionPositions(sampler, () => monitor.snapshot)
    this.visible = new VisibleCommits(sampler, () => monitor.snapshot)
    this.#retries = new RetryBudget(config.routing.retryShare)
    this.#silent = this.#watchSilence()
    this.#tidy = setInterval(() => {
      this.tidy()
      this.#tidyCatalogs()
      this.#departures.reap()
    }, tidyEveryMs)
    this.#tidy.unref()
  }

  /** Called now and then, for what a door has to look after. */
  protected tidy(): void {}

  /**
   * Replicas may have run what was taken for a read in this database: no connection to them is used
   * beyond what it does now.
   */
  protected renewReplicas(database: string): void {
    for (const use of this.uses.values()) this.renewReplicasOf(use, database)
    this.eventLog.info(
      { event: 'replicas_renewed', database, reason: 'catalog' },
      'something that was proved to read only is not any more: connections to replicas are renewed',
    )
  }

  /** `database`: a door may have uses of several. */
  protected renewReplicasOf(use: Use, _database: string): void {
    for (const { index, role } of this.monitor.snapshot.nodes) {
      if (role !== 'primary') use.retire(index)
    }
  }

  /** What sessions start with was changed in a catalog, by whomever. */
  noteDefaultsChange(): void {
    this.settings.noteDefaults()
  }

  #newRouter(): Router {
    const { routing } = this.config
    return new Router({
      balancer: createBalancer(routing.balancer),
      load: this.load,
      zone: routing.zone ?? null,
      fallbackToPrimary: routing.fallbackToPrimary,
      positions: this.sampler.replicas,
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
        for (const use of this.uses.values()) waiting += use.waitingAt(nodeIndex)
        return waiting
      },
      ask: (nodeIndex) => void this.monitor.probeNow(nodeIndex),
      readTimeoutMs: this.config.routing.readTimeoutMs,
      onSilent: (nodeIndex) => {
        for (const use of this.uses.values()) use.leaveSilent(nodeIndex)
        // Not 'timeout', which would leave it in: it gets nothing until a probe is answered.
        this.reportFailure(nodeIndex, 'reset', 'owes answers and gives no sign of life')
      },
    })
  }

  /** Puts another configuration in force, but for the nodes. Never fails. */
  protected reconfigure(config: ClusterConfig, drainTimeoutMs: number): void {
    this.config = config
    this.drainTimeoutMs = drainTimeoutMs
    this.#router = this.#newRouter()
    this.#retries = new RetryBudget(config.routing.retryShare)
    this.#silent.stop()
    this.#silent = this.#watchSilence()
  }

  node(index: number): NodeConfig {
    return this.members.of(index).node
  }

  tls(index: number): ServerTls {
    return this.members.of(index).tls
  }

  /** How drivers are to dial the node: as the last probe that got through. */
  dialTls(index: number): false | ConnectionOptions {
    const { node, tls } = this.members.of(index)
    const isEncrypted = this.#isEncrypted.get(node) ?? !['disable', 'allow'].includes(tls.sslmode)
    return isEncrypted ? tls.connectOptions(node.host) : false
  }

  /** Why the node can't be probed; undefined: it can, or was reached last time. */
  probeError(index: number): unknown {
    return this.#refusals.get(this.node(index))
  }

  get snapshot(): Snapshot {
    return this.monitor.snapshot
  }

  /** Resolves when every node was probed once, whatever came of it. */
  async start(): Promise<void> {
    await this.#membership?.start()
    await this.monitor.start()
    await Promise.race([
      Promise.all(this.members.all.map(({ index }) => this.settings.ready(index))),
      sleep(settingsWaitMs, undefined, { ref: false }),
    ])
    // Sessions read only from replicas whose restart would be noticed.
    await this.sampler.replicas.follow(this.monitor.snapshot)
  }

  /** Ends all watching; resolves when nothing of it is left. */
  async stop(): Promise<void> {
    clearInterval(this.#tidy)
    this.#silent.stop()
    this.settings.stop()
    this.sampler.stop()
    await this.#membership?.stop()
    for (const catalog of this.#catalogs.values()) catalog.stop()
    await this.monitor.stop()
  }

  /** Where a statement of this class goes now. Synchronous; never throws. */
  route(cls: StatementClass, facts: SessionFacts, exclude: number): Route {
    if (unknownSince(facts) >= 0 || facts.reader >= 0) this.positions.settle(facts)
    const route = this.#router.route(cls, facts, this.monitor.snapshot, exclude)
    if (route.isBehind === true) this.positions.chase(facts, route)
    if (consistencyOf(cls, facts) === 'bounded' && route.target === 'replica')
      this.positions.watch()
    return route
  }

  /** One request more is to be run again: is there room for it in the retry budget? */
  mayRetry(): boolean {
    return this.#retries.take(this.counters.queries)
  }

  wantsAway(facts: SessionFacts): boolean {
    return this.#router.wantsAway(facts, this.monitor.snapshot)
  }

  /**
   * A read finds no replica that has what its session needs: will one have it within `limitMs`, as
   * far as can be known?
   */
  isCatchingUp(
    cls: StatementClass,
    facts: SessionFacts,
    exclude: number,
    limitMs: number,
  ): boolean {
    if (!this.positions.isOnTheWay(facts, limitMs)) return false
    return this.#router.isCatchingUp(cls, facts, this.monitor.snapshot, exclude, limitMs)
  }

  get systemIdentifier(): string | null {
    return this.monitor.snapshot.systemIdentifier
  }

  /** Calls back once, when the topology or a known position has changed. The result takes that back. */
  onNews(callback: () => void): () => void {
    return this.news.onNext(callback)
  }

  get hasPrimary(): boolean {
    return this.monitor.snapshot.primary !== null
  }

  isReplica(nodeIndex: number): boolean {
    return nodeAt(this.monitor.snapshot, nodeIndex)?.role === 'replica'
  }

  reportFailure(nodeIndex: number, kind: PassiveFailure, detail: string): void {
    this.monitor.reportFailure(nodeIndex, kind, detail)
  }

  reportSuccess(nodeIndex: number): void {
    this.monitor.reportSuccess(nodeIndex)
  }

  /**
   * A replica has refused what was judged to be a read, and the primary has not: such a statement
   * goes to the primary for some time. `isNew`: it is told, once, with what kind of statement it is and nothing of its text.
   */
  noteMisroute(nodeIndex: number, database: string, what: Misroute, isNew: boolean): void {
    this.counters.misroutes++
    if (!isNew) return
    const { node } = this.members.of(nodeIndex)
    const { sqlstate, keyword, reason } = what
    this.eventLog.warn(
      { event: 'misroute', node: node.name, database, reason: sqlstate, keyword },
      `a replica refused a ${keyword} that was judged to be a read (${reason}): to the primary for some minutes`,
    )
  }

  /** A commit was answered although replicas do not show it yet: which, and for how long it was waited. */
  noteNotVisible(what: string): void {
    this.eventLog.warn({ event: 'commit_not_visible' }, what)
  }

  /** DDL passed through in `database`. */
  noteDdl(database: string, touches: Touched): void {
    this.#catalogs.get(database)?.invalidate(touches)
  }

  /** Closes the catalog's own connection to `database`; it comes back at the next look. */
  leaveCatalog(database: string): void {
    this.#catalogs.get(database)?.leave()
  }

  nowMs(): number {
    return nowMs()
  }

  /** The catalog of `database`, watched while somebody holds it. */
  catalog(database: string): DatabaseCatalog {
    const { sampler } = this
    let catalog = this.#catalogs.get(database)
    if (catalog === undefined) {
      catalog = new DatabaseCatalog({
        database,
        log: this.eventLog,
        open: async () => {
          const source = this.#catalogSource
          if (source === null)
            throw new Error('there is no primary now, and no replica to read from')
          const { index, isStandby } = source
          const session = await connectNode(this.node(index), {
            database,
            tls: this.tls(index),
            connectTimeoutMs: this.config.pool.connectTimeoutMs,
            statementTimeoutMs: 10_000,
          })
          return { isStandby, query: (sql) => session.query(sql), end: () => session.end() }
        },
        onDefaults: () => this.noteDefaultsChange(),
        onLostProofs: () => this.renewReplicas(database),
        mayWatch: () => this.#mayWatch(database),
        positionAfterNow: (callback) => sampler.afterNow(({ inserted }) => callback(inserted)),
        replayed: (nodeIndex) => this.#replayed(nodeIndex),
      })
      catalog.setApart(this.settings.parametersApart)
      this.#catalogs.set(database, catalog)
    }
    return catalog
  }

  /** Since when the oldest of the catalogs that are watched may be outdated, monotonic ms; null: there is none. */
  get catalogsCurrentAtMs(): number | null {
    let oldest: number | null = null
    for (const { currentAtMs } of this.#catalogs.values()) {
      if (currentAtMs !== null) oldest = Math.min(currentAtMs, oldest ?? currentAtMs)
    }
    return oldest
  }

  /** What the replica has replayed at least. */
  #replayed(nodeIndex: number): Lsn {
    const sampled = this.sampler.replicas.replayed(nodeIndex)
    const probed = nodeAt(this.monitor.snapshot, nodeIndex)?.replayLsn ?? 0n
    return sampled > probed ? sampled : probed
  }

  /** Room for one watched catalog more; one that nobody needs gives way. */
  #mayWatch(database: string): boolean {
    const awake = [...this.#catalogs.values()].filter(({ isAwake }) => isAwake)
    const { maxCatalogs } = this.config.monitor
    if (awake.length < maxCatalogs) return true
    const idle = awake.find(({ isHeld }) => !isHeld)
    idle?.sleep()
    if (idle !== undefined) return true
    if (!this.#isToldOfCatalogs) {
      this.#isToldOfCatalogs = true
      this.eventLog.warn(
        { event: 'catalogs_full', database, reason: 'maxCatalogs' },
        `the catalogs of ${maxCatalogs} databases are watched; reads in further ones run on the primary`,
      )
    }
    return false
  }

  /** Catalogs that found no room try again; those that nobody has at hand are forgotten. */
  #tidyCatalogs(): void {
    for (const [database, catalog] of this.#catalogs) {
      if (catalog.isHeld) catalog.wake()
      else if (catalog.users === 0 && !catalog.isAwake) this.#catalogs.delete(database)
    }
  }

  /** A host that is gone without a word never resets its connections. */
  #leaveSilent(nodeId: string): void {
    for (const { node, index } of this.members.all) {
      if (node.name !== nodeId) continue
      const isReplica = this.isReplica(index)
      for (const use of this.uses.values()) {
        if (isReplica) use.leaveSilent(index)
        else use.leaveSilentReads(index)
      }
    }
  }

  /**
   * Another primary was elected: who waits for an answer of the old one would wait for good.
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
    for (const use of this.uses.values()) use.leave(old, error)
  }

  /** Catalogs are read where they count now: an old primary that still lives must not be asked. */
  #followCatalogSource(snapshot: Snapshot): void {
    const source = catalogSource(snapshot, this.#catalogSource)
    if (sameSource(source, this.#catalogSource)) return
    this.#catalogSource = source
    for (const catalog of this.#catalogs.values()) catalog.renew()
  }
}

/** The configuration as the monitor sees it, but for the nodes. */
export function monitorTuningOf({ monitor, routing }: ClusterConfig): MonitorTuning {
  return {
    probeIntervalMs: monitor.probeIntervalMs,
    probeTimeoutMs: monitor.probeTimeoutMs,
    rise: monitor.rise,
    fall: monitor.fall,
    maxFails: routing.maxFails,
    failTimeoutMs: routing.failTimeoutMs,
    maxLagMs: routing.maxLagMs,
    maxLagResumeMs: routing.maxLagResumeMs,
    slowStartMs: routing.slowStartMs,
  }
}
