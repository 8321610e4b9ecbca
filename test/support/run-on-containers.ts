/**
 * `npm run test:containers`: runs the tests whose servers can be containers on containers, and says
 * of every other file of real servers why it is not among them.
 */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

const onContainers = [
  'test/integration/testing.test.ts',
  'test/integration/proxy-corpus.test.ts',
  'test/integration/own-writes.test.ts',
  'test/integration/topology.test.ts',
  'test/integration/drivers.test.ts',
  'test/fault/replicas.test.ts',
  'test/fault/primary.test.ts',
  'test/fault/failover.test.ts',
]

const FILES = "writes files into the servers' data directories"
const PIDS = "signals or counts the servers' processes"
const PROGRAMS = 'is about programs of /usr/lib/postgresql/15, whose servers it starts'
const OTHERS = 'starts servers of its own kind'

/** What can't be. */
const notOnContainers: Readonly<Record<string, string>> = {
  'test/integration/embedded.test.ts': 'is about the embedded servers themselves',
  'test/integration/demo.test.ts': 'is about the demo, which is embedded',
  'test/integration/login-of-clients.test.ts': FILES,
  'test/integration/login-to-servers.test.ts': FILES,
  'test/integration/classifier.test.ts': PROGRAMS,
  'test/integration/proxy-pgbench.test.ts': PROGRAMS,
  'test/integration/proxy-psql.test.ts': PROGRAMS,
  'test/integration/proxy-tools.test.ts': PROGRAMS,
  'test/integration/tools-jobs.test.ts': PROGRAMS,
  'test/integration/tools-twins.test.ts': PROGRAMS,
  'test/fault/silent-replicas.test.ts': PROGRAMS,
  'test/fault/leaks.test.ts': PIDS,
  'test/fault/strangers.test.ts': PIDS,
  'test/fault/vanishing-clients.test.ts': PIDS,
  'test/fault/patroni.test.ts': OTHERS,
  'test/integration/discovery-patroni.test.ts': OTHERS,
}
/** What needn't be, for the sake of CI's time. */
const SAME = 'sees no difference between the providers; runs on embedded servers'

for (const file of globSync('test/{integration,fault}/**/*.test.ts', { cwd: root }).sort()) {
  if (!onContainers.includes(file)) {
    console.log(`=== SKIPPED on containers: ${file}: ${notOnContainers[file] ?? SAME}`)
  }
}

const vitest = join(
  dirname(createRequire(import.meta.url).resolve('vitest/package.json')),
  'vitest.mjs',
)
// In CI a file that failed runs once more, and says so.
const runner = process.env.CI === undefined ? [vitest, 'run'] : [join(root, '.ci/run-tests.ts')]
const args = [...runner, '--project', 'integration', ...process.argv.slice(2), ...onContainers]
const { status } = spawnSync(process.execPath, args, {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, PGSPLIT_TEST_PROVIDER: 'containers' },
})
process.exitCode = status ?? 1
