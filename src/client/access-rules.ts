import type { HbaFacts } from '../auth/hba-file.ts'
import { PgSplitError } from '../errors.ts'
import { type AddressRange, addressBytes, isInRange } from '../net/address-range.ts'
import type { Grants } from './grants.ts'

/** A line of `auth.rules`; null matches everything. */
export interface AccessRule {
  readonly users: readonly string[] | null
  readonly databases: readonly string[] | null
  readonly addresses: readonly AddressRange[] | null
  /** What clients say of themselves: it tells them apart, and proves nothing. */
  readonly applications: readonly string[] | null
  /** `required`: matches only over TLS; `certificate`: only with a verified client certificate. */
  readonly tls: 'any' | 'required' | 'certificate'
  readonly method: 'allow' | 'reject'
  /** What the clients get that it lets in. */
  readonly grants: Grants
}

/** Who asks for what, from where, over what. */
export interface AccessFacts extends HbaFacts {
  readonly hasCertificate: boolean
  readonly application: string
}

/** As pg_hba.conf: the first rule that matches decides, and without one nobody gets in. */
export function rulesRefusal(
  rules: readonly AccessRule[],
  facts: AccessFacts,
): PgSplitError | null {
  const rule = decidingRule(rules, facts)
  if (rule?.method === 'allow') return null
  return hbaRefusal('auth.rules', rule === undefined ? 'no entry' : 'reject', facts)
}

/** The first rule that matches; undefined: none does. */
export function decidingRule(
  rules: readonly AccessRule[],
  facts: AccessFacts,
): AccessRule | undefined {
  const address = addressBytes(facts.address)
  return rules.find((one) => matches(one, facts, address))
}

function matches(rule: AccessRule, facts: AccessFacts, address: Uint8Array | null): boolean {
  if (rule.tls !== 'any' && !facts.isTls) return false
  if (rule.tls === 'certificate' && !facts.hasCertificate) return false
  if (rule.applications !== null && !rule.applications.includes(facts.application)) return false
  if (rule.users !== null && !rule.users.includes(facts.user)) return false
  const database = facts.isPhysical ? 'replication' : facts.database
  // As in pg_hba.conf, `all` is no replication.
  if (rule.databases === null ? facts.isPhysical : !rule.databases.includes(database)) return false
  if (rule.addresses === null) return true
  return address !== null && rule.addresses.some((range) => isInRange(address, range))
}

/** As PostgreSQL words it (auth.c, `ClientAuthentication`). */
export function hbaRefusal(
  source: 'auth.rules' | 'pg_hba.conf',
  why: 'reject' | 'no entry',
  { user, database, address, isTls }: AccessFacts,
  hint?: string,
): PgSplitError {
  const who = `for host "${address}", user "${user}", database "${database}"`
  const how = isTls ? 'SSL encryption' : 'no encryption'
  const what = why === 'reject' ? `${source} rejects connection` : `no ${source} entry`
  const message = `${what} ${who}, ${how}`
  const facts = { sqlstate: '28000', message, severity: 'FATAL' } as const
  return new PgSplitError(hint === undefined ? facts : { ...facts, hint })
}
