import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir } from '../../support/cluster.ts'
import { expectedOfJdbc } from './expected-differences.ts'
import { type JdbcSuite, javac, maven, prepareJdbcSuite, runJdbcTests } from './jdbc-suite.ts'
import { passed, worseThrough } from './outcomes.ts'
import { type SuiteServers, startSuiteServers } from './suite-servers.ts'

const binDir = debianBinDir()
const missing =
  binDir === null
    ? '/usr/lib/postgresql/15'
    : maven === null
      ? 'maven'
      : javac === null
        ? 'default-jdk-headless'
        : null
const note = missing === null ? '' : ` (need ${missing})`

if (process.env.CI === 'true' && missing !== null) throw new Error(`this needs ${missing}`)

/** What CI has time for: what is particular on the wire. The rest with PGSPLIT_TEST_SUITES=all. */
const chosen = [
  ...['BatchFailureTest', 'CallableStmtTest', 'ConcurrentStatementFetchTest', 'CopyTest'],
  ...[
    'CursorFetchTest',
    'NotifyTest',
    'ParameterStatusTest',
    'RefCursorTest',
    'SearchPathLookupTest',
  ],
  ...['ServerCursorTest', 'ServerErrorTest', 'ServerPreparedStmtTest', 'TransactionStateTest'],
].map((name) => `org.postgresql.test.jdbc2.${name}`)

describe.skipIf(missing !== null)(`the tests of Java's driver${note}`, () => {
  let servers: SuiteServers
  let suite: JdbcSuite
  beforeAll(async () => {
    suite = await prepareJdbcSuite()
    servers = await startSuiteServers(binDir ?? '')
    await servers.setUp('postgres', "CREATE USER test SUPERUSER PASSWORD 'test'")
    await servers.setUp('postgres', 'CREATE DATABASE test OWNER test')
    await servers.setUp('test', 'CREATE EXTENSION hstore; CREATE EXTENSION sslinfo')
  }, 300_000)
  afterAll(() => servers?.stop())

  it('pgjdbc gives through pgsplit what it gives directly', async () => {
    const classes = process.env.PGSPLIT_TEST_SUITES === 'all' ? suite.classes : chosen
    const leftOut = expectedOfJdbc.flatMap(({ test, isLeftOut }) => (isLeftOut ? [test] : []))
    const direct = await runJdbcTests(suite, servers.direct, classes, leftOut)
    const through = await runJdbcTests(suite, servers.through, classes, leftOut)
    expect(passed(direct)).toBeGreaterThan(200)
    expect(worseThrough(direct, through, expectedOfJdbc)).toEqual([])
  }, 1_500_000)
})
