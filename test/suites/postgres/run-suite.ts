import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unprivilegedAccount } from '../../../src/embedded/account.ts'

const fetched = fileURLToPath(
  new URL('../../../node_modules/.cache/postgres-suites', import.meta.url),
)
/** A suite takes about a minute; this is for one that hangs. */
const timeoutMs = 600_000

export type SuiteName = 'regress' | 'isolation'

/** Where a suite runs: a server, or pgsplit in front of one. */
export interface SuiteTarget {
  readonly port: number
  /** Password of `postgres`. */
  readonly password: string
}

export interface SuiteOptions {
  /** Files to run one after the other in a database that is there; default: the whole schedule. */
  readonly files?: readonly string[]
  /** PGOPTIONS of every client. */
  readonly clientOptions?: string
}

export interface SuiteRun {
  /** What each file gave, by its name without ending; the run's own directory reads `DIRECTORY`. */
  readonly results: ReadonlyMap<string, string>
  /** What pg_regress said. */
  readonly log: string
}

/** What is missing to run the suites, or null. */
export function missingForSuites(binDir: string | null): string | null {
  if (binDir === null) return '/usr/lib/postgresql/15'
  if (!existsSync(join(fetched, 'version'))) return 'what test/suites/postgres/fetch.sh fetches'
  return null
}

/** What PostgreSQL expects of a file: one text, or several that are as good. */
export function expectedTexts(suite: SuiteName, file: string): string[] {
  const directory = join(fetched, suite, 'expected')
  return readdirSync(directory)
    .filter((name) => name.replace(/(_\d+)?\.out$/, '') === file)
    .map((name) => readFileSync(join(directory, name), 'latin1'))
}

/**
 * Runs one of PostgreSQL's own suites by its own driver. A failed test is no error here: it shows
 * in the results. Throws when the driver could not run at all.
 */
export async function runSuite(
  suite: SuiteName,
  binDir: string,
  target: SuiteTarget,
  options: SuiteOptions = {},
): Promise<SuiteRun> {
  const account = unprivilegedAccount()
  // Servers read test data and write results here, so it must be open to their account.
  const directory = mkdtempSync(join(tmpdir(), 'suite-'))
  try {
    chmodSync(directory, 0o755)
    cpSync(join(fetched, suite), join(directory, 'in'), { recursive: true })
    for (const part of ['lib', 'out']) mkdirSync(join(directory, part))
    if (account !== undefined) chownSync(join(directory, 'out'), account.uid, account.gid)
    cpSync(join(fetched, 'regress.so'), join(directory, 'lib', 'regress.so'))
    for (const module of ['autoinc.so', 'refint.so']) {
      cpSync(join(binDir, '../lib', module), join(directory, 'lib', module))
    }
    const log = await drive(suite, binDir, directory, target, options)
    const found = join(directory, 'out', 'results')
    if (!existsSync(found)) throw new Error(`the ${suite} suite did not run: ${log}`)
    const results = readdirSync(found)
      .filter((name) => name.endsWith('.out'))
      .map((name): [string, string] => [
        name.slice(0, -4),
        readFileSync(join(found, name), 'latin1').replaceAll(directory, 'DIRECTORY'),
      ])
    return { results: new Map(results), log }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function drive(
  suite: SuiteName,
  binDir: string,
  directory: string,
  { port, password }: SuiteTarget,
  { files, clientOptions }: SuiteOptions,
): Promise<string> {
  const drivers = { regress: 'pg_regress', isolation: 'pg_isolation_regress' }
  const schedules = { regress: 'parallel_schedule', isolation: 'isolation_schedule' }
  const what =
    files === undefined
      ? [`--schedule=${directory}/in/${schedules[suite]}`]
      : ['--use-existing', ...files]
  const account = unprivilegedAccount()
  const child = spawn(
    join(binDir, '../lib/pgxs/src/test', suite, drivers[suite]),
    [
      '--host=127.0.0.1',
      `--port=${port}`,
      '--user=postgres',
      `--bindir=${binDir}`,
      `--dlpath=${directory}/lib`,
      `--inputdir=${directory}/in`,
      `--outputdir=${directory}/out`,
      ...what,
    ],
    {
      cwd: join(directory, 'out'),
      env: {
        PATH: process.env.PATH ?? '/usr/bin:/bin',
        HOME: directory,
        PGPASSWORD: password,
        // seconds after which a step that hangs is cancelled
        PGISOLATIONTIMEOUT: '20',
        ...(clientOptions === undefined ? {} : { PGOPTIONS: clientOptions }),
      },
      // a group of its own, so that its psql processes end with it
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
    },
  )
  return new Promise((resolve, reject) => {
    let log = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        log += chunk
      })
    }
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, timeoutMs)
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      if (isLate) reject(new Error(`the ${suite} suite took more than ${timeoutMs} ms:\n${log}`))
      else resolve(log)
    })
  })
}
