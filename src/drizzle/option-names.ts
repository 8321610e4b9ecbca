import { ConfigError } from '../errors.ts'
import { assertKnown, type OptionNames } from '../known-options.ts'
import type { ReplicaOptions } from './replicated.ts'
import type { NodeOptions, ProxyOptions, SessionBehaviour } from './session-options.ts'

/** What `createSessions` of either driver knows beside what the nodes have. */
interface DatabaseOptions extends SessionBehaviour {
  readonly schema?: unknown
  readonly relations?: unknown
  readonly casing?: unknown
  readonly logger?: unknown
  readonly cache?: unknown
  readonly jit?: unknown
  readonly codecs?: unknown
  readonly client?: unknown
}

const behaviour: OptionNames<SessionBehaviour> = { onWriteInReadSession: true, onEvent: true }

const watching: OptionNames<ReplicaOptions> = {
  monitor: true,
  routing: true,
  failover: true,
  tls: true,
  pool: true,
  onEvent: true,
}

const all: OptionNames<NodeOptions & ProxyOptions & DatabaseOptions> = {
  primary: true,
  replicas: true,
  discovery: true,
  proxy: true,
  login: true,
  ...watching,
  schema: true,
  relations: true,
  casing: true,
  logger: true,
  cache: true,
  jit: true,
  codecs: true,
  client: true,
  ...behaviour,
}

const poolNames: OptionNames<NonNullable<NodeOptions['pool']>> = {
  size: true,
  checkoutTimeout: true,
  idleTimeout: true,
  maxLifetime: true,
  connectTimeout: true,
}

const loginNames: OptionNames<NonNullable<NodeOptions['login']>> = {
  user: true,
  password: true,
  database: true,
}

interface Sections {
  readonly pool?: object | undefined
  readonly login?: object | undefined
}

/** Throws ConfigError for an option that `createSessions` doesn't have. */
export function assertSessionOptions(options: Sections): void {
  assertKnown(options, all)
  assertKnown(options.pool, poolNames, 'pool')
  assertKnown(options.login, loginNames, 'login')
}

/** Throws ConfigError for an option that `withReplicas` doesn't have. */
export function assertReplicaOptions(options: Sections): void {
  assertKnown(options, watching)
  assertKnown(options.pool, poolNames, 'pool')
}

/** Throws ConfigError for what is pgsplit's to set: it would be overruled without a word. */
export function assertClientOptions(client: object, taken: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(client)) {
    const way = Object.hasOwn(taken, name) ? taken[name] : undefined
    if (way !== undefined)
      throw new ConfigError(`client.${name}`, `is not the driver's here; ${way}`)
  }
}
