import { ConfigError } from '../errors.ts'
import { assertKnown, type OptionNames } from '../known-options.ts'
import { hasRelations } from './database-mold.ts'
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
  readonly paramsInErrors?: unknown
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
  paramsInErrors: true,
  client: true,
  ...behaviour,
}

const poolNames: OptionNames<NonNullable<NodeOptions['pool']>> = {
  size: true,
  reserve: true,
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

/** What `drizzle()` gets; `onlyIn` the lines of Drizzle that know it. */
const drizzleOptions = [
  { name: 'logger', onlyIn: null },
  { name: 'cache', onlyIn: null },
  {
    name: 'schema',
    onlyIn: '0.x',
    way: 'Drizzle 1.0 takes relations, as defineRelations() makes them',
  },
  { name: 'casing', onlyIn: '0.x', way: 'Drizzle 1.0 has it with the tables' },
  { name: 'relations', onlyIn: '1.0', way: 'Drizzle before 1.0 takes schema' },
  { name: 'jit', onlyIn: '1.0', way: 'it needs Drizzle 1.0' },
  { name: 'codecs', onlyIn: '1.0', way: 'it needs Drizzle 1.0' },
  { name: 'paramsInErrors', onlyIn: '1.0', way: 'it needs Drizzle 1.0' },
] as const

/** Options of `createSessions`, by whose they are. */
export interface Apart<Client> {
  readonly client?: Client
  /** Drizzle's. */
  readonly config: Readonly<Record<string, unknown>>
  readonly nodes: (NodeOptions | ProxyOptions) & SessionBehaviour
}

export function takeApart<Client>(options: object): Apart<Client> {
  const rest: Record<string, unknown> = { ...options }
  const config: Record<string, unknown> = {}
  for (const { name } of drizzleOptions) {
    if (rest[name] !== undefined) config[name] = rest[name]
    delete rest[name]
  }
  const { client, ...nodes } = rest
  const mine = nodes as unknown as Apart<Client>['nodes']
  return { ...(client === undefined ? {} : { client: client as Client }), config, nodes: mine }
}

/** Throws ConfigError for an option that another line of Drizzle has: this one would ignore it. */
export function assertModelOptions(config: Apart<unknown>['config'], mold: object): void {
  const other = hasRelations(mold) ? '0.x' : '1.0'
  for (const option of drizzleOptions) {
    if (option.onlyIn !== other || config[option.name] === undefined) continue
    throw new ConfigError(option.name, `is unknown to the Drizzle that is installed; ${option.way}`)
  }
}
