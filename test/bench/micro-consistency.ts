/**
 * What the levels of consistency cost: `node test/bench/micro-consistency.ts [seconds] [rounds]`.
 * `pgbench -S` with 16 clients, prepared, through pgsplit onto a primary and two replicas, at each
 * level in turn: with an idle primary, beside 1,000 writes a second that go to the primary directly,
 * and with one write in ten of its own. Medians of rounds.
 */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { unprivilegedAccount } from '../../src/embedded/account.ts'
import { Scratch } from '../../src/embedded/scratch.ts'
import { debianBinDir, startCluster } from '../support/cluster.ts'
import { startPgsplit } from './contestants/pgsplit.ts'
import { fillTables, findPgbench } from './pgbench.ts'
import { cpuSeconds } from './process-tree.ts'

const run = promisify(execFile)
const seconds = Number(process.argv[2] ?? 4)
const rounds = Number(process.argv[3] ?? 3)
const writesPerSecond = 1_000
const levels = ['session', 'shared', 'strict', 'eventual', 'primary'] as const

const pgbench = findPgbench()
if (pgbench === null) throw new Error('there is no pgbench')
const binDir = debianBinDir()
await using cluster = await startCluster({
  database: 'bench',
  hba: ['host all all 127.0.0.1/32 trust'],
  settings: { max_connections: '200', shared_buffers: '256MB', autovacuum: 'off' },
  ...(binDir === null ? {} : { binDir }),
})
const scratch = new Scratch(unprivilegedAccount())
await fillTables(pgbench, cluster, 10)
const arena = { cluster, scratch, pgsplitArguments: [], before: null }
const proxy = await startPgsplit(arena)
if (proxy === null) throw new Error('pgsplit did not start')

type Work = 'idle' | 'beside' | 'mixed'
const titles: Readonly<Record<Work, string>> = {
  idle: 'reads, idle primary',
  beside: `reads, beside ${writesPerSecond} writes/s to the primary itself`,
  mixed: '90 % reads, 10 % writes',
}

interface Figures {
  readonly tps: number
  readonly latencyMs: number
  readonly cpuMicros: number
}

const mixed = join(scratch.path, 'mixed.sql')
writeFileSync(
  mixed,
  `\\set aid random(1, 1000000)
\\set dice random(1, 10)
\\if :dice = 1
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
\\else
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
\\endif
`,
)

const reads = (level: string, work: Work) =>
  run(
    pgbench,
    [
      ...['-n', ...(work === 'mixed' ? ['-f', mixed] : ['-S'])],
      ...['-M', 'prepared', '-c', '16', '-j', '1', '-T', `${seconds}`],
      ...['-h', '127.0.0.1', '-p', `${proxy.port}`, '-U', 'postgres', 'bench'],
    ],
    { env: { ...process.env, PGOPTIONS: `-c pgsplit.consistency=${level}` } },
  )

const writes = () =>
  run(pgbench, [
    ...['-n', '-N', '-c', '8', '-j', '1', '-R', `${writesPerSecond}`, '-T', `${seconds}`],
    ...['-h', '127.0.0.1', '-p', `${cluster.primary.port}`, '-U', 'postgres', 'bench'],
  ])

async function measure(level: string, work: Work): Promise<Figures> {
  const cpu = cpuSeconds(proxy?.pid ?? 0)
  const [{ stdout }] = await Promise.all([reads(level, work), work === 'beside' ? writes() : null])
  const used = cpuSeconds(proxy?.pid ?? 0) - cpu
  const transactions = Number(/actually processed: (\d+)/.exec(stdout)?.[1])
  return {
    tps: Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]),
    latencyMs: Number(/latency average = ([\d.]+)/.exec(stdout)?.[1]),
    cpuMicros: (used * 1e6) / transactions,
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

try {
  for (const work of ['idle', 'beside', 'mixed'] as const) {
    const found = new Map<string, Figures[]>(levels.map((level) => [level, []]))
    for (let round = 0; round < rounds; round++) {
      for (const level of levels) found.get(level)?.push(await measure(level, work))
    }
    console.log(titles[work])
    for (const [level, all] of found) {
      const of = (pick: (one: Figures) => number) => median(all.map(pick))
      console.log(
        `  ${level.padEnd(9)} ${of((one) => one.tps).toFixed(0)} tps, ${of((one) => one.latencyMs).toFixed(3)} ms, ` +
          `CPU ${of((one) => one.cpuMicros).toFixed(1)} µs`,
      )
    }
  }
} finally {
  await proxy.stop()
  scratch.remove()
}
