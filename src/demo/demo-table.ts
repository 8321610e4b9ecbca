import type { DemoNode } from './demo-proxy.ts'

/** Counters at one moment. */
export interface Sample {
  readonly atMs: number
  readonly nodes: readonly DemoNode[]
  readonly reads: number
  readonly writes: number
  readonly transactions: number
  readonly errors: number
}

const TITLES = ['node', 'role', 'state', 'lag', 'requests/s', 'share of reads'] as const

/** The lines of the live table: what happened between two samples. Under 80 columns. */
export function demoTable(before: Sample, now: Sample): string[] {
  const seconds = Math.max(now.atMs - before.atMs, 1) / 1000
  const grown = now.nodes.map((node) => {
    const old = before.nodes.find(({ name }) => name === node.name)
    return {
      node,
      requests: Math.max(0, node.requests - (old?.requests ?? 0)),
      reads: Math.max(0, node.reads - (old?.reads ?? 0)),
    }
  })
  const allReads = grown.reduce((sum, { reads }) => sum + reads, 0)
  const rows = grown.map(({ node, requests, reads }) => [
    node.name,
    node.role,
    node.state,
    lagText(node.lagMs),
    String(Math.round(requests / seconds)),
    percent(reads, allReads),
  ])
  const rate = (count: (sample: Sample) => number) =>
    Math.round((count(now) - count(before)) / seconds)
  return [
    ...columns([[...TITLES], ...rows], 3),
    `workload: ${rate((s) => s.reads)} reads/s, ${rate((s) => s.writes)} writes/s, ` +
      `${rate((s) => s.transactions)} transactions/s, ${counted(now.errors, 'error')} so far`,
  ]
}

/** What the servers themselves counted, and the workload's own totals. */
export interface Totals {
  readonly seconds: number
  readonly reads: number
  readonly writes: number
  readonly transactions: number
  readonly readBack: number
  readonly nodes: readonly { readonly name: string; readonly role: string; commits: number }[]
  readonly errors: ReadonlyMap<string, number>
}

/** The lines of the final summary. */
export function demoSummary(totals: Totals): string[] {
  const { reads, writes, transactions, readBack, seconds } = totals
  const lines = [
    `${reads + writes + transactions} requests in ${seconds.toFixed(1)} s: ` +
      `${reads} reads, ${writes} writes, ${transactions} transactions`,
    'transactions that the servers counted themselves (pg_stat_database):',
    ...columns(
      totals.nodes.map(({ name, role, commits }) => [`  ${name}`, role, String(commits)]),
      2,
    ),
    `share of the reads that replicas served: ${shareOnReplicas(totals)}`,
    `reads right after an own commit: ${readBack}, of which stale: ${totals.errors.get(STALE) ?? 0}`,
  ]
  if (totals.errors.size === 0) return [...lines, 'errors: none']
  const errors = [...totals.errors].map(([text, times]) => `  ${times} × ${text}`)
  return [...lines, 'errors:', ...errors]
}

/** The error text of a client that did not see its own write. */
export const STALE = 'a client did not see its own committed write'

// What the primary committed beyond the workload's writes were reads (and a few log-ins).
function shareOnReplicas({ nodes, writes, transactions }: Totals): string {
  const commits = (role: (role: string) => boolean) =>
    nodes.filter((node) => role(node.role)).reduce((sum, node) => sum + node.commits, 0)
  const onReplicas = commits((role) => role !== 'primary')
  const onPrimary = Math.max(0, commits((role) => role === 'primary') - writes - transactions)
  return percent(onReplicas, onReplicas + onPrimary)
}

/** `3 ms`, `1.2 s`; a dash where there is no lag to speak of. */
export function lagText(lagMs: number | null): string {
  if (lagMs === null) return '–'
  return lagMs < 1000 ? `${Math.round(lagMs)} ms` : `${(lagMs / 1000).toFixed(1)} s`
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '–' : `${((100 * part) / whole).toFixed(1)} %`
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Aligns cells: the first `left` columns to the left, figures to the right. */
function columns(rows: readonly (readonly string[])[], left: number): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, i) => (i < left ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
