import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster } from '../../support/cluster.ts'
import { commitsDuring, startTestProxy, type TestProxy } from '../../support/proxy.ts'
import { compareResults } from './compare-results.ts'
import { type ExpectedDifference, expectedDifferences } from './expected-differences.ts'
import {
  missingForSuites,
  runSuite,
  type SuiteName,
  type SuiteOptions,
  type SuiteRun,
} from './run-suite.ts'

const binDir = debianBinDir() ?? ''
const missing = missingForSuites(debianBinDir())
if (process.env.CI === 'true' && missing !== null) throw new Error(`this needs ${missing}`)

/** Files of `regress` that mostly read, and can run again in what it leaves behind. */
const readers = [
  ...['comments', 'json_encoding', 'jsonb_jsonpath', 'jsonpath', 'jsonpath_encoding', 'numerology'],
  ...['point', 'regex', 'select', 'select_distinct', 'select_distinct_on', 'strings', 'text'],
  ...['tstypes', 'unicode'],
]

describe.skipIf(missing !== null)(
  `PostgreSQL's own tests${missing === null ? '' : ` (need ${missing})`}`,
  () => {
    let plain: EmbeddedCluster
    let split: EmbeddedCluster
    let proxy: TestProxy

    beforeAll(async () => {
      plain = await startCluster({ binDir })
      split = await startCluster({ binDir, database: 'regression' })
      proxy = await startTestProxy(split)
    })
    afterAll(async () => {
      await proxy?.stop()
      await Promise.all([plain?.stop(), split?.stop()])
    })

    const directly = (suite: SuiteName, options: SuiteOptions): Promise<SuiteRun> =>
      runSuite(suite, binDir, { port: plain.primary.port, password: plain.password }, options)

    const through = (by: TestProxy, suite: SuiteName, options: SuiteOptions): Promise<SuiteRun> =>
      runSuite(suite, binDir, { port: by.port, password: split.password }, options)

    async function compare(
      suite: SuiteName,
      [direct, proxied]: readonly [SuiteRun, SuiteRun],
      expected: readonly ExpectedDifference[] = expectedDifferences[suite],
    ): Promise<void> {
      const { differing, stale } = await compareResults(suite, direct, proxied, expected)
      expect(differing.slice(0, 20).join('\n')).toBe('')
      expect(stale).toEqual([])
    }

    it('regress: every file gives through pgsplit what it gives directly', async () => {
      const runs = await Promise.all([directly('regress', {}), through(proxy, 'regress', {})])
      expect(runs[0].results.size, runs[0].log).toBeGreaterThan(200)
      await compare('regress', runs)
    })

    it('regress: files that read give the same from the replicas', async () => {
      const direct = await directly('regress', { files: readers })
      expect(direct.results.size, direct.log).toBe(readers.length)
      const commits = await commitsDuring(split, async (own) => {
        await compare('regress', [direct, await through(own, 'regress', { files: readers })], [])
      })
      const { replica1 = 0, replica2 = 0 } = commits
      // how many depends on how soon the replicas have what the session's own DDL has done
      expect(replica1 + replica2).toBeGreaterThan(200)
    })

    // isolationtester looks for locks of the processes whose ids the clients got at log-in: each
    // session asks for a server process of its own.
    it('isolation: every file gives through pgsplit what it gives directly', async () => {
      const clientOptions = '-c pgsplit.pool_mode=session'
      const runs = await Promise.all([
        directly('isolation', {}),
        through(proxy, 'isolation', { clientOptions }),
      ])
      expect(runs[0].results.size, runs[0].log).toBeGreaterThan(100)
      await compare('isolation', runs)
    })
  },
)
