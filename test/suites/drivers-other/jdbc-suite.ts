import { existsSync, globSync, mkdirSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findProgram } from '../../bench/find-program.ts'
import { runProgram } from '../../support/run-program.ts'
import type { Outcomes } from './outcomes.ts'
import { suitesDir, type Target } from './suite-servers.ts'

export const maven = findProgram('mvn')
export const javac = findProgram('javac')

const version = '42.7.11'
const runner = fileURLToPath(new URL('./JdbcSuite.java', import.meta.url))

/** pgjdbc's source, compiled with its tests and our runner. */
export interface JdbcSuite {
  readonly directory: string
  readonly classPath: string
  /** All test classes in the packages that need a server. */
  readonly classes: readonly string[]
}

/** Fetches and compiles with Maven, once; later runs take what is there. Throws when it can't. */
export async function prepareJdbcSuite(): Promise<JdbcSuite> {
  mkdirSync(suitesDir, { recursive: true })
  const directory = join(suitesDir, `postgresql-${version}-jdbc-src`)
  const paths = join(directory, 'class-path.txt')
  if (!existsSync(paths)) {
    const copy = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy'
    const artifact = `-Dartifact=org.postgresql:postgresql:${version}:tar.gz:jdbc-src`
    await run(maven ?? 'mvn', ['-q', '-B', copy, artifact, `-DoutputDirectory=${suitesDir}`])
    await run('tar', ['-xzf', `${directory}.tar.gz`, '-C', suitesDir])
    const pom = ['-q', '-B', '-f', join(directory, 'pom.xml'), 'test-compile']
    await run(maven ?? 'mvn', [...pom, 'dependency:build-classpath', `-Dmdep.outputFile=${paths}`])
  }
  const own = join(directory, 'target', 'runner')
  const built = ['target/test-classes', 'target/classes'].map((path) => join(directory, path))
  const classPath = [own, ...built, readFileSync(paths, 'utf8').trim()].join(delimiter)
  await run(javac ?? 'javac', ['-encoding', 'UTF-8', '-cp', classPath, '-d', own, runner])
  const classes = globSync(
    [
      'test/{jdbc2,jdbc3,jdbc4,jdbc42,core,extensions,xa}/**/*Test.class',
      'replication/*Test.class',
    ],
    { cwd: join(directory, 'target', 'test-classes', 'org', 'postgresql') },
  )
  return {
    directory,
    classPath,
    classes: classes
      .filter((path) => !path.includes('$'))
      .map((path) => `org.postgresql.${path.replace(/\.class$/, '').replaceAll('/', '.')}`)
      .sort(),
  }
}

/** Runs test classes; `leftOut` are names of tests as the outcome has them. */
export async function runJdbcTests(
  suite: JdbcSuite,
  { port, password }: Target,
  classes: readonly string[],
  leftOut: readonly string[],
): Promise<Outcomes> {
  const properties = {
    'build.properties.relative.path': suite.directory,
    'test.url.PGHOST': '127.0.0.1',
    'test.url.PGPORT': String(port),
    'test.url.PGDBNAME': 'test',
    'user.timezone': 'UTC',
    user: 'test',
    username: 'test',
    password: 'test',
    privilegedUser: 'postgres',
    privilegedPassword: password,
  }
  const settings = Object.entries(properties).map(([name, value]) => `-D${name}=${value}`)
  const names = [...classes, ...leftOut.map((name) => `-${name}`)]
  const args = ['-Xmx768m', ...settings, '-cp', suite.classPath, 'JdbcSuite', ...names]
  const { out, err } = await runProgram('java', args, { LC_ALL: 'C.UTF-8' }, 800_000)
  const outcomes = new Map<string, 'pass' | 'fail' | 'skip'>()
  for (const line of out.split('\n')) {
    const [outcome, test] = line.split('\t')
    if (test === undefined) continue
    if (outcome === 'pass' || outcome === 'fail' || outcome === 'skip') outcomes.set(test, outcome)
  }
  if (outcomes.size === 0) throw new Error(`no test has run: ${err.slice(0, 2_000)}`)
  return outcomes
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { code, out, err } = await runProgram(program, args, {}, 250_000)
  if (code !== 0) throw new Error(`${program} ${args[0]} failed: ${err}${out}`.slice(0, 2_000))
}
