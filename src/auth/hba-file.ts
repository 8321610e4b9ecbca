/** pg_hba.conf as `pg_hba_file_rules` shows it, and which of its lines decides. */
import { type AddressRange, addressBytes, isInRange } from '../net/address-range.ts'

/** A line as `pg_hba_file_rules` shows it. */
export interface HbaRule {
  readonly type: string
  readonly databases: readonly string[]
  readonly users: readonly string[]
  /** `all`, `samehost`, `samenet`, an address or the name of a host. */
  readonly address: string
  readonly netmask: string | null
  readonly method: string
}

/** Reads the answer to `hbaSql`; null when the file has a mistake, and the server uses an older one. */
export function parseHbaRules(json: string): readonly HbaRule[] | null {
  const rows: unknown = JSON.parse(json)
  if (!Array.isArray(rows)) return null
  const rules: HbaRule[] = []
  for (const row of rows) {
    // With a method there is only a warning (hostssl without TLS at the server).
    if (row.auth_method == null) return null
    rules.push({
      type: String(row.type),
      databases: names(row.database),
      users: names(row.user_name),
      address: String(row.address ?? ''),
      netmask: row.netmask == null ? null : String(row.netmask),
      method: String(row.auth_method),
    })
  }
  return rules
}

export const hbaSql = `SELECT coalesce(json_agg(h), '[]')::text AS rules,
  host(pg_catalog.inet_client_addr()) AS own_address FROM pg_catalog.pg_hba_file_rules h`

function names(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : []
}

/** Who asks for what, from where, over what. */
export interface HbaFacts {
  readonly user: string
  readonly database: string
  readonly address: string
  /** Replication, for which a line must name the database `replication`. */
  readonly isPhysical: boolean
  readonly isTls: boolean
}

/**
 * The line that decides on a log-in; null: there is none, which refuses it. `unknown`: some line may
 * or may not, such as one for the members of a role.
 */
export function firstHbaMatch(
  rules: readonly HbaRule[],
  facts: HbaFacts,
): HbaRule | 'unknown' | null {
  for (const rule of rules) {
    const parts = [
      matchType(rule.type, facts.isTls),
      matchDatabase(rule.databases, facts),
      matchUser(rule.users, facts.user),
      matchAddress(rule, facts.address),
    ]
    if (parts.includes(false)) continue
    return parts.includes('unknown') ? 'unknown' : rule
  }
  return null
}

type Match = boolean | 'unknown'

/** True as soon as one is, and unknown as long as one may be. */
function any(matches: readonly Match[]): Match {
  if (matches.includes(true)) return true
  return matches.includes('unknown') ? 'unknown' : false
}

function matchType(type: string, isTls: boolean): Match {
  switch (type) {
    case 'host':
    case 'hostnogssenc':
      return true
    case 'hostssl':
      return isTls
    case 'hostnossl':
      return !isTls
    default:
      return false
  }
}

function matchDatabase(
  databases: readonly string[],
  { database, user, isPhysical }: HbaFacts,
): Match {
  return any(
    databases.map((name) => {
      if (isPhysical) return name === 'replication'
      if (name === 'all' || name === database) return true
      if (name === 'sameuser') return database === user
      // samerole, and regular expressions
      return name === 'samerole' || name === 'samegroup' || name.startsWith('/') ? 'unknown' : false
    }),
  )
}

function matchUser(users: readonly string[], user: string): Match {
  return any(
    users.map((name) => {
      if (name === 'all' || name === user) return true
      return name.startsWith('+') || name.startsWith('/') ? 'unknown' : false
    }),
  )
}

function matchAddress({ address, netmask }: HbaRule, client: string): Match {
  if (address === 'all') return true
  const range = hbaRange(address, netmask)
  // samehost, samenet, or the name of a host
  if (range === null) return 'unknown'
  const bytes = addressBytes(client)
  return bytes !== null && isInRange(bytes, range)
}

/** What an address and its mask name; null: a word, or the name of a host. */
export function hbaRange(address: string, netmask: string | null): AddressRange | null {
  const base = addressBytes(address)
  const mask = addressBytes(netmask ?? '')
  return base === null || mask === null || mask.length !== base.length ? null : { base, mask }
}
