import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import type { Cell } from './bench-options.ts'
import { type Results, ratio, summarize } from './results.ts'

/**
 * The one table, as Markdown that is aligned for a terminal too. A contestant has transactions
 * per second and µs of CPU per transaction; the ratios are pgsplit's over the other's.
 */
export function renderTable(
  cells: readonly Cell[],
  contestants: readonly string[],
  results: Results,
): string {
  const rivals = contestants.includes('pgsplit')
    ? contestants.filter((name) => name !== 'pgsplit')
    : []
  const head = ['cell', ...contestants.flatMap((name) => [`${name} tps`, ...cpuHead(name)])]
  head.push(...rivals.map((name) => `tps / ${name}`))
  head.push(...rivals.filter(hasCpu).map((name) => `CPU / ${name}`))
  const rows = cells.map(({ id }) => {
    const of = (name: string) => results.get(id)?.get(name)
    return [
      id,
      ...contestants.flatMap((name) => {
        const summary = summarize(of(name))
        if (summary === null) return ['–', ...(hasCpu(name) ? ['–'] : [])]
        if (summary instanceof Error) return ['failed', ...(hasCpu(name) ? ['–'] : [])]
        const cpu = summary.cpuMicros?.toFixed(1) ?? '–'
        return [summary.tps.toFixed(0), ...(hasCpu(name) ? [cpu] : [])]
      }),
      ...rivals.map((name) => times(ratio(of('pgsplit'), of(name), ({ tps }) => tps))),
      ...rivals
        .filter(hasCpu)
        .map((name) => times(ratio(of('pgsplit'), of(name), ({ cpuMicros }) => cpuMicros))),
    ]
  })
  return aligned([head, ...rows])
}

/** Failed runs with what pgbench said, one line per cell and contestant. */
export function renderFailures(results: Results): string[] {
  return [...results].flatMap(([id, byName]) =>
    [...byName].flatMap(([name, runs]) => {
      const error = runs.find((run) => run instanceof Error)
      return error === undefined ? [] : [`${name} failed in ${id}: ${error.message}`]
    }),
  )
}

/** The goals of the project for `-S`, each with the worst cell. */
export function renderGoals(cells: readonly Cell[], results: Results): string[] {
  const goals = [
    { rival: 'PgBouncer', most: 1.6 },
    { rival: 'Pgpool-II', most: 0.7 },
  ]
  return goals.flatMap(({ rival, most }) => {
    let worst: { readonly id: string; readonly value: number } | null = null
    for (const { id, script } of cells) {
      const runs = results.get(id)
      const value = ratio(runs?.get('pgsplit'), runs?.get(rival), ({ cpuMicros }) => cpuMicros)
      if (script !== 'select-only' || value === null) continue
      if (worst === null || value > worst.value) worst = { id, value }
    }
    if (worst === null) return []
    const verdict = worst.value <= most ? 'met' : 'missed'
    return [
      `CPU per -S transaction at most ${most} × ${rival}: ${verdict}, worst ${times(worst.value)} (${worst.id})`,
    ]
  })
}

/** What the figures depend on. */
export function machineFacts(): string {
  const [cpu] = cpus()
  const cores = `${cpus().length} × ${cpu?.model.trim() ?? 'unknown CPU'}`
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const load = (loadavg()[0] ?? 0).toFixed(1)
  return `${cores}, ${memory}, Linux ${release()}, Node.js ${process.versions.node}, load ${load} at the start`
}

/** Puts a block under `## Results` of the README, newest first. */
export function writeBlock(file: URL, block: string): void {
  const text = readFileSync(file, 'utf8')
  const heading = '## Results\n'
  const at = text.indexOf(heading)
  if (at < 0) throw new Error(`${file.pathname} has no heading "## Results"`)
  const cut = at + heading.length
  writeFileSync(
    file,
    `${text.slice(0, cut)}\n${block}\n${text.slice(cut).trimStart()}`.trimEnd().concat('\n'),
  )
}

/** Short hash of the checkout, with a + when tracked files are changed; '' outside of git. */
export function checkout(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim()
    const changed = git('status', '--porcelain', '--untracked-files=no') !== ''
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? '+' : ''}`
  } catch {
    return ''
  }
}

function hasCpu(name: string): boolean {
  return name !== 'direct'
}

function cpuHead(name: string): string[] {
  return hasCpu(name) ? ['µs'] : []
}

function times(value: number | null): string {
  return value === null ? '–' : `${value.toFixed(2)} ×`
}

function aligned(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows
  const widths = head.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0
      return column === 0 ? cell.padEnd(width) : cell.padStart(width)
    })
    return `| ${cells.join(' | ')} |`
  }
  const rule = widths.map((width, column) => {
    return column === 0 ? '-'.repeat(width) : `${'-'.repeat(Math.max(1, width - 1))}:`
  })
  return [line(head), line(rule), ...rows.slice(1).map(line)].join('\n')
}
