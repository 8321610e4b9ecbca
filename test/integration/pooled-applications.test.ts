import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findProgram } from '../bench/find-program.ts'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { runProgram } from '../support/run-program.ts'

/** Rows of each application in each circumstance; `PGSPLIT_POOLED_ROWS=100000` is what was asked. */
const rowsGiven = Number(process.env.PGSPLIT_POOLED_ROWS ?? 160)
const workers = 4
const timeoutMs = rowsGiven > 1_000 ? 3_000_000 : 120_000
const python = process.env.PGSPLIT_TEST_PYTHON ?? '/usr/bin/python3'
/** As Debian packages them, or the jars that one names. */
const jars = [
  process.env.PGSPLIT_TEST_PGJDBC ?? '/usr/share/java/postgresql.jar',
  process.env.PGSPLIT_TEST_HIKARICP ?? '/usr/share/java/HikariCP.jar',
  '/usr/share/java/slf4j-api.jar',
  '/usr/share/java/slf4j-nop.jar',
]

const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const canImport = (module: string): boolean =>
  spawnSync(python, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0

interface Given {
  readonly proxy: TestProxy
  readonly rows: number
  /** Its ids begin here. */
  readonly first: number
  readonly commit: 'on' | 'off'
}

interface Application {
  readonly name: string
  /** Debian package that is not there; null = all is. */
  readonly missing: string | null
  /** How many rows were written on one connection and not there on another right after it. */
  run(given: Given): Promise<number>
}

let cluster: EmbeddedCluster
/** With what pgsplit does where nobody says otherwise. */
let proxy: TestProxy
/** At the level below. */
let below: TestProxy
let classes: string | null = null
let ids = 0

const urlOf = ({ proxy: through, commit }: Given): string =>
  `${through.url()}?options=-c%20synchronous_commit%3D${commit}`

async function eachRow(
  { rows, first }: Given,
  one: (id: number, worker: number) => Promise<boolean>,
): Promise<number> {
  let missing = 0
  const work = async (worker: number): Promise<void> => {
    for (let n = worker; n < rows; n += workers) if (!(await one(first + n, worker))) missing++
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)))
  return missing
}

const nodePool: Application = {
  name: 'two clients of one pg.Pool',
  missing: null,
  async run(given) {
    const pool = new pg.Pool({ connectionString: urlOf(given), max: 2 * workers })
    try {
      return await eachRow(given, async (id) => {
        const reader = await pool.connect()
        const writer = await pool.connect()
        await writer.query('INSERT INTO pooled (id) VALUES ($1)', [id])
        const { rows } = await reader.query('SELECT id FROM pooled WHERE id = $1', [id])
        writer.release()
        reader.release()
        return rows.length === 1
      })
    } finally {
      await pool.end()
    }
  },
}

const processes: Application = {
  name: 'several processes',
  missing: null,
  async run(given) {
    const env = { ...process.env, PGSPLIT_TEST_URL: urlOf(given) }
    const children = Array.from({ length: 2 * workers }, () =>
      fork(beside('../support/pooled-child.ts'), { env }),
    )
    try {
      const heard = await Promise.all(children.map((child) => once(child, 'message')))
      expect(new Set(heard.flat().filter((word) => typeof word === 'string'))).toEqual(
        new Set(['ready']),
      )
      const ask = async (child: ChildProcess | undefined, what: object): Promise<boolean> => {
        if (child === undefined) throw new Error('there are two for each worker')
        const answer = once(child, 'message')
        child.send(what)
        const [said] = await answer
        if (typeof said === 'string') throw new Error(said)
        return said
      }
      return await eachRow(given, async (id, worker) => {
        await ask(children[worker], { write: id })
        return ask(children[worker + workers], { read: id })
      })
    } finally {
      for (const child of children) child.disconnect()
    }
  },
}

function counted({ code, out, err }: Awaited<ReturnType<typeof runProgram>>, rows: number): number {
  expect(err.replace(/^Picked up JAVA_TOOL_OPTIONS.*\n/, '')).toBe('')
  expect(code).toBe(0)
  const [, missing, of] = /^missing (\d+) of (\d+)\n$/.exec(out) ?? []
  expect(Number(of)).toBe(rows)
  return Number(missing)
}

const ofPython = (
  name: string,
  module: string,
  needs: readonly [string, string][],
): Application => ({
  name,
  missing: needs.find(([import_]) => !canImport(import_))?.[1] ?? null,
  async run(given) {
    const args = [module, given.rows, workers, given.first].map(String)
    const env = { PGSPLIT_TEST_URL: given.proxy.url(), PGSPLIT_TEST_COMMIT: given.commit }
    const script = beside('./pooled_applications.py')
    return counted(await runProgram(python, [script, ...args], env, timeoutMs), given.rows)
  },
})

const hikari: Application = {
  name: 'HikariCP',
  missing:
    findProgram('javac') === null
      ? 'default-jdk-headless'
      : jars.every((jar) => existsSync(jar))
        ? null
        : 'libhikaricp-java or libpostgresql-jdbc-java',
  async run({ proxy: { port }, rows, first, commit }) {
    const path = jars.join(':')
    if (classes === null) {
      classes = mkdtempSync(join(tmpdir(), 'java-'))
      const source = beside('./PooledApplication.java')
      const built = ['-encoding', 'UTF-8', '-cp', path, '-d', classes, source]
      expect((await runProgram('javac', built, {}, 90_000)).code).toBe(0)
    }
    const url = `jdbc:postgresql://127.0.0.1:${port}/shop?options=-c%20synchronous_commit=${commit}`
    const args = ['PooledApplication', url, 'postgres', cluster.password, rows, workers, first]
    const all = ['-cp', `${path}:${classes}`, ...args.map(String)]
    return counted(await runProgram('java', all, { JAVA_TOOL_OPTIONS: '' }, timeoutMs), rows)
  },
}

const applications: readonly Application[] = [
  nodePool,
  processes,
  ofPython('SQLAlchemy QueuePool', 'sqlalchemy', [
    ['sqlalchemy', 'python3-sqlalchemy'],
    ['psycopg2', 'python3-psycopg2'],
  ]),
  ofPython('psycopg_pool', 'psycopg_pool', [['psycopg_pool', 'python3-psycopg-pool']]),
  hikari,
]

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query('CREATE TABLE pooled (id bigint PRIMARY KEY)', [], 'shop')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
  below = await startTestProxy(cluster, { routing: { consistency: 'session' } })
})
afterAll(async () => {
  if (classes !== null) rmSync(classes, { recursive: true, force: true })
  await proxy?.stop()
  await below?.stop()
  await cluster?.stop()
})

/** Runs the application while the replicas are so late. */
async function missing(
  application: Application,
  over: TestProxy,
  late: string,
  commit: 'on' | 'off',
  rows: number,
): Promise<number> {
  const delay = async (value: string): Promise<void> => {
    for (const replica of cluster.replicas) {
      await replica.configure({ recovery_min_apply_delay: value })
    }
  }
  const first = ids
  ids += rows
  await delay(late)
  try {
    return await application.run({ proxy: over, rows, first, commit })
  } finally {
    await delay('0')
    await cluster.catchUp()
  }
}

describe.each(applications)('$name', (application) => {
  const needs = application.missing === null ? '' : ` (needs Debian package ${application.missing})`

  it.skipIf(application.missing !== null).each([
    ['0', 'on'],
    ['0', 'off'],
    ['5ms', 'on'],
    ['5ms', 'off'],
    ['300ms', 'on'],
    ['300ms', 'off'],
  ] as const)(
    `finds on one connection what was committed on another, replicas %s late, synchronous_commit %s${needs}`,
    async (late, commit) => {
      expect(await missing(application, proxy, late, commit, rowsGiven)).toBe(0)
    },
    timeoutMs,
  )

  it.skipIf(application.missing !== null)(
    `would miss some at the level below: the check itself works${needs}`,
    async () => {
      expect(await missing(application, below, '300ms', 'on', 160)).toBeGreaterThan(0)
    },
    timeoutMs,
  )
})
