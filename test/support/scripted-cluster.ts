import { duplexPair } from 'node:stream'
import type { ClusterAccess, NodeFailure, SessionLimits } from '../../src/client/cluster-access.ts'
import { applyOwnSetting } from '../../src/client/own-settings.ts'
import { ClientSession } from '../../src/client/session.ts'
import type { Cluster } from '../../src/cluster/cluster.ts'
import { Scope } from '../../src/cluster/scope.ts'
import { ScopeIdentity } from '../../src/cluster/scope-identity.ts'
import { createLogger } from '../../src/log.ts'
import { RequestMeter } from '../../src/metrics/request-meter.ts'
import { Link } from '../../src/net/link.ts'
import type { PoolOptions } from '../../src/pool/pooled.ts'
import { createBalancer } from '../../src/routing/balancers/create-balancer.ts'
import { CatalogAge } from '../../src/routing/catalog-age.ts'
import { type ClusterCounters, newCounters } from '../../src/routing/counters.ts'
import { DatabaseTally } from '../../src/routing/database-tally.ts'
import { LoadTable } from '../../src/routing/load.ts'
import { initialFacts } from '../../src/routing/requirement.ts'
import { Router } from '../../src/routing/router.ts'
import { SessionPositions } from '../../src/routing/session-positions.ts'
import { VisibleCommits } from '../../src/routing/visible-commits.ts'
import { ServerConnection } from '../../src/server/server-connection.ts'
import { SessionState } from '../../src/server/session-state.ts'
import { Classifier } from '../../src/sql/classifier.ts'
import { PositionSampler } from '../../src/topology/position-sampler.ts'
import type { Snapshot } from '../../src/topology/snapshot.ts'
import { recordedCatalog } from '../corpus/recorded-catalog.ts'
import { snapshotOf, view } from '../unit/routing/fixtures.ts'
import { ScriptedClient } from './scripted-client.ts'
import { type ScriptedNode, ScriptedServer } from './scripted-server.ts'

export interface ScriptedOptions {
  readonly replicas?: number
  readonly pool?: Partial<PoolOptions>
  readonly limits?: Partial<SessionLimits>
  /** Bytes that a pipe holds before a writer must wait. */
  readonly pipeBytes?: number
}

export interface ClientOptions {
  readonly settings?: Readonly<Record<string, string>>
  readonly database?: string
  readonly user?: string
  /** A client that reads only when told to. */
  readonly isSlow?: boolean
}

const catalog = recordedCatalog()
const known = {
  ...catalog,
  functions: new Set([...catalog.functions, 'node', 'pid', 'rows', 'fail', 'slow']),
  relations: new Set([...catalog.relations, 'items']),
  clockReaders: new Set<string>(),
}
let nextSession = 1

/** A cluster whose nodes are scripted servers: everything of pgsplit is real behind the log-in. */
export class ScriptedCluster implements ClusterAccess {
  readonly name = 'scripted'
  readonly load = new LoadTable()
  readonly limits: SessionLimits
  readonly counters: ClusterCounters = newCounters()
  readonly #tally = new DatabaseTally(this.counters)
  readonly meter = new RequestMeter()
  readonly nodes: ScriptedNode[]
  readonly servers: ScriptedServer[] = []
  readonly connections: ServerConnection[] = []
  readonly sessions = new Set<ClientSession>()
  readonly failures: string[] = []
  /** Process ids that a cancel request was sent to. */
  readonly cancelled: number[] = []
  /** What a cancel request does; resolves when the server has dealt with it. */
  onCancel: (server: ScriptedServer) => Promise<void> = async () => {}
  /** Set to an error to refuse new server connections to a node. */
  readonly refused = new Map<number, Error>()
  classifier = new Classifier()
  /** What a look at the primary's catalog finds; a DDL changes it. */
  catalogState = 'as it was'
  /** Below 1 the replicas have not replayed the last change of the catalog. */
  replayed = 1n
  readonly catalogAge: CatalogAge = new CatalogAge({
    look: () => setImmediate(() => this.catalogAge.seen(this.catalogState, performance.now())),
    positionAfterNow: (callback) => callback(1n),
    replayed: () => this.replayed,
  })
  snapshot: Snapshot
  readonly #scopes = new Map<string, Scope>()
  readonly #options: ScriptedOptions
  readonly #router = new Router({ balancer: createBalancer('round-robin'), load: this.load })

  get hasPrimary(): boolean {
    return this.snapshot.primary !== null
  }

  readonly systemIdentifier = '7'
  /** Positions as if every commit were replayed at once. */
  readonly #sampler = new PositionSampler({
    openProbe: async ({ index }) => ({
      query: async () => (index === 0 ? ['0/1', '0/1', 'false', null] : ['0/1']),
      close: () => {},
    }),
    snapshot: () => this.snapshot,
    nowMs: () => performance.now(),
  })
  readonly positions = new SessionPositions(this.#sampler, () => this.snapshot)
  readonly visible = new VisibleCommits(this.#sampler, () => this.snapshot)

  constructor(options: ScriptedOptions = {}) {
    this.#options = options
    this.limits = {
      maxFrameBytes: 1 << 24,
      maxRequestBytes: 1 << 20,
      retryMaxBytes: 64 * 1024,
      preparedStatements: 100,
      maxSegmentMessages: 1000,
      poolMode: 'transaction',
      holdMs: 0,
      pauseMs: 0,
      maxHeld: 100,
      maxHeldBytes: 1 << 20,
      ...options.limits,
    }
    this.classifier.setCatalog(known)
    const count = 1 + (options.replicas ?? 1)
    this.snapshot = snapshotOf(Array.from({ length: count }, (_, i) => view(i)))
    void this.#sampler.replicas.follow(this.snapshot)
    this.nodes = this.snapshot.nodes.map((node) => ({
      id: node.id,
      isReplica: node.role === 'replica',
      hook: () => null,
    }))
    // Asked what a statement has left in its session, the servers have nothing to tell.
    this.on(/^WITH p AS MATERIALIZED/, () => ({ rows: [], tag: 'SELECT 0' }))
    this.on(/^SELECT \(SELECT pg_catalog\.json_agg/, () => ({
      rows: [[null, null, null, '0', '0', '0', null]],
      tag: 'SELECT 1',
    }))
  }

  /** Sets what statements of this text do, on every node; the newest rule comes first. */
  on(sql: string | RegExp, run: ScriptedNode['hook']): void {
    for (const node of this.nodes) this.onNode(node, sql, run)
  }

  onNode(node: ScriptedNode | undefined, sql: string | RegExp, run: ScriptedNode['hook']): void {
    if (node === undefined) throw new Error('no such node')
    const before = node.hook
    node.hook = (text, server) => {
      const isMeant = typeof sql === 'string' ? text === sql : sql.test(text)
      return (isMeant ? run(text, server) : null) ?? before(text, server)
    }
  }

  node(index: number): { name: string } {
    return { name: this.nodes[index]?.id ?? '?' }
  }

  route(
    ...[cls, facts, exclude]: Parameters<ClusterAccess['route']>
  ): ReturnType<ClusterAccess['route']> {
    if (this.isPaused) return { node: null, target: 'primary', reason: 'paused', word: 'other' }
    this.positions.settle(facts)
    return this.#router.route(cls, facts, this.snapshot, exclude)
  }

  /** Set it to hold back what would begin; news lets it look again. */
  isPaused = false

  mayRetry(): boolean {
    return true
  }

  wantsAway(): boolean {
    return false
  }

  isCatchingUp(): boolean {
    return true
  }

  isReplica(nodeIndex: number): boolean {
    return this.snapshot.nodes[nodeIndex]?.role === 'replica'
  }

  reportFailure(nodeIndex: number, kind: NodeFailure): void {
    this.failures.push(`${this.nodes[nodeIndex]?.id} ${kind}`)
  }

  reportSuccess(): void {}

  onNews(callback: () => void): () => void {
    return this.#sampler.onNext(callback)
  }

  /** What was told of refusals by replicas. */
  readonly misroutes: string[] = []

  noteMisroute(...[, , what, isNew]: Parameters<ClusterAccess['noteMisroute']>): void {
    this.counters.misroutes++
    if (isNew) this.misroutes.push(`${what.sqlstate} ${what.keyword}`)
  }

  noteDdl(): void {}

  vacate(): void {}

  noteTakenRole(): void {}

  noteDefaultsChange(): void {
    for (const scope of this.#scopes.values()) scope.recycle()
  }

  async cancel(connection: ServerConnection): Promise<void> {
    this.cancelled.push(connection.processId)
    const server = this.servers.find(({ processId }) => processId === connection.processId)
    if (server !== undefined) await this.onCancel(server)
  }

  nowMs(): number {
    return performance.now()
  }

  tallyOf(): DatabaseTally {
    return this.#tally
  }

  scope(user = 'alice', database = 'app'): Scope {
    const key = `${user}@${database}`
    let scope = this.#scopes.get(key)
    if (scope === undefined) {
      scope = new Scope({
        cluster: this as unknown as Cluster,
        identity: new ScopeIdentity(1, 1, user, ''),
        user,
        database,
        catalog: { classifier: this.classifier, age: this.catalogAge } as never,
        poolOptions: {
          size: 5,
          keptShare: 0,
          sharedDepth: 8,
          checkoutTimeoutMs: 5_000,
          idleTimeoutMs: 0,
          maxLifetimeMs: 0,
          ...this.#options.pool,
        },
        open: (nodeIndex, _using, events) => this.#open(nodeIndex, events),
        log: createLogger({ level: 'silent', format: 'json' }),
      })
      this.#scopes.set(key, scope)
    }
    return scope
  }

  async #open(
    nodeIndex: number,
    events: ConstructorParameters<typeof ServerConnection>[1],
  ): Promise<ServerConnection> {
    const error = this.refused.get(nodeIndex)
    if (error !== undefined) throw error
    const node = this.nodes[nodeIndex] as ScriptedNode
    const [near, far] = duplexPair({ highWaterMark: this.#options.pipeBytes ?? 64 * 1024 })
    const processId = 1000 * (nodeIndex + 1) + this.servers.length
    this.servers.push(new ScriptedServer(node, processId, far))
    const connection = new ServerConnection(
      {
        link: Link.of(near),
        nodeIndex,
        nodeId: node.id,
        processId,
        secretKey: Buffer.alloc(4),
        parameters: new Map(),
      },
      events,
      this.nowMs(),
    )
    this.connections.push(connection)
    return connection
  }

  /** A client that has just logged in. */
  connect(options: ClientOptions = {}): ScriptedClient {
    const [near, far] = duplexPair({ highWaterMark: this.#options.pipeBytes ?? 64 * 1024 })
    const facts = initialFacts({ consistency: 'eventual' })
    const session: ClientSession = new ClientSession({
      id: nextSession++,
      link: Link.of(near),
      cluster: this,
      scope: this.scope(options.user, options.database),
      startup: SessionState.of(
        Object.entries(options.settings ?? {}).filter(([name]) => !name.startsWith('pgsplit.')),
      ),
      facts,
      applicationName: 'test',
      peers: { byProcessId: () => null },
      onClose: (closed) => {
        this.sessions.delete(closed)
        this.scope(options.user, options.database).sessions.delete(closed)
      },
    })
    this.scope(options.user, options.database).sessions.add(session)
    for (const [name, value] of Object.entries(options.settings ?? {})) {
      if (name.startsWith('pgsplit.')) applyOwnSetting(session, name, value)
    }
    this.sessions.add(session)
    session.start(null)
    return new ScriptedClient(session, far, options.isSlow ?? false)
  }

  /** Servers of one node, closed ones included. */
  serversOf(id: string): ScriptedServer[] {
    return this.servers.filter(({ node }) => node.id === id)
  }

  /** The only server of the node that is connected now. */
  server(id: string): ScriptedServer {
    const open = this.serversOf(id).filter(({ isClosed }) => !isClosed)
    if (open.length !== 1) throw new Error(`${open.length} servers of ${id} are connected`)
    return open[0] as ScriptedServer
  }

  /** Leased and shared connections of all pools: 0 when no client holds anything. */
  get inUse(): number {
    let inUse = 0
    for (const scope of this.#scopes.values()) {
      for (const pool of scope.pools.values()) {
        const { leased, shared } = pool.counts()
        inUse += leased + shared
      }
    }
    return inUse
  }

  close(): void {
    for (const session of [...this.sessions]) session.close()
    for (const scope of this.#scopes.values()) scope.close(new Error('test is over'))
    for (const server of this.servers) server.die()
  }
}
