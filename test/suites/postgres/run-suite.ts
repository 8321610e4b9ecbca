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
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unprivilegedAccount } from '../../../src/embedded/account.ts'
import { withoutNewerBugs } from './older-servers.ts'

const fetched = fileURLToPath(
  new URL('../../../node_modules/.cache/postgres-suites', import.meta.url),
)
/** Of Debian's client, which every suite runs; npm's servers bring no psql. */
const psqlDir = '/usr/lib/postgresql/15/bin'
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
  /** What to run in place of a file's text. */
  readonly rewrite?: (script: string) => string
  /** PGOPTIONS of every client. */
  readonly clientOptions?: string
}

export interface SuiteRun {
  /** What each file gave, by its name without ending; the run's own directory reads `DIRECTORY`. */
  readonly results: ReadonlyMap<string, string>
  /** What pg_regress said. */
  readonly log: string
}

/** Servers whose own tests are run: what version they are, and where their programs are. */
export interface SuiteServers {
  readonly version: 15 | 18
  readonly binDir: string
}

/** What is missing to run the suites of a version, or null. */
export function missingForSuites(version: 15 | 18): string | null {
  if (!existsSync(psqlDir)) return psqlDir
  if (!existsSync(join(fetched, String(version), 'version'))) {
    return 'what test/suites/postgres/fetch.sh fetches'
  }
  return null
}

/** The scripts of the regression suite, by file name without ending. */
export function regressScripts(version: 15 | 18): ReadonlyMap<string, string> {
  const directory = join(fetched, String(version), 'regress', 'sql')
  return new Map(
    readdirSync(directory)
      .filter((name) => name.endsWith('.sql'))
      .sort()
      .map((name) => [name.slice(0, -4), readFileSync(join(directory, name), 'latin1')]),
  )
}

/** What PostgreSQL expects of a file: one text, or several that are as good. */
export function expectedTexts(version: 15 | 18, suite: SuiteName, file: string): string[] {
  const directory = join(fetched, String(version), suite, 'expected')
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
  servers: SuiteServers,
  target: SuiteTarget,
  options: SuiteOptions = {},
): Promise<SuiteRun> {
  const account = unprivilegedAccount()
  const sources = join(fetched, String(servers.version))
  // Servers read test data and write results here, so it must be open to their account.
  const directory = mkdtempSync(join(tmpdir(), 'suite-'))
  try {
    chmodSync(directory, 0o755)
    cpSync(join(sources, suite), join(directory, 'in'), { recursive: true })
    if (suite === 'regress') rewriteScripts(join(directory, 'in', 'sql'), options.rewrite)
    for (const part of ['lib', 'out', 'driver']) mkdirSync(join(directory, part))
    if (account !== undefined) chownSync(join(directory, 'out'), account.uid, account.gid)
    cpSync(join(sources, 'regress.so'), join(directory, 'lib', 'regress.so'))
    const libraries = libraryDir(servers)
    for (const module of ['autoinc.so', 'refint.so']) {
      cpSync(join(libraries, module), join(directory, 'lib', module))
    }
    // where the driver's account can run it, wherever node_modules lie
    cpSync(join(libraries, 'pgxs/src/test', suite), join(directory, 'driver'), { recursive: true })
    const log = await drive(suite, directory, target, options)
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

/** Debian has the libraries of a version in `lib`, npm's package in `lib/postgresql`. */
function libraryDir({ binDir }: SuiteServers): string {
  const inner = join(binDir, '../lib/postgresql')
  return existsSync(inner) ? inner : join(binDir, '../lib')
}

function rewriteScripts(directory: string, rewrite = (script: string) => script): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    const script = readFileSync(path, 'latin1')
    const rewritten = rewrite(withoutNewerBugs(script))
    if (rewritten !== script) writeFileSync(path, rewritten, 'latin1')
  }
}

function drive(
  suite: SuiteName,
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
    join(directory, 'driver', drivers[suite]),
    [
      '--host=127.0.0.1',
      `--port=${port}`,
      '--user=postgres',
      `--bindir=${psqlDir}`,
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
