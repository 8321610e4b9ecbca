import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { commitsDuring, startTestProxy, type TestProxy } from '../support/proxy.ts'
import { type ProgramResult, runProgram } from '../support/run-program.ts'

const binDir = debianBinDir()
const modes = ['simple', 'extended', 'prepared']

describe.skipIf(binDir === null)('pgbench through pgsplit (needs /usr/lib/postgresql/15)', () => {
  let cluster: EmbeddedCluster

  beforeAll(async () => {
    cluster = await startCluster({ binDir: binDir ?? '', database: 'bench' })
    const proxy = await startTestProxy(cluster)
    const made = await pgbench(proxy, '-i', '-s', '1', '-q')
    await proxy.stop()
    expect(made.code, made.err).toBe(0)
    await cluster.catchUp()
  })
  afterAll(() => cluster?.stop())

  function pgbench(proxy: TestProxy, ...args: string[]): Promise<ProgramResult> {
    return runProgram(
      `${binDir}/pgbench`,
      ['-h', '127.0.0.1', '-p', String(proxy.port), '-U', 'postgres', ...args, cluster.database],
      { PGPASSWORD: cluster.password },
    )
  }

  // Shares follow the speed of the replicas, which others on the machine disturb.
  it.each(modes)('runs -S in mode %s on the replicas, on either its share', async (mode) => {
    const transactions = 8 * 4000
    const {
      primary = 0,
      replica1 = 0,
      replica2 = 0,
    } = await commitsDuring(cluster, async (proxy) => {
      const ran = await pgbench(proxy, '-S', '-n', '-M', mode, '-c', '8', '-j', '1', '-t', '4000')
      expect(ran.code, ran.err).toBe(0)
      expect(ran.out).toContain(`transactions actually processed: ${transactions}/${transactions}`)
      expect(ran.out).toContain('number of failed transactions: 0')
    })
    const replicas = replica1 + replica2
    expect(replicas).toBeGreaterThanOrEqual(transactions)
    // log-ins and the catalog count, too
    expect(primary).toBeLessThan(transactions / 100)
    expect(Math.min(replica1, replica2) / replicas).toBeGreaterThan(0.3)
  })

  it.each(modes)('runs TPC-B in mode %s on the primary', async (mode) => {
    const {
      primary = 0,
      replica1 = 0,
      replica2 = 0,
    } = await commitsDuring(cluster, async (proxy) => {
      const ran = await pgbench(proxy, '-n', '-M', mode, '-c', '4', '-j', '1', '-t', '100')
      expect(ran.code, ran.err).toBe(0)
      expect(ran.out).toContain('number of failed transactions: 0')
    })
    expect(primary).toBeGreaterThanOrEqual(400)
    expect(replica1 + replica2).toBeLessThan(10)
    const [row] = await cluster.primary.query(
      `SELECT (SELECT sum(abalance) FROM pgbench_accounts)
         = (SELECT sum(delta) FROM pgbench_history) AS balanced`,
      [],
      cluster.database,
    )
    expect(row?.balanced).toBe(true)
  })
})
