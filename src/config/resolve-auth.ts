import { ConfigError } from '../errors.ts'
import { parseRange } from '../net/address-range.ts'
import type { AuthConfig, GrantsConfig, RuleConfig, UserConfig, VerifierLookup } from './config.ts'
import { show } from './scalars.ts'
import type { ClusterInput } from './schema-cluster.ts'
import type { Secret } from './secret.ts'

type AuthInput = ClusterInput['auth']

/** Shapes of `pg_authid.rolpassword` (documentation, "pg_authid"). */
const verifierShape =
  /^(?:SCRAM-SHA-256\$\d{1,10}:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=|md5[0-9a-f]{32})$/

/** Checks what the shape of the options can't say: which credential goes with which method. */
export function resolveAuth(input: AuthInput, path: string): AuthConfig {
  const users = input.users.map((user, index) => resolveUser(user, `${path}.users[${index}]`))
  const names = new Set<string>()
  for (const [index, user] of users.entries()) {
    if (names.has(user.name)) {
      throw new ConfigError(`${path}.users[${index}].name`, `"${user.name}" is listed twice`)
    }
    names.add(user.name)
  }
  const lookup = resolveLookup(input.lookup, `${path}.lookup`)
  const asks = input.method === 'scram-sha-256' || input.method === 'md5'
  if (asks && lookup.kind === 'off' && users.length === 0) {
    throw new ConfigError(path, 'nobody could log in: list users or set lookup to auto')
  }
  const bare = users.findIndex((user) => user.password === undefined && user.verifier === undefined)
  if (asks && lookup.kind === 'off' && bare >= 0) {
    throw new ConfigError(`${path}.users[${bare}]`, 'needs password or verifier, as lookup is off')
  }
  const rules = input.rules?.map((rule, index) => resolveRule(rule, `${path}.rules[${index}]`))
  const followsPgHba = input.pgHba === 'follow'
  return { method: input.method, lookup, users, rules: rules ?? null, followsPgHba }
}

type RuleInput = NonNullable<AuthInput['rules']>[number]

function resolveRule(input: RuleInput, path: string): RuleConfig {
  const users = resolveNames(input.user, `${path}.user`)
  const databases = resolveNames(input.database, `${path}.database`)
  const all = input.address === undefined || input.address.includes('all')
  const addresses = all ? null : (input.address ?? [])
  const strange = addresses?.find((text) => parseRange(text) === null)
  if (strange !== undefined) {
    const what = `${show(strange)} is no address such as 10.0.0.0/8 or ::1`
    throw new ConfigError(`${path}.address`, what)
  }
  const { tls, method } = input
  const names = input.application
  const applications = names === undefined || names.includes('all') ? null : names
  const isOfScope = addresses === null && applications === null && tls === 'any'
  if (input.poolSize !== undefined && (!isOfScope || method === 'reject')) {
    throw new ConfigError(
      `${path}.poolSize`,
      'needs a rule that lets in and names nothing but users and databases: those share their connections',
    )
  }
  return { users, databases, addresses, applications, tls, method, grants: resolveGrants(input) }
}

type GrantsInput = Pick<
  RuleInput,
  'access' | 'route' | 'consistency' | 'maxLag' | 'poolMode' | 'poolSize' | 'limits'
>

function resolveGrants(input: GrantsInput): GrantsConfig {
  const { connections, concurrency, statementTime, rows, bytes } = input.limits
  return {
    access: input.access ?? null,
    route: input.route ?? null,
    consistency: input.consistency ?? null,
    maxLagMs: input.maxLag ?? null,
    poolMode: input.poolMode ?? null,
    poolSize: input.poolSize ?? null,
    limits: {
      connections: connections ?? null,
      concurrency: concurrency ?? null,
      statementMs: statementTime ?? null,
      rows: rows ?? null,
      bytes: bytes ?? null,
    },
  }
}

/** Null: all. */
function resolveNames(
  names: readonly string[] | undefined,
  path: string,
): readonly string[] | null {
  if (names === undefined || names.includes('all')) return null
  const strange = names.find((name) => /^[+/]/.test(name))
  if (strange === undefined) return names
  throw new ConfigError(
    path,
    `${show(strange)}: groups and patterns are not known here; list names`,
  )
}

function resolveUser(user: AuthInput['users'][number], path: string): UserConfig {
  if (user.password !== undefined && user.verifier !== undefined) {
    throw new ConfigError(path, 'has both password and verifier; keep one')
  }
  assertVerifier(user.verifier, `${path}.verifier`)
  return {
    name: user.name,
    password: user.password,
    verifier: user.verifier,
    serverUser: user.serverUser ?? user.name,
    serverPassword: user.serverPassword,
    grants: resolveGrants(user),
  }
}

/** Throws ConfigError when the text is not a verifier; the text itself is not repeated. */
export function assertVerifier(verifier: Secret | undefined, path: string): void {
  if (verifier === undefined || verifierShape.test(verifier.reveal())) return
  throw new ConfigError(
    path,
    'is no verifier; copy pg_authid.rolpassword (SCRAM-SHA-256$… or md5…)',
  )
}

function resolveLookup(text: string, path: string): VerifierLookup {
  if (text === 'auto' || text === 'pg_authid' || text === 'off') return { kind: text }
  const name = text.replace(/\(\)$/, '')
  if (/^[A-Za-z_][\w$]{0,62}(\.[A-Za-z_][\w$]{0,62})?$/.test(name))
    return { kind: 'function', name }
  throw new ConfigError(
    path,
    `${show(text)} is no function name; write auto, schema.function, pg_authid or off`,
  )
}
