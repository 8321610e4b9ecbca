import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { runProgram } from '../support/run-program.ts'

/** Debian's packages belong to Debian's Python, whatever else stands first in the path. */
const python = process.env.PGSPLIT_TEST_PYTHON ?? '/usr/bin/python3'
const script = fileURLToPath(new URL('./drivers.py', import.meta.url))
const packages = {
  psycopg2: 'python3-psycopg2',
  psycopg: 'python3-psycopg',
  asyncpg: 'python3-asyncpg',
} as const

const canImport = (module: string): boolean =>
  spawnSync(python, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0

let cluster: ServerCluster
let proxy: TestProxy

describe.each(Object.entries(packages))('%s (needs Debian package %s)', (module) => {
  it.skipIf(!canImport(module))('does what it does with its default settings', async () => {
    const { code, out, err } = await runProgram(python, [script, module], {
      PGSPLIT_TEST_URL: proxy.url(),
    })
    expect(err).toBe('')
    expect(out).toBe(`${module} ok\n`)
    expect(code).toBe(0)
  })
})

beforeAll(async () => {
  if (!Object.keys(packages).some(canImport)) return
  cluster = await startServers()
  proxy = await startTestProxy(cluster, { pool: { size: 4 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})
