/**
 * What the primary's pg_hba.conf says of clients that it can't see: it judges pgsplit's address and
 * pgsplit's TLS.
 */
import { firstHbaMatch, type HbaRule, hbaRange } from '../auth/hba-file.ts'
import type { PgSplitError } from '../errors.ts'
import { isEverything } from '../net/address-range.ts'
import { type AccessFacts, hbaRefusal } from './access-rules.ts'

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
  const found = firstHbaMatch(rules, facts)
  if (found === 'unknown') return null
  if (found !== null && found.method !== 'reject') return null
  if (found !== null && !isLastWord(found)) return hbaRefusal('pg_hba.conf', 'reject', facts, hint)
  if (facts.isTls) return null
  const mayOverTls = (address: string): boolean => {
    const plain = firstHbaMatch(rules, { ...facts, address })
    const overTls = firstHbaMatch(rules, { ...facts, address, isTls: true })
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
  const range = hbaRange(address, netmask)
  return range !== null && isEverything(range)
}
