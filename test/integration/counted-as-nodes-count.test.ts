import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { proxySettings, startProxyWith, type TestProxy } from '../support/proxy.ts'
import { runProgram } from '../support/run-program.ts'

const binDir = debianBinDir()

describe.skipIf(binDir === null)(
  'numbers of a run of pgbench (needs /usr/lib/postgresql/15)',
  () => {
    let cluster: EmbeddedCluster
    let proxy: TestProxy

    beforeAll(async () => {
      cluster = await startCluster({
        binDir: binDir ?? '',
        database: 'bench',
        settings: { shared_preload_libraries: 'pg_stat_statements' },
      })
      await cluster.primary.query('CREATE EXTENSION pg_stat_statements', [], 'bench')
      proxy = await startProxyWith(cluster, {
        ...proxySettings(cluster),
        http: { listen: '127.0.0.1:0' },
      })
      await pgbench('-i', '-s', '1', '-q')
      await cluster.catchUp()
    })
    afterAll(async () => {
      await proxy?.stop()
      await cluster?.stop()
    })

    async function pgbench(...args: string[]): Promise<void> {
      const port = String(proxy.port)
      const ran = await runProgram(
        `${binDir}/pgbench`,
        ['-h', '127.0.0.1', '-p', port, '-U', 'postgres', ...args, 'bench'],
        { PGPASSWORD: cluster.password },
      )
      expect(ran.code, ran.err).toBe(0)
    }

    /** Calls of statements that begin so, by node, as pg_stat_statements has counted them. */
    async function calls(beginning: string): Promise<Record<string, number>> {
      const found: Record<string, number> = {}
      for (const [i, node] of [cluster.primary, ...cluster.replicas].entries()) {
        const [row] = await node.query(
          `SELECT coalesce(sum(calls), 0) AS n FROM pg_stat_statements JOIN pg_database d
             ON d.oid = dbid WHERE datname = 'bench' AND query LIKE $1`,
          [`${beginning}%`],
          'bench',
        )
        found[i === 0 ? 'primary' : `r${i}`] = Number(row?.n)
      }
      return found
    }

    const shown = (command: string) =>
      proxy.with(async (client) => (await client.query<Record<string, string>>(command)).rows, {
        database: 'pgsplit',
      })

    /** Calls of statements that begin so, as pgsplit has counted them. */
    async function counted(beginning: string): Promise<number> {
      const rows = await shown('SHOW STATEMENTS')
      const own = rows.filter(({ query }) => query?.startsWith(beginning.toLowerCase()))
      return own.reduce((sum, row) => sum + Number(row.calls), 0)
    }

    it.each(['simple', 'extended', 'prepared'])(
      'are those of the nodes, statement by statement, in mode %s',
      async (mode) => {
        const read = 'SELECT abalance FROM pgbench_accounts'
        const seenBefore = await calls(read)
        const countedBefore = await counted(read)
        await pgbench('-S', '-n', '-M', mode, '-c', '4', '-t', '250')
        const seen = await calls(read)
        expect((await counted(read)) - countedBefore).toBe(1000)
        // A read that waits behind a slow one is run once more elsewhere: never fewer.
        const all = (of: Record<string, number>) => Object.values(of).reduce((sum, n) => sum + n, 0)
        expect(all(seen) - all(seenBefore)).toBeGreaterThanOrEqual(1000)

        await pgbench('-n', '-M', mode, '-c', '2', '-t', '50')
        for (const beginning of [
          'UPDATE pgbench_accounts',
          'UPDATE pgbench_tellers',
          'UPDATE pgbench_branches',
          'INSERT INTO pgbench_history',
        ]) {
          const { primary = 0 } = await calls(beginning)
          expect(primary).toBeGreaterThanOrEqual(100)
          expect(await counted(beginning), beginning).toBe(primary)
        }
      },
    )
  },
)
