import net from 'node:net'
import { AuthRateLimit } from './auth/auth-rate-limit.ts'
import { MockVerifiers } from './auth/mock-verifier.ts'
import { Arrivals } from './client/arrivals.ts'
import { LoginGate } from './client/login-gate.ts'
import type { ProxyControl, ReloadReport } from './cluster/admin-actions.ts'
import { openAdmin } from './cluster/admin-door.ts'
import { Cluster } from './cluster/cluster.ts'
import { FrontDoor } from './cluster/front-door.ts'
import { httpSource } from './cluster/http-source.ts'
import { sampleOf } from './cluster/live-sample.ts'
import { Roles } from './cluster/roles.ts'
import { CancelKeys } from './cluster/start-session.ts'
import type { Config, ListenAddress } from './config/config.ts'
import { configChanges } from './config/config-changes.ts'
import { ConfigError } from './errors.ts'
import { EventHistory } from './history/event-history.ts'
import { Recorder } from './history/recorder.ts'
import { HttpDoor } from './http/http-door.ts'
import type { Logger } from './log.ts'
import { Descriptors } from './net/descriptors.ts'
import { Link } from './net/link.ts'
import { assertFree, listenAt, placeOf } from './net/listen.ts'
import { ClientTls } from './net/tls-options.ts'
import type { NodeStatus } from './node-status.ts'
import { nodeState } from './topology/node-state.ts'
import type { Snapshot } from './topology/snapshot.ts'

export interface RunningProxy {
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /** Where the HTTP door listens; empty without one. */
  readonly httpAddresses: readonly { readonly host: string; readonly port: number }[]
  readonly clusters: readonly Cluster[]
  /** The topology of the first cluster. */
  snapshot(): Snapshot
  /** What each node of the first cluster does; the counters only grow. */
  nodes(): readonly NodeStatus[]
  /**
   * Reads the configuration again, without dropping a client. Throws ConfigError when it can't be
   * used, and nothing has changed; both are logged.
   */
  reload(reason: 'operator' | 'signal'): ReloadReport
  /** Resolves when it has stopped, whoever wanted that: SHUTDOWN in the admin database does it, too. */
  readonly stopped: Promise<void>
  /** Stops accepting; with `drain`, requests in flight get `limits.drainTimeout` to finish. */
  stop(options: { readonly drain: boolean }): Promise<void>
}

function nodeStatus(cluster: Cluster): NodeStatus[] {
  const { counters, snapshot } = cluster
  return snapshot.nodes.map((node) => ({
    name: node.id,
    role: node.role,
    state: nodeState(node),
    lagMs: node.lagMs,
    requests: counters.requests[node.index] ?? 0,
    reads: counters.readsByNode[node.index] ?? 0,
  }))
}

function mockVerifiersOf({ auth }: Config, former: MockVerifiers | null = null): MockVerifiers {
  const secret = auth.mockSecret?.reveal()
  if (secret !== undefined) return new MockVerifiers(Buffer.from(secret))
  return former ?? new MockVerifiers()
}

/**
 * Starts everything that `config` names. Resolves when all listeners accept and every cluster has
 * probed its nodes once. Rejects with ConfigError for an address that can't be had. `readConfig`
 * reads the configuration again, for reloads; it throws ConfigError.
 */
export async function startProxy(
  config: Config,
  logger: Logger,
  readConfig: () => Config = () => {
    throw new ConfigError('', 'there is no file to read it from; start pgsplit anew')
  },
): Promise<RunningProxy> {
  const events = new EventHistory()
  const clusters = config.clusters.map(
    (part) => new Cluster(part, config.limits, logger, events.note.bind(events)),
  )
  const recorder = new Recorder({ sample: () => clusters.map(sampleOf), events })
  const door = new FrontDoor({
    config,
    logger,
    clusters,
    roles: new Map(clusters.map((cluster) => [cluster, new Roles(cluster, logger)])),
    tls: new ClientTls(config.tls),
    rateLimit: new AuthRateLimit(),
    mockVerifiers: mockVerifiersOf(config),
    gate: new LoginGate(config.limits.maxUnauthenticated),
    cancelKeys: new CancelKeys(),
    openAdmin: (at, login, onClose) => openAdmin(at, login, control, onClose),
  })
  const descriptors = new Descriptors()
  checkDescriptors(descriptors, config, logger)
  const arrivals = new Arrivals<net.Socket>(
    config.limits.maxUnauthenticated,
    (socket) => {
      const link = Link.accept(socket)
      if (descriptors.isShort()) door.turnAway(link, descriptors.limit ?? 0)
      else door.accept(link)
    },
    (socket) => socket.destroy(),
  )
  const servers: net.Server[] = []
  let http: HttpDoor | null = null
  const stopped = Promise.withResolvers<void>()
  let stopping: Promise<void> | null = null
  const control: ProxyControl = {
    reload: (reason) => {
      const report = reload(door, logger, readConfig, reason, http)
      events.note(null, 'info', { event: 'reloaded' }, 'the configuration is in force')
      arrivals.max = door.options.config.limits.maxUnauthenticated
      return report
    },
    stop: ({ drain }) => {
      if (stopping !== null && drain) return stopping
      for (const server of servers) server.close()
      stopping = (async () => {
        await door.close(drain ? door.options.config.limits.drainTimeoutMs : 0)
        await Promise.all(clusters.map((cluster) => cluster.stop()))
        recorder.stop()
        http?.close()
        stopped.resolve()
      })()
      return stopping
    },
  }
  try {
    // First: who watches is told that it starts.
    http = await openHttp(config, door, control, recorder)
    if (http !== null) recorder.start()
    // A mistake that is told now needs no probe to be found.
    for (const address of config.listen) await assertFree(address, pathOf(address, config))
    await Promise.all(clusters.map((cluster) => cluster.start()))
    tryLookups(door)
    for (const address of config.listen) servers.push(await listen(address, config, arrivals))
    door.isOpen = true
  } catch (error) {
    for (const server of servers) server.close()
    recorder.stop()
    http?.close()
    await Promise.all(clusters.map((cluster) => cluster.stop()))
    throw error
  }
  return {
    addresses: servers.map(placeOf),
    httpAddresses: http?.addresses ?? [],
    clusters,
    snapshot: () => (clusters[0] as Cluster).snapshot,
    nodes: () => nodeStatus(clusters[0] as Cluster),
    stopped: stopped.promise,
    reload: control.reload,
    stop: control.stop,
  }
}

/** All that can fail comes first; then the new configuration is in force everywhere. */
function reload(
  door: FrontDoor,
  logger: Logger,
  readConfig: () => Config,
  reason: 'operator' | 'signal',
  http: HttpDoor | null,
): ReloadReport {
  const { clusters, config: now, mockVerifiers } = door.options
  try {
    const { config, changed, needsRestart } = configChanges(now, readConfig())
    const tls = new ClientTls(config.tls)
    const httpTls = config.http === null ? null : new ClientTls(config.http.tls, 'http.tls')
    const steps = config.clusters.map((part, i) => clusters[i]?.prepare(part, config.limits))
    for (const step of steps) step?.()
    door.reconfigure({
      config,
      tls,
      roles: new Map(clusters.map((cluster) => [cluster, new Roles(cluster, logger)])),
      mockVerifiers: mockVerifiersOf(config, mockVerifiers),
    })
    tryLookups(door)
    if (config.http !== null && httpTls !== null) {
      http?.reconfigure({ maxConnections: config.http.maxConnections, tls: httpTls })
    }
    logger.level = config.log.level
    for (const cluster of clusters) cluster.logLevel = config.log.level
    logger.info(
      { event: 'reloaded', reason, changed, needsRestart },
      'the configuration is in force',
    )
    return { changed, needsRestart }
  } catch (error) {
    const text = 'the configuration was not reloaded, nothing has changed'
    logger.error({ event: 'reload_failed', reason, error }, text)
    throw error
  }
}

async function openHttp(
  config: Config,
  door: FrontDoor,
  control: ProxyControl,
  recorder: Recorder,
): Promise<HttpDoor | null> {
  const { http } = config
  if (http === null) return null
  return HttpDoor.open({
    listen: http.listen,
    maxConnections: http.maxConnections,
    tls: new ClientTls(http.tls, 'http.tls'),
    source: httpSource(door, control, recorder),
  })
}

/** Whether roles can be looked up is told before somebody is turned away. */
function tryLookups(door: FrontDoor): void {
  for (const roles of door.options.roles.values()) void roles.tryLookup()
}

/** Told once at the start: what the configuration allows may be more than the process can open. */
function checkDescriptors({ limit }: Descriptors, config: Config, logger: Logger): void {
  if (limit === null) return
  const { limits, http } = config
  let need = limits.maxClients + limits.maxUnauthenticated + (http?.maxConnections ?? 0)
  for (const { nodes, pool } of config.clusters) {
    for (const { maxConnections } of nodes) need += maxConnections ?? pool.size
  }
  if (need <= limit) return
  const text = `the configuration may need ${need} open files, the limit is ${limit}; raise it (ulimit -n), or lower limits.maxClients`
  logger.warn({ event: 'few_descriptors', reason: 'limit', limit, need }, text)
}

async function listen(
  address: ListenAddress,
  config: Config,
  arrivals: Arrivals<net.Socket>,
): Promise<net.Server> {
  const server = net.createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    arrivals.add(socket.remoteAddress ?? '', socket)
  })
  await listenAt(server, address, pathOf(address, config))
  return server
}

function pathOf(address: ListenAddress, { listen }: Config): string {
  return listen.length > 1 ? `listen[${listen.indexOf(address)}]` : 'listen'
}
