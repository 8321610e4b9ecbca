import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir } from '../../support/cluster.ts'
import { expectedOfPgx, expectedOfPq } from './expected-differences.ts'
import { fetchGoModule, go, runGoTests } from './go-suite.ts'
import { type ExpectedDifference, passed, worseThrough } from './outcomes.ts'
import { type SuiteServers, startSuiteServers, type Target } from './suite-servers.ts'

const binDir = debianBinDir()
const missing = binDir === null ? '/usr/lib/postgresql/15' : go === null ? 'go' : null
const note = missing === null ? '' : ` (need ${missing})`

/** More than CI has time for, too: PGSPLIT_TEST_SUITES=all. */
const isWhole = process.env.PGSPLIT_TEST_SUITES === 'all'

describe.skipIf(missing !== null)(`the tests of Go's drivers${note}`, () => {
  let servers: SuiteServers
  beforeAll(async () => {
    servers = await startSuiteServers(binDir ?? '')
  })
  afterAll(() => servers?.stop())

  /** Directly and through pgsplit; what failed only there once more, as clocks play a part. */
  async function compare(
    directory: string,
    packages: readonly string[],
    envOf: (target: Target) => Record<string, string>,
    expected: readonly ExpectedDifference[],
  ): Promise<void> {
    const names = expected.flatMap(({ test, isLeftOut }) => (isLeftOut ? [test] : []))
    const skip = names.length === 0 ? {} : { skip: `^(${names.map(plain).join('|')})$` }
    const direct = await runGoTests(directory, packages, envOf(servers.direct), skip)
    const through = await runGoTests(directory, packages, envOf(servers.through), skip)
    expect(passed(direct)).toBeGreaterThan(100)
    const worse = worseThrough(direct, through, expected)
    if (worse.length === 0) return
    const only = `^(${[...new Set(worse.map(plain))].join('|')})$`
    const again = await runGoTests(directory, packages, envOf(servers.through), { ...skip, only })
    expect(worse.filter((test) => again.get(test) !== 'pass')).toEqual([])
  }

  it('pgx gives through pgsplit what it gives directly', async () => {
    const directory = await fetchGoModule('github.com/jackc/pgx/v5', 'v5.12.0')
    await servers.setUp('postgres', 'CREATE DATABASE pgx_test')
    await servers.setUp('pgx_test', pgxDatabase)
    const envOf = ({ port, password }: Target): Record<string, string> => {
      const text = `host=127.0.0.1 port=${port} user=postgres password=${password} database=pgx_test`
      return { PGX_TEST_DATABASE: text, PGX_TEST_TCP_CONN_STRING: text }
    }
    const packages = ['.', './pgconn', './stdlib']
    if (isWhole) packages.push('./pgxpool', './pgtype/...', './tracelog', './multitracer')
    await compare(directory, packages, envOf, expectedOfPgx)
  }, 1_500_000)

  it('lib/pq gives through pgsplit what it gives directly', async () => {
    const directory = await fetchGoModule('github.com/lib/pq', 'v1.12.3')
    await servers.setUp('postgres', 'CREATE DATABASE pqgo')
    const envOf = ({ port, password }: Target): Record<string, string> => ({
      PGHOST: '127.0.0.1',
      PGPORT: String(port),
      PGUSER: 'postgres',
      PGPASSWORD: password,
      PGDATABASE: 'pqgo',
      PGSSLMODE: 'disable',
    })
    await compare(directory, ['.', './hstore'], envOf, expectedOfPq)
  })
})

/** The test's own name, without its package and what it calls its parts. */
function plain(test: string): string {
  return (test.split(' ').at(-1) ?? '').replace(/\*$/, '').replace(/\/.*/, '')
}

/** What pgx's own set-up script makes, apart from users for ways to log in. */
const pgxDatabase = `
  CREATE EXTENSION hstore;
  CREATE EXTENSION ltree;
  CREATE DOMAIN uint64 AS numeric(20,0);
  CREATE USER " tricky, ' } "" \\ test user " SUPERUSER`
