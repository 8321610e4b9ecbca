import type { RuleRow } from '../admin/admin-source.ts'
import type { Cluster } from './cluster.ts'

/** What clients of the cluster get by `users` and rules, and take of it. */
export function ruleRows(cluster: Cluster): RuleRow[] {
  return cluster.grantUses.all.map(({ user, database, source, grants, use }) => ({
    cluster: cluster.name,
    user,
    database,
    source: source === '' ? null : source,
    access: grants.access ?? 'all',
    clients: use.clients,
    max_clients: grants.limits.connections,
    running: use.running,
    max_running: grants.limits.concurrency,
    waiting: use.waiting,
    max_statement_ms: grants.limits.statementMs,
    max_rows: grants.limits.rows,
    max_bytes: grants.limits.bytes,
    refused: use.counts.refused,
    timed_out: use.counts.timedOut,
    cut: use.counts.cut,
  }))
}
