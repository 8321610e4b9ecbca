import type { Consistency } from '../consistency.ts'
import type { PoolMode } from './cluster-access.ts'

/** How much a client may take; null = as much as there is. */
interface GrantLimits {
  /** Connections of the user at a time. */
  readonly connections: number | null
  /** Clients of the user that run something, or are in a transaction, at a time. */
  readonly concurrency: number | null
  /** How long a request may run at its server, ms. */
  readonly statementMs: number | null
  /** Rows of one answer. */
  readonly rows: number | null
  /** Bytes of one answer. */
  readonly bytes: number | null
}

/** What is said of a user, or of the clients that a rule is for; null = nothing. */
export interface Grants {
  readonly access: 'all' | 'read' | null
  readonly route: 'auto' | 'primary' | 'replica' | null
  readonly consistency: Consistency | null
  readonly maxLagMs: number | null
  readonly poolMode: PoolMode | null
  readonly limits: GrantLimits
}

/** Nothing is said. */
export const noGrants: Grants = {
  access: null,
  route: null,
  consistency: null,
  maxLagMs: null,
  poolMode: null,
  limits: { connections: null, concurrency: null, statementMs: null, rows: null, bytes: null },
}

/**
 * What a client gets that two say something of: `first` goes before. A limit is the smaller one, and
 * `access: read` of either holds: no entry lets anybody do more than another one has taken from him.
 */
export function joinGrants(first: Grants, second: Grants): Grants {
  const one = first.limits
  const other = second.limits
  return {
    access: first.access === 'read' ? 'read' : (second.access ?? first.access),
    route: first.route ?? second.route,
    consistency: first.consistency ?? second.consistency,
    maxLagMs: first.maxLagMs ?? second.maxLagMs,
    poolMode: first.poolMode ?? second.poolMode,
    limits: {
      connections: smaller(one.connections, other.connections),
      concurrency: smaller(one.concurrency, other.concurrency),
      statementMs: smaller(one.statementMs, other.statementMs),
      rows: smaller(one.rows, other.rows),
      bytes: smaller(one.bytes, other.bytes),
    },
  }
}

function smaller(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other
  return Math.min(one, other)
}

/** Must requests of the session be looked at for it? */
export function isGuarded({ access, limits }: Grants): boolean {
  const { concurrency, statementMs, rows, bytes } = limits
  return (
    [concurrency, statementMs, rows, bytes].some((limit) => limit !== null) || access === 'read'
  )
}

/** As `SHOW pgsplit.limits` says it. */
export function limitsText({ limits }: Grants): string {
  const said = [
    ['connections', limits.connections, ''],
    ['concurrency', limits.concurrency, ''],
    ['statementTime', limits.statementMs, 'ms'],
    ['rows', limits.rows, ''],
    ['bytes', limits.bytes, ''],
  ] as const
  const known = said.filter(([, value]) => value !== null)
  return known.map(([name, value, unit]) => `${name}=${value}${unit}`).join(', ') || 'none'
}
