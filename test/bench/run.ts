import { unprivilegedAccount } from '../../src/embedded/account.ts'
import { Scratch } from '../../src/embedded/scratch.ts'
import { debianBinDir, startCluster } from '../support/cluster.ts'
import { type BenchOptions, parseBenchOptions, usage } from './bench-options.ts'
import type { Arena, Contestant } from './contestant.ts'
import { startDirect } from './contestants/direct.ts'
import { startPgBouncer } from './contestants/pgbouncer.ts'
import { startPgpool } from './contestants/pgpool.ts'
import { startBefore, startPgsplit } from './contestants/pgsplit.ts'
import { measureIdleClients } from './idle-clients.ts'
import { fillTables, findPgbench, runPgbench } from './pgbench.ts'
import * as report from './report.ts'
import type { Results, Runs } from './results.ts'
import { measureSlowReader } from './slow-reader.ts'

/**
 * `npm run bench`: pgsplit beside a direct connection, PgBouncer and Pgpool-II, on a cluster of
 * its own on loopback. `--help` lists the options, README.md says how to read the table.
 */

const starters = [
  { name: 'direct', start: startDirect },
  { name: 'pgsplit', start: startPgsplit },
  { name: 'before', start: startBefore },
  { name: 'pgbouncer', start: startPgBouncer },
  { name: 'pgpool', start: startPgpool },
] as const

const say = (text: string) => process.stdout.write(`${text}\n`)
const progress = (text: string) => process.stderr.write(`  ${text}\n`)

async function bench(options: BenchOptions, pgbench: string): Promise<void> {
  const facts = report.machineFacts()
  const binDir = options.embedded ? null : debianBinDir()
  await using cluster = await startCluster({
    replicas: options.replicas,
    database: 'bench',
    hba: ['host all all 127.0.0.1/32 trust'],
    settings: { max_connections: '500', shared_buffers: '256MB', autovacuum: 'off' },
    onProgress: progress,
    ...(binDir === null ? {} : { binDir }),
  })
  const scratch = new Scratch(unprivilegedAccount())
  const contestants: Contestant[] = []
  try {
    progress(`filling the tables, scale ${options.scale}`)
    await fillTables(pgbench, cluster, options.scale)
    const arena = {
      cluster,
      scratch,
      pgsplitArguments: options.pgsplitArguments,
      before: options.before,
    }
    contestants.push(...(await startContestants(arena, options)))

    // Memory first: under load the heap of a garbage-collected proxy grows, and gives back later.
    const extras = [
      ...(await idleClients(contestants, options)),
      ...(await slowReader(contestants, options)),
    ]
    const results = await runRounds(pgbench, contestants, options)
    const names = contestants.map(({ name }) => name)
    const table =
      options.cells.length === 0 ? [] : [report.renderTable(options.cells, names, results)]
    const lines = [
      ...report.renderFailures(results),
      ...report.renderGoals(options.cells, results),
      ...extras,
    ]
    say(['', ...table, ...(table.length === 0 ? [] : ['']), ...lines].join('\n'))
    if (options.write) {
      const block = [
        `### ${new Date().toISOString().slice(0, 10)}, ${report.checkout()}`,
        '',
        `\`npm run bench -- ${process.argv.slice(2).join(' ')}\`, PostgreSQL ${cluster.version}, ${facts}`,
        '',
        ...contestants.map(({ version, setup }) => `- ${version}: ${setup}`),
        '',
        ...table.flatMap((text) => [text, '']),
        ...lines.flatMap((text) => [`- ${text}`]),
        '',
      ].join('\n')
      report.writeBlock(new URL('README.md', import.meta.url), block)
    }
    if (report.renderFailures(results).length > 0) process.exitCode = 1
  } finally {
    for (const contestant of contestants) await contestant.stop()
    await scratch.remove()
  }
}

async function startContestants(arena: Arena, options: BenchOptions): Promise<Contestant[]> {
  const contestants: Contestant[] = []
  for (const { name, start } of starters) {
    if (options.without.has(name) || (name === 'before' && options.before === null)) continue
    const contestant = await start(arena)
    if (contestant === null) say(`${name}: not here, left out`)
    else contestants.push(contestant)
    if (contestant !== null) say(`${contestant.version}: ${contestant.setup}`)
  }
  return contestants
}

/** Every round visits every cell, and in a cell every contestant, each time another one first. */
async function runRounds(
  pgbench: string,
  contestants: readonly Contestant[],
  options: BenchOptions,
): Promise<Results> {
  const results = new Map<string, Map<string, Runs>>()
  await warmUp(pgbench, contestants, options)
  for (let round = 0; round < options.rounds; round++) {
    for (const [index, cell] of options.cells.entries()) {
      const shift = (round + index) % Math.max(1, contestants.length)
      for (const contestant of [...contestants.slice(shift), ...contestants.slice(0, shift)]) {
        const run = await runPgbench(pgbench, contestant, cell, options.seconds).catch(asError)
        const byName = results.get(cell.id) ?? new Map<string, Runs>()
        byName.set(contestant.name, [...(byName.get(contestant.name) ?? []), run])
        results.set(cell.id, byName)
        const figure = run instanceof Error ? run.message : `${run.tps.toFixed(0)} tps`
        progress(`round ${round + 1} ${cell.id} ${contestant.name}: ${figure}`)
      }
    }
  }
  return results
}

/** Three seconds of each protocol that will be measured: caches, pools, and compiled code. */
async function warmUp(
  pgbench: string,
  contestants: readonly Contestant[],
  options: BenchOptions,
): Promise<void> {
  for (const protocol of new Set(options.cells.map((cell) => cell.protocol))) {
    const workload = { script: 'select-only', protocol, clients: 16 } as const
    for (const contestant of contestants) {
      // What fails here fails again where it is measured, and is told there.
      await runPgbench(pgbench, contestant, workload, 3).catch(asError)
    }
  }
}

async function idleClients(
  contestants: readonly Contestant[],
  { idleClients: count }: BenchOptions,
): Promise<string[]> {
  const lines: string[] = []
  for (const contestant of count === 0 ? [] : contestants) {
    if (contestant.pid === null) continue
    progress(`${count} idle clients at ${contestant.name}`)
    const bytes = await measureIdleClients(contestant, count).catch(asError)
    const figure =
      bytes === null
        ? `not measured, it takes ${contestant.maxClients} clients`
        : bytes instanceof Error
          ? `failed: ${bytes.message}${bytes.cause === undefined ? '' : ` (${bytes.cause})`}`
          : `${(bytes / 1000).toFixed(1)} kB of resident memory per client`
    lines.push(`${count} idle clients, ${contestant.name}: ${figure}`)
  }
  return lines
}

async function slowReader(
  contestants: readonly Contestant[],
  { slowRows, slowBytesPerSecond }: BenchOptions,
): Promise<string[]> {
  const lines: string[] = []
  for (const contestant of slowRows === 0 ? [] : contestants) {
    if (contestant.pid === null) continue
    progress(`slow reader at ${contestant.name}`)
    const reads = await measureSlowReader(contestant, slowRows, slowBytesPerSecond).catch(asError)
    if (reads instanceof Error) {
      lines.push(`slow reader, ${contestant.name}: failed: ${reads.message}`)
      continue
    }
    for (const { what, bytes, growthBytes } of reads) {
      const megabytes = `${(bytes / 1e6).toFixed(0)} MB by ${what}`
      const growth = `${(growthBytes / 1e6).toFixed(1)} MB more resident memory`
      lines.push(`slow reader, ${contestant.name}: ${megabytes}, ${growth}`)
    }
  }
  return lines
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

try {
  const options = parseBenchOptions(process.argv.slice(2))
  const pgbench = findPgbench()
  if (options === 'help') say(usage)
  else if (pgbench === null) {
    throw new Error('no pgbench; install PostgreSQL’s client programs (apt install postgresql-15)')
  } else await bench(options, pgbench)
} catch (error) {
  process.stderr.write(`${asError(error).message}\n`)
  process.exitCode = 1
}
