import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { EmbeddedCluster } from '../support/cluster.ts'
import type { Contestant, Protocol } from './contestant.ts'
import { findProgram } from './find-program.ts'
import { cpuSeconds } from './process-tree.ts'

const run = promisify(execFile)

export interface Workload {
  readonly script: 'select-only' | 'tpcb-like'
  readonly protocol: Protocol
  readonly clients: number
}

export interface PgbenchResult {
  readonly transactions: number
  /** Transactions per second, without the time to connect. */
  readonly tps: number
  /** CPU of the contestant, user and system, per transaction; null for the direct connection. */
  readonly cpuMicros: number | null
}

/** pgbench of the PostgreSQL 15 package, or the one on PATH; null when there is none. */
export function findPgbench(): string | null {
  return findProgram('pgbench', ['/usr/lib/postgresql/15/bin'])
}

/** Creates pgbench's tables on the primary and waits for the replicas. */
export async function fillTables(
  pgbench: string,
  cluster: EmbeddedCluster,
  scale: number,
): Promise<void> {
  const where = ['-h', '127.0.0.1', '-p', String(cluster.primary.port), '-U', 'postgres']
  await run(pgbench, ['-i', '-q', '-s', String(scale), ...where, cluster.database], {
    timeout: 300_000,
  })
  await cluster.catchUp()
}

/** Runs pgbench once. Throws its first complaint when a transaction failed or it did not end. */
export async function runPgbench(
  pgbench: string,
  contestant: Contestant,
  workload: Workload,
  seconds: number,
): Promise<PgbenchResult> {
  const { script, protocol, clients } = workload
  const { pid } = contestant
  const before = pid === null ? 0 : cpuSeconds(pid)
  const { stdout, stderr } = await run(
    pgbench,
    [
      ...['-n', '-b', script, '-M', protocol, '-c', String(clients), '-j', '1'],
      ...['-T', String(seconds), '-h', '127.0.0.1', '-p', String(contestant.port)],
      ...['-U', 'postgres', contestant.database(protocol)],
    ],
    { timeout: (seconds + 60) * 1000, killSignal: 'SIGKILL' },
  ).catch((error: { readonly stderr?: string; readonly message: string }) => {
    throw new Error(complaint(error.stderr ?? '') ?? error.message)
  })
  const cpu = pid === null ? null : cpuSeconds(pid) - before
  const result = parsePgbench(stdout)
  if (result === null) throw new Error(complaint(stderr) ?? 'pgbench reported no transactions')
  const { transactions, failed, tps } = result
  if (failed > 0) throw new Error(`${failed} transactions failed`)
  return { transactions, tps, cpuMicros: cpu === null ? null : (cpu * 1e6) / transactions }
}

/** Figures of pgbench's report; null when it has none, or no transaction at all. */
export function parsePgbench(text: string) {
  const transactions = Number(/actually processed: (\d+)/.exec(text)?.[1] ?? 0)
  const failed = Number(/number of failed transactions: (\d+)/.exec(text)?.[1] ?? 0)
  const tps = Number(/^tps = ([\d.]+)/m.exec(text)?.[1] ?? 0)
  return transactions > 0 && tps > 0 ? { transactions, failed, tps } : null
}

function complaint(stderr: string): string | undefined {
  return stderr.split('\n').find((line) => /error|fatal|aborted/i.test(line))
}
