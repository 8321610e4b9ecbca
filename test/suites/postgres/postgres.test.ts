import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { embeddedBinDir } from '../../../src/embedded/binaries.ts'
import { debianBinDir, type EmbeddedCluster, startCluster } from '../../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../../support/proxy.ts'
import { compareResults } from './compare-results.ts'
import { type ExpectedDifference, expectedDifferences } from './expected-differences.ts'
import {
  missingForSuites,
  runSuite,
  type SuiteName,
  type SuiteOptions,
  type SuiteRun,
} from './run-suite.ts'

const versions = [
  { version: 15, binDir: debianBinDir() },
  { version: 18, binDir: embeddedBinDir() },
] as const

for (const { version, binDir } of versions) {
  const missing = binDir === null ? '/usr/lib/postgresql/15' : missingForSuites(version)
  if (process.env.CI === 'true' && missing !== null) throw new Error(`this needs ${missing}`)
  const needs = missing === null ? '' : ` (need ${missing})`

  describe.skipIf(missing !== null)(`PostgreSQL ${version}'s own tests${needs}`, () => {
    let plain: EmbeddedCluster
    let split: EmbeddedCluster
    let proxy: TestProxy
    const servers = { version, binDir: binDir ?? '' }

    beforeAll(async () => {
      plain = await startCluster({ binDir: servers.binDir })
      split = await startCluster({ binDir: servers.binDir, database: 'regression' })
      proxy = await startTestProxy(split)
    })
    afterAll(async () => {
      await proxy?.stop()
      await Promise.all([plain?.stop(), split?.stop()])
    })

    const directly = (suite: SuiteName, options: SuiteOptions): Promise<SuiteRun> =>
      runSuite(suite, servers, { port: plain.primary.port, password: plain.password }, options)

    const through = (suite: SuiteName, options: SuiteOptions): Promise<SuiteRun> =>
      runSuite(suite, servers, { port: proxy.port, password: split.password }, options)

    async function compare(
      suite: SuiteName,
      [direct, proxied]: readonly [SuiteRun, SuiteRun],
      expected: readonly ExpectedDifference[] = expectedDifferences[suite],
    ): Promise<void> {
      const { differing, stale } = await compareResults(version, suite, direct, proxied, expected)
      expect(differing.slice(0, 20).join('\n')).toBe('')
      expect(stale).toEqual([])
    }

    it('regress: every file gives through pgsplit what it gives directly', async () => {
      const runs = await Promise.all([directly('regress', {}), through('regress', {})])
      expect(runs[0].results.size, runs[0].log).toBeGreaterThan(200)
      await compare('regress', runs)
    })

    // isolationtester looks for locks of the processes whose ids the clients got at log-in: each
    // session asks for a server process of its own.
    it.skipIf(version !== 15)(
      'isolation: every file gives through pgsplit what it gives directly',
      async () => {
        const clientOptions = '-c pgsplit.pool_mode=session'
        const runs = await Promise.all([
          directly('isolation', {}),
          through('isolation', { clientOptions }),
        ])
        expect(runs[0].results.size, runs[0].log).toBeGreaterThan(100)
        await compare('isolation', runs)
      },
    )
  })
}
