/**
 * What the primary's pg_hba.conf says of clients that it can't see: it judges pgsplit's address and
 * pgsplit's TLS.
 */
import type { PgSplitError } from '../errors.ts'
import { type AddressRange, addressBytes, isEverything, isInRange } from '../net/address-range.ts'
import { type AccessFacts, hbaRefusal } from './access-rules.ts'

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

/**
 * Why pg_hba.conf would refuse this client if it came by itself; null: it would not, or can't be
 * told. A line that rejects counts, unless it is the last word for everybody (`host all all all
 * reject`): where only pgsplit's address is let in, that is meant for clients beside it. For the
 * same reason a missing line counts only where TLS is all that is missing, for the client's address
 * or for pgsplit's own.
 */
export function hbaRulesRefusal(
  rules: readonly HbaRule[],
  facts: AccessFacts,
  ownAddress: string | null,
): PgSplitError | null {
  const hint = 'What pg_hba.conf says is followed as long as auth.pgHba is "follow".'
  const found = firstMatch(rules, facts)
  if (found === 'unknown') return null
  if (found !== null && found.method !== 'reject') return null
  if (found !== null && !isLastWord(found)) return hbaRefusal('pg_hba.conf', 'reject', facts, hint)
  if (facts.isTls) return null
  const mayOverTls = (address: string): boolean => {
    const plain = firstMatch(rules, { ...facts, address })
    const overTls = firstMatch(rules, { ...facts, address, isTls: true })
    if (plain === 'unknown' || overTls === 'unknown' || overTls === null) return false
    return (plain === null || plain.method === 'reject') && overTls.method !== 'reject'
  }
  if (!mayOverTls(facts.address) && (ownAddress === null || !mayOverTls(ownAddress))) return null
  return hbaRefusal('pg_hba.conf', found === null ? 'no entry' : 'reject', facts, hint)
}

function isLastWord({ type, databases, users, address, netmask }: HbaRule): boolean {
  const isForAll = databases.includes('all') && users.includes('all')
  return type === 'host' && isForAll && (address === 'all' || isEverywhere(address, netmask))
}

function isEverywhere(address: string, netmask: string | null): boolean {
  const range = rangeOf(address, netmask)
  return range !== null && isEverything(range)
}

function firstMatch(rules: readonly HbaRule[], facts: AccessFacts): HbaRule | 'unknown' | null {
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
  { database, user, isPhysical }: AccessFacts,
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
  const range = rangeOf(address, netmask)
  // samehost, samenet, or the name of a host
  if (range === null) return 'unknown'
  const bytes = addressBytes(client)
  return bytes !== null && isInRange(bytes, range)
}

function rangeOf(address: string, netmask: string | null): AddressRange | null {
  const base = addressBytes(address)
  const mask = addressBytes(netmask ?? '')
  return base === null || mask === null || mask.length !== base.length ? null : { base, mask }
}
