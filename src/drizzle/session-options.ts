import type { ClusterConfig, MonitorLogin } from '../config/config.ts'
import { parseConfig } from '../config/parse-config.ts'
import type { ClusterOptions } from '../config/schema-cluster.ts'
import type { EventLog } from '../core/event-log.ts'
import { ConfigError } from '../errors.ts'

/** Who the application is at the nodes, where their URLs don't say it (discovered nodes). */
export interface AppLogin {
  readonly user: string
  readonly password?: string
  readonly database: string
}

/** Something has happened to a node, the catalog or the topology; never statements, never secrets. */
export interface DoorEvent {
  readonly level: 'info' | 'warn'
  /** `node-down`, `primary-changed`, `catalog_loaded` …, as in the proxy's log. */
  readonly event: string
  readonly text: string
  readonly [fact: string]: unknown
}

/**
 * The nodes, and how they are watched, balanced and pooled: the options of a cluster in the proxy's
 * configuration file, with the same names, units and defaults (docs/operation/configuration.md). The user of
 * the URLs is the application's; `monitor.user` may be another one.
 */
export interface NodeOptions
  extends Pick<
    ClusterOptions,
    'primary' | 'replicas' | 'discovery' | 'monitor' | 'routing' | 'failover' | 'tls'
  > {
  /** Connections per node and their time-outs. */
  readonly pool?: Pick<
    NonNullable<ClusterOptions['pool']>,
    'size' | 'reserve' | 'checkoutTimeout' | 'idleTimeout' | 'maxLifetime' | 'connectTimeout'
  >
  /** Default: as the first URL says. */
  readonly login?: AppLogin
  readonly proxy?: never
}

/**
 * One connection string to a pgsplit proxy in place of the nodes. Who they are, how they are watched
 * and balanced is the proxy's configuration then.
 */
export interface ProxyOptions extends Pick<NodeOptions, 'pool' | 'tls'> {
  readonly proxy: string
  readonly primary?: never
  readonly replicas?: never
  readonly discovery?: never
  readonly monitor?: never
  readonly routing?: never
  readonly failover?: never
  readonly login?: never
}

/** What stands in the configuration of the proxy. */
const ofTheProxy = [
  'primary',
  'replicas',
  'discovery',
  'monitor',
  'routing',
  'failover',
  'login',
] as const

/** How read and write sessions behave, and who hears of events. */
export interface SessionBehaviour {
  /** What a read session does with a statement that is not proved to be a read. Default `error`. */
  readonly onWriteInReadSession?: 'error' | 'primary'
  /** Called synchronously; what it throws is ignored. */
  readonly onEvent?: (event: DoorEvent) => void
}

/** One cluster's configuration, and as whom the application logs in at each of its nodes. */
export interface ResolvedOptions {
  readonly config: ClusterConfig
  /** By the index of a node of the file; `discovered` for all others. */
  readonly logins: readonly MonitorLogin[]
  readonly discovered: MonitorLogin
}

/** Throws ConfigError, with the path of the first mistake. */
export function resolveOptions(options: NodeOptions): ResolvedOptions {
  const { login = {}, monitor = {}, ...rest } = options
  // The application's own login stands where the file has the monitor's.
  const app = named(() => clusterOf(rest, login), [['monitor', 'login']])
  const joined = { ...defined(login), ...defined(monitor) }
  const ofLogin = Object.keys(joined).filter((name) => !Object.hasOwn(defined(monitor), name))
  const names = ofLogin.map((name) => [`monitor.${name}`, `login.${name}`] as const)
  const config = named(() => clusterOf(rest, joined), names)
  const logins = app.nodes.map((node) => node.login)
  const discovered = app.discovery?.login ?? logins[0]
  if (discovered === undefined) throw new Error('unreachable: a cluster has a node or a discovery')
  return { config, logins, discovered }
}

/** Where the proxy is, and the pool of connections to it. Throws ConfigError. */
export function resolveProxyOptions(options: ProxyOptions): ClusterConfig {
  const { proxy, pool, tls } = options
  const given: { readonly [name: string]: unknown } = { ...options }
  for (const name of ofTheProxy) {
    if (given[name] === undefined) continue
    throw new ConfigError(name, 'makes no sense with proxy; it belongs to the configuration there')
  }
  return named(() => clusterOf({ primary: proxy, pool, tls }, {}), [['primary', 'proxy']])
}

/**
 * Runs what reads the options as those of a configuration file, and gives its errors the paths that
 * the application has written. `names`: options that it has under another name.
 */
export function named<T>(work: () => T, names: readonly (readonly [string, string])[] = []): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const text = error.path === '' ? error.message : error.message.slice(error.path.length + 2)
    throw new ConfigError(ownPath(error.path, names), text.replaceAll(inFile, ''), error.cause)
  }
}

/** Where the one cluster stands in the file. */
const inFile = 'clusters.main.'

function ownPath(path: string, names: readonly (readonly [string, string])[]): string {
  const own = `${path}.`.startsWith(inFile) ? path.slice(inFile.length) : path
  for (const [name, written] of names) {
    const rest = own.slice(name.length)
    if (own.startsWith(name) && /^([.[]|$)/.test(rest)) return written + rest
  }
  return own
}

function clusterOf(options: object, monitor: object): ClusterConfig {
  const cluster = { ...defined(options), monitor: defined(monitor) }
  // What looks like `${NAME}` is meant as it stands: this is no file.
  const value = { clusters: { main: literal(cluster) } }
  // Passwords that no URL has come from where the driver itself would find them.
  const config = parseConfig(value, { env: process.env })
  return config.clusters[0] as ClusterConfig
}

function defined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

function literal(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('${', '$${')
  if (Array.isArray(value)) return value.map(literal)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, literal(part)]))
}

/** Events of the core as the application hears them. */
export function eventLog(onEvent: SessionBehaviour['onEvent']): EventLog {
  const tell =
    (level: DoorEvent['level']): EventLog['info'] =>
    (facts, text) => {
      try {
        onEvent?.({ level, text, ...facts })
      } catch {
        // A listener's trouble is not the cluster's.
      }
    }
  return { info: tell('info'), warn: tell('warn') }
}
