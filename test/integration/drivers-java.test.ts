import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { findProgram } from '../bench/find-program.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { runProgram } from '../support/run-program.ts'

/** pgjdbc as Debian packages it, or the jar that one names. */
const jar = process.env.PGSPLIT_TEST_PGJDBC ?? '/usr/share/java/postgresql.jar'
const source = fileURLToPath(new URL('./DriverOfJava.java', import.meta.url))
const missing =
  findProgram('javac') === null
    ? 'default-jdk-headless'
    : existsSync(jar)
      ? null
      : 'libpostgresql-jdbc-java'
if (process.env.CI === 'true' && missing !== null) throw new Error(`this needs ${missing}`)

let cluster: ServerCluster
let proxy: TestProxy
let classes: string

beforeAll(async () => {
  if (missing !== null) return
  classes = mkdtempSync(join(tmpdir(), 'java-'))
  cluster = await startServers()
  proxy = await startTestProxy(cluster, { pool: { size: 4 } })
})
afterAll(async () => {
  if (classes !== undefined) rmSync(classes, { recursive: true, force: true })
  await proxy?.stop()
  await cluster?.stop()
})

it.skipIf(missing !== null)(
  `pgjdbc does what it does with its default settings${missing === null ? '' : ` (needs Debian package ${missing})`}`,
  { timeout: 180_000 },
  async () => {
    const built = await runProgram(
      'javac',
      ['-encoding', 'UTF-8', '-cp', jar, '-d', classes, source],
      {},
      90_000,
    )
    expect(built.err).toBe('')
    const url = `jdbc:postgresql://127.0.0.1:${proxy.port}/${cluster.database}`
    const { code, out, err } = await runProgram(
      'java',
      ['-cp', `${jar}:${classes}`, 'DriverOfJava', url, 'postgres', cluster.password],
      { JAVA_TOOL_OPTIONS: '' },
      90_000,
    )
    expect(err.replace(/^Picked up JAVA_TOOL_OPTIONS.*\n/, '')).toBe('')
    expect(out).toBe('pgjdbc ok\n')
    expect(code).toBe(0)
  },
)
