import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { embeddedBinDir } from '../../../src/embedded/binaries.ts'
import { debianBinDir, type EmbeddedCluster, startCluster } from '../../support/cluster.ts'
import { ranAt } from '../../support/node-log.ts'
import { startTestProxy } from '../../support/proxy.ts'
import { waitFor } from '../../support/wait-for.ts'
import { isExpected } from './expected-read-differences.ts'
import { buildRegression, type Protocol, readSteps, runReads } from './reads-pass.ts'
import { missingForSuites } from './run-suite.ts'

const versions = [
  { version: 15, binDir: debianBinDir() },
  { version: 18, binDir: embeddedBinDir() },
] as const

/** Resolves when the catalog has been read since the last change, however busy the machine is. */
async function readsAgain(client: pg.Client): Promise<void> {
  await waitFor('a replica that may read', async () => {
    const { rows } = await client.query<{ node: string }>('EXPLAIN (ROUTE) TABLE pg_class')
    return rows[0]?.node !== 'primary'
  })
}

/**
 * The suite's DDL never pauses, so its own schedule proves the primary's path: here all of its reads
 * run in the database that it leaves behind.
 */
for (const { version, binDir } of versions) {
  const missing = binDir === null ? '/usr/lib/postgresql/15' : missingForSuites(version)
  if (process.env.CI === 'true' && missing !== null) throw new Error(`this needs ${missing}`)
  const needs = missing === null ? '' : ` (need ${missing})`

  describe.skipIf(missing !== null)(`reads of PostgreSQL ${version}'s own tests${needs}`, () => {
    let cluster: EmbeddedCluster
    const files = readSteps(version)
    const steps = files.flat()

    beforeAll(async () => {
      const settings = {
        log_statement: 'all',
        autovacuum: 'off',
        // prepared transactions would be left behind, and their locks
        max_prepared_transactions: '0',
      }
      const servers = { version, binDir: binDir ?? '' }
      cluster = await startCluster({ binDir: servers.binDir, database: 'regression', settings })
      await buildRegression(servers, cluster)
    }, 600_000)
    afterAll(() => cluster?.stop())

    it.each<Protocol>(['simple', 'extended'])(
      '%s: most run on replicas, and all give what they give directly',
      async (protocol) => {
        const direct = { port: cluster.primary.port, password: cluster.password }
        // what it gives the first time it may give no second time
        await runReads(files, protocol, direct, 'first')
        const before = await runReads(files, protocol, direct, 'before')
        await cluster.catchUp()
        const proxy = await startTestProxy(cluster)
        let proxied: string[]
        try {
          const target = { port: proxy.port, password: cluster.password }
          proxied = await proxy.with((client) =>
            runReads(files, protocol, target, protocol, () => readsAgain(client)),
          )
        } finally {
          await proxy.stop()
        }
        const after = await runReads(files, protocol, direct, 'after')
        const differing = steps.flatMap(({ file, text }, i) => {
          // nextval(), the clock, what functions leave behind: no two direct runs give the same
          if (before[i] !== after[i] || before[i] === proxied[i]) return []
          if (isExpected(file, text)) return []
          return [`${file}: ${text}\n- ${before[i]}\n+ ${proxied[i]}`]
        })
        expect(differing.slice(0, 10).join('\n\n')).toBe('')
        const there = new Set(cluster.replicas.flatMap((node) => [...ranAt(node, protocol)]))
        // what fails, as its table was made in a transaction that the suite rolled back, reads nothing
        const isAnswered = (i: number): boolean => !/^E /m.test(before[i] ?? '')
        const reads = steps.flatMap(({ isRead }, i) => (isRead && isAnswered(i) ? [i] : []))
        const share = reads.filter((i) => there.has(i)).length / reads.length
        console.log(
          `${version}, ${protocol}: ${(share * 100).toFixed(1)} % of ${reads.length} reads on replicas`,
        )
        expect(share).toBeGreaterThan(0.7)
      },
    )
  })
}
