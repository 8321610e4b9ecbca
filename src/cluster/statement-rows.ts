import type { StatementRow } from '../admin/admin-source.ts'
import type { StatementStats } from '../metrics/statement-table.ts'
import type { Cluster } from './cluster.ts'

/** Statements of all clusters, those first that take most time on their primary. */
export function statementRows(clusters: readonly Cluster[]): StatementRow[] {
  return clusters
    .flatMap(({ name, meter }) => [...meter.statements.all].map((stats) => rowOf(name, stats)))
    .sort((one, other) => other.primary_us - one.primary_us)
}

function rowOf(cluster: string, stats: StatementStats): StatementRow {
  const [p50 = null, p95 = null, p99 = null] = stats.served
    .quantiles([0.5, 0.95, 0.99])
    .map((ms) => (ms === null ? null : Math.round(ms * 10_000) / 10))
  const { mainWord } = stats
  const us = (ms: number): number => Math.round(ms * 1000)
  return {
    cluster,
    database: stats.database,
    query: stats.text,
    calls: stats.calls,
    primary_calls: stats.primaryCalls,
    total_us: us(stats.totalMs),
    primary_us: us(stats.primaryMs),
    replica_us: us(stats.replicaMs),
    p50_us: p50,
    p95_us: p95,
    p99_us: p99,
    rows: stats.rows,
    bytes: stats.bytes,
    errors: stats.errors,
    retries: stats.retries,
    reason: mainWord,
    why: mainWord === null ? null : whyOf(mainWord, stats),
    advice: mainWord === null ? null : adviceOf(mainWord, stats),
    missing_us: us(stats.inheritedMs),
    id: stats.id,
  }
}

/** Clauses of the words that are not of the statement itself, but of its surroundings. */
const surroundings: Readonly<Record<string, string>> = {
  no_replica: 'no replica may serve reads when it comes',
  behind: 'no replica has what its session has written or seen before',
  transaction: 'runs in a transaction that may write',
  pinned: 'its session keeps its server connection (SHOW CLIENTS tells why)',
  optimistic_transaction:
    'begins a transaction that may write, for which no replica was far enough',
  read_only_transaction: 'runs in a READ ONLY transaction that is on the primary',
  asked: 'a hint or a setting (pgsplit.route, pgsplit.consistency) asks for the primary',
  isolation: "its transaction's isolation level, or DEFERRABLE, is refused by standbys",
  cursor: 'its transaction opens a cursor, which could not follow it to the primary',
}

/** What stands in its own way comes first: without that its surroundings would not matter. */
function whyOf(word: string, { isRead, reason }: StatementStats): string {
  return isRead ? (surroundings[word] ?? reason) : reason
}

/** What helps against surroundings; each only where the statement itself could run on a replica. */
const remedies: Readonly<Record<string, string>> = {
  no_replica: 'SHOW NODES tells what keeps the replicas from serving',
  behind:
    'raise routing.causalWait so that it waits for a replica, or read with consistency=eventual where that does',
  transaction: 'if the transaction only reads: BEGIN READ ONLY; else run it outside, in autocommit',
  pinned: 'end what pins the session, or read over another one',
  asked: 'leave out the hint or the setting',
  isolation: 'use READ COMMITTED where it does',
  cursor: "SET pgsplit.route = 'replica' for it, if its transaction only reads",
}

function adviceOf(word: string, { isRead, volatileCall }: StatementStats): string | null {
  if (!isRead) {
    if (volatileCall === null) return null
    return `if ${volatileCall}() only reads, declare it so: ALTER FUNCTION ${volatileCall} STABLE`
  }
  return remedies[word] ?? null
}
