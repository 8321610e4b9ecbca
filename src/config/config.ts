/**
 * The resolved configuration: defaults filled in, durations in milliseconds, sizes in bytes,
 * secrets wrapped. What each option means is said once, in `schema.ts`.
 */
import type { Consistency, TransactionReads, TransactionStart } from '../consistency.ts'
import type { SourceOptions } from '../discovery/create-source.ts'
import type { ClientTlsOptions, ServerTlsOptions } from '../net/tls-options.ts'
import type { Secret } from './secret.ts'

export interface Config {
  readonly listen: readonly ListenAddress[]
  /** At least one; the names are unique. */
  readonly clusters: readonly ClusterConfig[]
  /** For `new ClientTls`; file names are absolute and were readable at start. */
  readonly tls: ClientTlsOptions
  readonly limits: LimitsConfig
  readonly admin: AdminConfig
  /** null: there is no HTTP door. */
  readonly http: HttpConfig | null
  readonly auth: FrontAuthConfig
  readonly log: LogConfig
}

/** Port 0 lets the system choose one. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface ClusterConfig {
  readonly name: string
  /** Database names clients may ask for; `*` is every name that no other cluster lists. */
  readonly databases: readonly string[]
  /** The configured primary first, then the replicas; the names are unique. With discovery maybe none. */
  readonly nodes: readonly NodeConfig[]
  /** Where further nodes come from; null = nowhere. */
  readonly discovery: DiscoveryConfig | null
  readonly monitor: MonitorConfig
  readonly routing: RoutingConfig
  readonly failover: FailoverConfig
  readonly pool: PoolConfig
  readonly auth: AuthConfig
}

export interface NodeConfig {
  readonly name: string
  /** What the file says. Who is primary in truth is for the monitor to find out. */
  readonly role: 'primary' | 'replica' | 'any'
  readonly host: string
  readonly port: number
  /** Name that its certificate must have; absent = `host`. */
  readonly serverName?: string
  /** A connection takes no longer, whatever else is configured; absent = no limit of its own. */
  readonly connectTimeoutMs?: number
  /** How long a connection is silent until it is tried; null: it never is; absent = 30 s. */
  readonly keepAliveIdleMs?: number | null
  readonly zone: string | undefined
  /** Share of the reads, relative to the other replicas: 1 to 1000; 0 = none (discovered nodes only). */
  readonly weight: number
  /** Connections for clients over all pools; absent = no limit but theirs. */
  readonly maxConnections?: number
  /** For `loadServerTls`; file names are absolute and were readable at start. */
  readonly tls: ServerTlsOptions
  /** Who the monitor logs in as at this node. */
  readonly login: MonitorLogin
}

export interface DiscoveryConfig {
  readonly source: SourceOptions
  readonly intervalMs: number
  /** How long a node must be missing until it leaves. */
  readonly removeAfterMs: number
  /** What every discovered node gets; its certificate's authorities, and who the monitor is there. */
  readonly tls: ServerTlsOptions
  readonly login: MonitorLogin
}

export interface MonitorLogin {
  readonly user: string
  readonly password: Secret | undefined
  readonly database: string
}

interface MonitorConfig {
  readonly probeIntervalMs: number
  readonly probeTimeoutMs: number
  readonly rise: number
  readonly fall: number
  readonly maxCatalogs: number
}

type BalancerName = 'least-connections' | 'round-robin' | 'weighted-random' | 'ip-hash' | 'latency'

export interface RoutingConfig {
  readonly balancer: BalancerName
  readonly maxLagMs: number
  readonly maxLagResumeMs: number
  readonly fallbackToPrimary: boolean
  readonly consistency: Consistency
  readonly transactions: TransactionStart
  readonly transactionReads: TransactionReads
  readonly causalWaitMs: number
  readonly readTimeoutMs: number
  /** Requests run again per request, 0 to 1. */
  readonly retryShare: number
  /** The zone that pgsplit itself is in. */
  readonly zone: string | undefined
  readonly maxFails: number
  readonly failTimeoutMs: number
  readonly slowStartMs: number
}

interface FailoverConfig {
  readonly holdWritesMs: number
  readonly pauseTimeoutMs: number
  readonly maxHeld: number
  readonly maxHeldBytes: number
}

interface PoolConfig {
  readonly mode: 'transaction' | 'session'
  /** Server connections per node, user and database. */
  readonly size: number
  /** Part of them that is kept for others than reads and pinned clients, 0 to below 1. */
  readonly keptShare: number
  readonly checkoutTimeoutMs: number
  /** 0 means never, as for `maxLifetimeMs`. */
  readonly idleTimeoutMs: number
  readonly maxLifetimeMs: number
  readonly connectTimeoutMs: number
  /** Prepared statements kept on each server connection. */
  readonly preparedStatements: number
}

type AuthMethod = 'scram-sha-256' | 'md5' | 'trust' | 'cert'

export type VerifierLookup =
  | { readonly kind: 'auto' }
  | { readonly kind: 'pg_authid' }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'off' }

export interface AuthConfig {
  readonly method: AuthMethod
  readonly lookup: VerifierLookup
  readonly users: readonly UserConfig[]
  /** null: no rules, everybody may try. */
  readonly rules: readonly RuleConfig[] | null
  /** Clients get what the primary's pg_hba.conf says of them. */
  readonly followsPgHba: boolean
}

/** What is said of a user, or of the clients of a rule; null = nothing. */
export interface GrantsConfig {
  readonly access: 'all' | 'read' | null
  readonly route: 'auto' | 'primary' | 'replica' | null
  readonly consistency: Consistency | null
  readonly maxLagMs: number | null
  readonly poolMode: 'transaction' | 'session' | null
  /** Server connections per node, user and database. */
  readonly poolSize: number | null
  readonly limits: {
    readonly connections: number | null
    readonly concurrency: number | null
    readonly statementMs: number | null
    readonly rows: number | null
    readonly bytes: number | null
  }
}

/** A line of `auth.rules`; null = all. */
export interface RuleConfig {
  readonly users: readonly string[] | null
  readonly databases: readonly string[] | null
  /** As `parseRange` reads them. */
  readonly addresses: readonly string[] | null
  readonly applications: readonly string[] | null
  readonly tls: 'any' | 'required' | 'certificate'
  readonly method: 'allow' | 'reject'
  readonly grants: GrantsConfig
}

export interface UserConfig {
  readonly name: string
  readonly password: Secret | undefined
  /** `SCRAM-SHA-256$…` or `md5…`, as in `pg_authid.rolpassword`. */
  readonly verifier: Secret | undefined
  /** Role at the servers; the same name when not given. */
  readonly serverUser: string
  readonly serverPassword: Secret | undefined
  readonly grants: GrantsConfig
}

export interface LimitsConfig {
  readonly maxClients: number
  readonly maxUnauthenticated: number
  readonly authTimeoutMs: number
  readonly maxFrameBytes: number
  readonly maxBufferedRequestBytes: number
  readonly retryMaxBytes: number
  readonly drainTimeoutMs: number
}

interface FrontAuthConfig {
  /** undefined: made up when pgsplit starts. */
  readonly mockSecret: Secret | undefined
}

export interface AdminConfig {
  readonly database: string
  /** Who may connect to the admin database. */
  readonly users: readonly AdminUser[]
  /** Who may, too, but only to look. */
  readonly readers: readonly AdminUser[]
}

export interface HttpConfig {
  readonly listen: readonly ListenAddress[]
  readonly metrics: 'open' | 'readers'
  readonly tokens: readonly HttpToken[]
  readonly maxConnections: number
  /** For `new ClientTls`; file names are absolute and were readable at start. */
  readonly tls: ClientTlsOptions
}

interface HttpToken {
  readonly name: string
  readonly token: Secret
  readonly role: 'reader' | 'operator'
}

/** Without password and verifier the user is authenticated as at the first cluster. */
export interface AdminUser {
  readonly name: string
  readonly password: Secret | undefined
  readonly verifier: Secret | undefined
}

type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

interface LogConfig {
  readonly level: LogLevel
  readonly format: 'json' | 'pretty'
}
