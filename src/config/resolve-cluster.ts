import type { SourceOptions } from '../discovery/create-source.ts'
import { ConfigError } from '../errors.ts'
import type {
  ClusterConfig,
  DiscoveryConfig,
  MonitorLogin,
  NodeConfig,
  RoutingConfig,
} from './config.ts'
import type { Environment } from './interpolate.ts'
import { type NodeUrl, parseNodeUrl } from './node-url.ts'
import { NodeUrlError } from './node-url-error.ts'
import { resolveAuth } from './resolve-auth.ts'
import { resolveSource } from './resolve-discovery.ts'
import { resolveServerTls, type ServerTlsInput } from './resolve-tls.ts'
import type { ClusterInput } from './schema-cluster.ts'
import { Secret } from './secret.ts'
import { storedPassword } from './stored-password.ts'

type NodeInput = NonNullable<ClusterInput['primary']>

/** What a configuration refers to beside itself. */
export interface Surroundings {
  readonly directory: string
  readonly env: Environment
}

/** Turns a cluster's options into a ClusterConfig: URLs parsed, files read, names given. */
export function resolveCluster(
  name: string,
  input: ClusterInput,
  { directory, env }: Surroundings,
): ClusterConfig {
  const path = `clusters.${name}`
  const source = resolveSource(input.discovery, `${path}.discovery`, directory)
  if (input.primary === undefined && source === null) {
    throw new ConfigError(
      `${path}.primary`,
      'is missing; expected a connection URL or a section with url',
    )
  }
  const nodes = [
    ...(input.primary === undefined
      ? []
      : [resolveNode(input.primary, { role: 'primary', path: `${path}.primary` })]),
    ...input.replicas.map((replica, index) =>
      resolveNode(replica, {
        role: 'replica',
        path: `${path}.replicas[${index}]`,
      }),
    ),
  ]
  assertDistinct(nodes, path)
  const { monitor, pool } = input
  return {
    name,
    databases: input.databases,
    nodes,
    discovery: source === null ? null : resolveDiscovery(source),
    monitor: {
      probeIntervalMs: monitor.probeInterval,
      probeTimeoutMs: monitor.probeTimeout,
      rise: monitor.rise,
      fall: monitor.fall,
      maxCatalogs: monitor.maxCatalogs,
    },
    routing: resolveRouting(input.routing, `${path}.routing`),
    failover: {
      holdWritesMs: input.failover.holdWrites,
      pauseTimeoutMs: input.failover.pauseTimeout,
      maxHeld: input.failover.maxHeld,
      maxHeldBytes: input.failover.maxHeldBytes,
    },
    pool: {
      mode: pool.mode,
      size: pool.size,
      keptShare: pool.reserve / 100,
      checkoutTimeoutMs: pool.checkoutTimeout,
      idleTimeoutMs: pool.idleTimeout,
      maxLifetimeMs: pool.maxLifetime,
      connectTimeoutMs: pool.connectTimeout,
      preparedStatements: pool.preparedStatements,
    },
    auth: resolveAuth(input.auth, `${path}.auth`),
  }

  /** Discovered nodes are as the primary of the file, unless `monitor` and `tls` say otherwise. */
  function resolveDiscovery(from: SourceOptions): DiscoveryConfig {
    const { interval, removeAfter } = input.discovery
    const [model] = nodes
    const user = input.monitor.user ?? model?.login.user
    if (user === undefined) {
      throw new ConfigError(
        `${path}.monitor.user`,
        'is missing; discovered nodes have no URL that would name the role to log in as',
      )
    }
    return {
      source: from,
      intervalMs: interval,
      removeAfterMs: removeAfter,
      tls: model?.tls ?? resolveServerTls(tlsOf(null), `${path}.tls`, directory),
      login: {
        user,
        password: input.monitor.password ?? model?.login.password,
        database: input.monitor.database ?? model?.login.database ?? 'postgres',
      },
    }
  }

  /** What a URL says of TLS goes first. */
  function tlsOf(url: NodeUrl | null): ServerTlsInput {
    const { tls } = input
    return {
      sslmode: url?.sslmode ?? tls.sslmode,
      sslrootcert: url?.sslrootcert ?? tls.sslrootcert,
      sslcert: url?.sslcert ?? tls.sslcert,
      sslkey: url?.sslkey ?? tls.sslkey,
      sslnegotiation: url?.sslnegotiation ?? tls.sslnegotiation,
      sslpassword: url?.sslpassword === undefined ? tls.sslpassword : new Secret(url.sslpassword),
      sslcrl: url?.sslcrl,
      sslsni: url?.sslsni,
      minVersion: url?.minTlsVersion,
      channelBinding: url?.channelBinding ?? tls.channelBinding,
    }
  }

  function resolveNode(
    node: NodeInput,
    place: Pick<NodeConfig, 'role'> & { readonly path: string },
  ): NodeConfig {
    const options = node instanceof Secret ? { url: node, weight: 1 } : node
    const urlPath = node instanceof Secret ? place.path : `${place.path}.url`
    const url = readUrl(options.url, urlPath)
    assertRole(url, place.role, urlPath)
    const { sslmode, sslrootcert, sslcert, sslkey } = url
    const tlsPath = sslmode || sslrootcert || sslcert || sslkey ? urlPath : `${path}.tls`
    const tls = tlsOf(url)
    return {
      // Not after its role: that moves on.
      name: options.name ?? placeOf(url.serverName ?? url.host, url.port),
      role: place.role,
      host: url.host,
      port: url.port,
      ...(url.serverName === undefined ? {} : { serverName: url.serverName }),
      ...(url.connectTimeoutMs === undefined ? {} : { connectTimeoutMs: url.connectTimeoutMs }),
      ...(url.keepAliveIdleMs === undefined ? {} : { keepAliveIdleMs: url.keepAliveIdleMs }),
      zone: options.zone,
      weight: options.weight,
      ...('maxConnections' in options && options.maxConnections !== undefined
        ? { maxConnections: options.maxConnections }
        : {}),
      tls: resolveServerTls(tls, tlsPath, directory),
      login: resolveLogin(url, input.monitor, urlPath, { directory, env }),
    }
  }
}

function placeOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function readUrl(url: Secret, path: string): NodeUrl {
  return conninfo(path, () => parseNodeUrl(url.reveal()))
}

function conninfo<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof NodeUrlError) throw new ConfigError(path, error.message)
    throw error
  }
}

/** The roles are found out; a URL that insists on another one than its place stands in the wrong place. */
function assertRole({ wantedRole }: NodeUrl, role: NodeConfig['role'], path: string): void {
  if (wantedRole === undefined || role === 'any') return
  if ((wantedRole === 'primary') === (role === 'primary')) return
  throw new ConfigError(
    path,
    `target_session_attrs asks for a ${wantedRole}, and this is the place of a ${role}; leave it out, pgsplit finds out who is what`,
  )
}

function resolveLogin(
  url: NodeUrl,
  monitor: ClusterInput['monitor'],
  path: string,
  around: Surroundings,
): MonitorLogin {
  const user = monitor.user ?? url.user
  if (user === undefined) {
    throw new ConfigError(path, 'has no user; write postgres://user:password@host or monitor.user')
  }
  const database = monitor.database ?? url.database ?? 'postgres'
  const owner = { host: url.serverName ?? url.host, port: url.port, database, user }
  const found =
    monitor.password === undefined && url.password === undefined
      ? conninfo(path, () => storedPassword(owner, around, url.passfile))
      : url.password
  const fromUrl = found === undefined ? undefined : new Secret(found)
  return { user, password: monitor.password ?? fromUrl, database }
}

function resolveRouting(routing: ClusterInput['routing'], path: string): RoutingConfig {
  const {
    maxLag,
    maxLagResume,
    failTimeout,
    slowStart,
    causalWait,
    readTimeout,
    retryBudget,
    ...rest
  } = routing
  const resume = maxLagResume ?? Math.floor(maxLag / 2)
  if (resume > maxLag) {
    throw new ConfigError(`${path}.maxLagResume`, 'is more than maxLag; lower it or leave it out')
  }
  return {
    ...rest,
    zone: rest.zone,
    maxLagMs: maxLag,
    maxLagResumeMs: resume,
    failTimeoutMs: failTimeout,
    slowStartMs: slowStart,
    causalWaitMs: causalWait,
    readTimeoutMs: readTimeout,
    retryShare: retryBudget / 100,
  }
}

function assertDistinct(nodes: readonly NodeConfig[], path: string): void {
  const places = new Map<string, string>()
  const names = new Set<string>()
  for (const [index, node] of nodes.entries()) {
    const replica = node.role === 'primary' ? -1 : index - (nodes[0]?.role === 'primary' ? 1 : 0)
    const here = replica < 0 ? `${path}.primary` : `${path}.replicas[${replica}]`
    const place = `${node.host.toLowerCase()} port ${node.port}`
    const other = places.get(place)
    if (other !== undefined) {
      throw new ConfigError(here, `is the same server as ${other} (${place}); name each node once`)
    }
    if (names.has(node.name)) {
      throw new ConfigError(`${here}.name`, `"${node.name}" is taken; give each node its own name`)
    }
    places.set(place, here)
    names.add(node.name)
  }
}
