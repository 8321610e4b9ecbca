import { ConfigError } from '../errors.ts'
import { assertKnown } from '../known-options.ts'
import type { AdminConfig, AdminUser, ClusterConfig, Config } from './config.ts'
import { type Environment, interpolate } from './interpolate.ts'
import { configErrorOf } from './issue-text.ts'
import { configJsonSchema } from './json-schema.ts'
import { assertVerifier } from './resolve-auth.ts'
import { resolveCluster, type Surroundings } from './resolve-cluster.ts'
import { resolveHttp } from './resolve-http.ts'
import { resolveClientTls } from './resolve-tls.ts'
import { type ConfigInput, configSchema } from './schema.ts'
import type { Secret } from './secret.ts'

/** What parsing may look at beside the value; defaults: no variables, the working directory. */
export interface ParseOptions {
  readonly env?: Environment
  readonly directory?: string
}

/**
 * Checks and resolves a configuration of any shape, for example parsed YAML.
 * Throws ConfigError for the first mistake, with its path; texts never contain secrets.
 */
export function parseConfig(value: unknown, options: ParseOptions = {}): Config {
  assertKnown<ParseOptions>(options, { env: true, directory: true })
  if (value === null || value === undefined) {
    throw new ConfigError('', 'the configuration is empty; it needs clusters with a primary')
  }
  const { env = {}, directory = '.' } = options
  const result = configSchema.safeParse(interpolate(value, { env, directory }))
  if (!result.success) throw configErrorOf(result.error.issues, configJsonSchema())
  return resolve(result.data, { env, directory })
}

function resolve(input: ConfigInput, around: Surroundings): Config {
  const { directory } = around
  const clusters = Object.entries(input.clusters).map(([name, cluster]) =>
    resolveCluster(name, cluster, around),
  )
  const first = clusters[0]
  if (first === undefined) throw new ConfigError('clusters', 'has no cluster; name at least one')
  assertNoOverlap(clusters, input.admin.database)
  const other = clusters.find(({ auth }) => auth.method !== first.auth.method)
  if (other !== undefined) {
    // One front door asks all clients: a cluster with trust would open it for the others.
    throw new ConfigError(
      `clusters.${other.name}.auth.method`,
      `differs from cluster ${first.name}'s (${first.auth.method}); use one method for all clusters`,
    )
  }
  const tls = resolveClientTls(input.tls, directory)
  const byCertificate = clusters.find((cluster) => cluster.auth.method === 'cert')
  if (byCertificate !== undefined && tls.mode?.startsWith('verify-') !== true) {
    throw new ConfigError(
      `clusters.${byCertificate.name}.auth.method`,
      `cert needs tls.mode verify-ca or verify-full, not ${tls.mode}`,
    )
  }
  const { limits, log } = input
  return {
    listen: input.listen,
    clusters,
    tls,
    limits: {
      maxClients: limits.maxClients,
      maxUnauthenticated: limits.maxUnauthenticated,
      authTimeoutMs: limits.authTimeout,
      maxFrameBytes: limits.maxFrameBytes,
      maxBufferedRequestBytes: limits.maxBufferedRequest,
      retryMaxBytes: limits.retryMaxBytes,
      drainTimeoutMs: limits.drainTimeout,
    },
    admin: resolveAdmin(input.admin, clusters),
    http: input.http === undefined ? null : resolveHttp(input.http, directory),
    auth: { mockSecret: resolveMockSecret(input.auth.mockSecret) },
    log,
  }
}

/** A name must lead to one cluster; `*` only catches what no cluster lists. */
function assertNoOverlap(clusters: readonly ClusterConfig[], adminDatabase: string): void {
  const owners = new Map<string, string>()
  for (const cluster of clusters) {
    for (const [index, database] of cluster.databases.entries()) {
      const path = `clusters.${cluster.name}.databases[${index}]`
      const owner = owners.get(database)
      if (owner !== undefined) {
        const way = 'a database can lead to one cluster only; list the names of each'
        throw new ConfigError(path, `"${database}" is already in cluster ${owner}; ${way}`)
      }
      if (database === adminDatabase) {
        throw new ConfigError(path, `"${database}" is the admin database; rename admin.database`)
      }
      owners.set(database, cluster.name)
    }
  }
}

/** Shorter ones could be found by trying: salts that it made are public. */
const minSecretLength = 16

function resolveMockSecret(secret: Secret | undefined): Secret | undefined {
  if (secret === undefined || secret.reveal().length >= minSecretLength) return secret
  throw new ConfigError(
    'auth.mockSecret',
    `is too short; give ${minSecretLength} characters or more`,
  )
}

function resolveAdmin(
  input: ConfigInput['admin'],
  clusters: readonly ClusterConfig[],
): AdminConfig {
  const users = input.users?.map((user, index) => adminUser(user, `admin.users[${index}]`))
  const readers = input.readers.map((user, index) => adminUser(user, `admin.readers[${index}]`))
  for (const [index, { name }] of readers.entries()) {
    if (users?.some((user) => user.name === name) !== true) continue
    throw new ConfigError(`admin.readers[${index}]`, `"${name}" is under admin.users, too`)
  }
  const others = monitorUsers(clusters).filter(
    ({ name }) => !readers.some((reader) => reader.name === name),
  )
  return { database: input.database, users: users ?? others, readers }
}

function adminUser(user: ConfigInput['admin']['readers'][number], path: string): AdminUser {
  if (typeof user === 'string') return { name: user, password: undefined, verifier: undefined }
  assertVerifier(user.verifier, `${path}.verifier`)
  if ((user.password === undefined) === (user.verifier === undefined)) {
    throw new ConfigError(path, 'needs either password or verifier')
  }
  return { name: user.name, password: user.password, verifier: user.verifier }
}

function monitorUsers(clusters: readonly ClusterConfig[]): AdminUser[] {
  const users = new Map<string, AdminUser>()
  const logins = clusters.flatMap(({ nodes, discovery }) => [
    ...nodes.map(({ login }) => login),
    ...(discovery === null ? [] : [discovery.login]),
  ])
  for (const login of logins) {
    if (users.has(login.user)) continue
    users.set(login.user, { name: login.user, password: login.password, verifier: undefined })
  }
  return [...users.values()]
}
