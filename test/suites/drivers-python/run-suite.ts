import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram } from '../../support/run-program.ts'

const fetched = fileURLToPath(
  new URL('../../../node_modules/.cache/python-suites', import.meta.url),
)
const python = join(fetched, 'venv/bin/python')
const timeoutMs = 560_000

/** By driver: the files to run, and what its tests can't do here whatever they run on. */
const suites = {
  psycopg2: { files: ['tests'], leftOut: [] },
  asyncpg: { files: ['tests'], leftOut: ['tests/test__sourcecode.py'] },
  // the others need a server that is set up for each kind of log-in, or time things
  pg8000: {
    files: ['test/native', 'test/dbapi', 'test/legacy'],
    leftOut: ['native', 'dbapi', 'legacy'].flatMap((part) => [
      `test/${part}/auth`,
      `test/${part}/test_benchmarks.py`,
    ]),
  },
} as const satisfies Record<string, { files: readonly string[]; leftOut: readonly string[] }>

export type DriverName = keyof typeof suites
export const driverNames = Object.keys(suites) as DriverName[]

/** Where a suite runs: a server, or pgsplit in front of one. */
export interface SuiteTarget {
  readonly port: number
  /** Password of `postgres`. */
  readonly password: string
}

export interface SuiteRun {
  /** By test: null when it passed, else what it said. Skipped ones are not here. */
  readonly results: ReadonlyMap<string, string | null>
  /** What pytest said. */
  readonly log: string
}

/** The database that a driver's tests use. */
export function databaseOf(driver: DriverName): string {
  // pg8000 knows no PGDATABASE
  return driver === 'pg8000' ? 'postgres' : `${driver}_test`
}

/** What is missing to run the suites, or null. */
export function missingForSuites(binDir: string | null): string | null {
  if (binDir === null) return '/usr/lib/postgresql/15'
  if (!existsSync(join(fetched, 'requirements.txt'))) {
    return 'what test/suites/drivers-python/fetch.sh fetches'
  }
  return null
}

/** Runs a driver's own tests. A failed test is no error here. Throws when none could run. */
export async function runSuite(driver: DriverName, target: SuiteTarget): Promise<SuiteRun> {
  const directory = mkdtempSync(join(tmpdir(), 'suite-'))
  const report = join(directory, 'report.xml')
  const database = databaseOf(driver)
  const { files, leftOut } = suites[driver]
  try {
    const { out, err } = await runProgram(
      'env',
      [
        ...['-C', join(fetched, driver), python, '-B', '-m', 'pytest', '--quiet'],
        ...['-p', 'no:cacheprovider', '--import-mode=importlib', '--timeout=120'],
        ...['-o', 'junit_family=xunit1', `--junitxml=${report}`],
        ...leftOut.map((file) => `--ignore=${file}`),
        ...files,
      ],
      {
        HOME: directory,
        PGHOST: '127.0.0.1',
        PGPORT: String(target.port),
        PGUSER: 'postgres',
        PGPASSWORD: target.password,
        PGDATABASE: database,
        PSYCOPG2_TESTDB: database,
        // empty: the replication tests run on the same server
        PSYCOPG2_TEST_REPL_DSN: '',
      },
      timeoutMs,
    )
    const log = `${out.slice(-20_000)}${err}`
    if (!existsSync(report)) throw new Error(`the tests of ${driver} did not run: ${log}`)
    return { results: readReport(readFileSync(report, 'utf8')), log }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The test cases of a JUnit report; subtests of the same name count as one. */
function readReport(xml: string): Map<string, string | null> {
  const results = new Map<string, string | null>()
  for (const [, attributes = '', body = ''] of xml.matchAll(
    /<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs,
  )) {
    if (body.includes('<skipped')) continue
    const suite = /\bclassname="([^"]*)"/.exec(attributes)?.[1] ?? ''
    const name = /\bname="([^"]*)"/.exec(attributes)?.[1] ?? ''
    const failure = /<(?:failure|error)\b.*/s.exec(body)?.[0] ?? null
    const test = `${suite}.${name}`
    if (failure !== null || !results.has(test)) results.set(test, failure)
  }
  return results
}
