import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster } from '../../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../../support/proxy.ts'
import { expectedDifferences } from './expected-differences.ts'
import {
  type DriverName,
  databaseOf,
  driverNames,
  missingForSuites,
  runSuite,
  type SuiteRun,
} from './run-suite.ts'

const binDir = debianBinDir() ?? ''
const missing = missingForSuites(debianBinDir())
if (process.env.CI === 'true' && missing !== null) throw new Error(`this needs ${missing}`)

/** Fewer tests than this can't be all. */
const least: Readonly<Record<DriverName, number>> = { psycopg2: 700, asyncpg: 240, pg8000: 600 }
const settings = { wal_level: 'logical', max_prepared_transactions: '10' }

describe.skipIf(missing !== null)(
  `tests of drivers of Python${missing === null ? '' : ` (need ${missing})`}`,
  () => {
    let plain: EmbeddedCluster
    let split: EmbeddedCluster
    let proxy: TestProxy

    beforeAll(async () => {
      plain = await startCluster({ binDir, replicas: 0, settings })
      split = await startCluster({ binDir, settings })
      for (const { primary } of [plain, split]) {
        for (const database of driverNames.map(databaseOf)) {
          if (database !== 'postgres') await primary.query(`CREATE DATABASE ${database}`)
          await primary.query('CREATE EXTENSION hstore', [], database)
        }
      }
      await split.catchUp()
      proxy = await startTestProxy(split)
    })
    afterAll(async () => {
      await proxy?.stop()
      await Promise.all([plain?.stop(), split?.stop()])
    })

    const through = (by: TestProxy, driver: DriverName): Promise<SuiteRun> =>
      runSuite(driver, { port: by.port, password: split.password })

    it.each(driverNames)(
      'what passes directly passes through pgsplit: %s',
      async (driver) => {
        const [direct, proxied] = await Promise.all([
          runSuite(driver, { port: plain.primary.port, password: plain.password }),
          through(proxy, driver),
        ])
        const passing = [...direct.results]
          .filter(([, said]) => said === null)
          .map(([test]) => test)
        expect(passing.length, direct.log).toBeGreaterThan(least[driver])
        const failing = passing.filter((test) => proxied.results.get(test) !== null)
        const expected = expectedDifferences[driver]
        const isExpected = (test: string): boolean => expected.some((e) => test.startsWith(e.test))
        const said = failing
          .filter((test) => !isExpected(test))
          .map((test) => `${test}: ${proxied.results.get(test) ?? 'did not run'}`)
        expect(said.join('\n\n')).toBe('')
        const stale = expected.filter(
          (e) => e.isOccasional !== true && !failing.some((test) => test.startsWith(e.test)),
        )
        expect(stale.map(({ test }) => test)).toEqual([])
      },
      600_000,
    )
  },
)
