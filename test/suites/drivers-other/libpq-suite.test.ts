import { existsSync, mkdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findProgram } from '../../bench/find-program.ts'
import { debianBinDir } from '../../support/cluster.ts'
import { runProgram } from '../../support/run-program.ts'
import { type Outcomes, passed, worseThrough } from './outcomes.ts'
import { type SuiteServers, startSuiteServers, suitesDir, type Target } from './suite-servers.ts'

/**
 * The binding is compiled for the Node that npm belongs to, whose headers are there: the machine's
 * own, not the one among our dependencies.
 */
const path = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((place) => !place.includes('node_modules'))
const npm = path.map((place) => join(place, 'npm')).find(existsSync)
const binDir = debianBinDir()
const missing =
  binDir === null
    ? '/usr/lib/postgresql/15'
    : npm === undefined
      ? 'npm'
      : findProgram('g++') === null || !existsSync('/usr/include/postgresql/libpq-fe.h')
        ? 'g++ and libpq-dev'
        : null

const directory = join(suitesDir, 'libpq-1.11.0')

/** Runs a program of the machine's own Node. */
async function run(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const [program = '', ...rest] = args
  const { code, out, err } = await runProgram(
    program,
    rest,
    { PATH: [dirname(npm ?? ''), ...path].join(delimiter), ...env },
    240_000,
  )
  if (code !== 0 && !out.includes('"stats"')) throw new Error(`${args.join(' ')}: ${err}${out}`)
  return out
}

async function fetchAndBuild(): Promise<void> {
  if (existsSync(join(directory, 'package', 'build', 'Release', 'addon.node'))) return
  mkdirSync(directory, { recursive: true })
  await run(['npm', 'pack', '--silent', '--pack-destination', directory, 'libpq@1.11.0'])
  await run(['tar', '-xzf', join(directory, 'libpq-1.11.0.tgz'), '-C', directory])
  await run(['npm', 'install', '--prefix', join(directory, 'package'), '--no-audit', '--no-fund'])
}

async function runTests({ port, password }: Target): Promise<Outcomes> {
  const out = await run(
    [
      ...[
        'sh',
        '-c',
        'cd "$0" && exec node node_modules/.bin/mocha "$@"',
        join(directory, 'package'),
      ],
      ...['--exit', '--timeout', '60000', '--reporter', 'json', 'test'],
    ],
    {
      PGHOST: '127.0.0.1',
      PGPORT: String(port),
      PGUSER: 'postgres',
      PGPASSWORD: password,
      PGDATABASE: 'postgres',
    },
  )
  // the tests themselves print, too
  const report = JSON.parse(out.slice(out.indexOf('{\n  "stats"'))) as Record<
    'passes' | 'failures',
    readonly { readonly fullTitle: string }[]
  >
  return new Map([
    ...report.passes.map(({ fullTitle }) => [fullTitle, 'pass'] as const),
    ...report.failures.map(({ fullTitle }) => [fullTitle, 'fail'] as const),
  ])
}

describe.skipIf(missing !== null)(
  `the tests of npm's libpq${missing === null ? '' : ` (need ${missing})`}`,
  () => {
    let servers: SuiteServers
    beforeAll(async () => {
      await fetchAndBuild()
      servers = await startSuiteServers(binDir ?? '')
    }, 300_000)
    afterAll(() => servers?.stop())

    it('libpq gives through pgsplit what it gives directly', async () => {
      const direct = await runTests(servers.direct)
      const through = await runTests(servers.through)
      expect(passed(direct)).toBeGreaterThan(70)
      expect(worseThrough(direct, through, [])).toEqual([])
    })
  },
)
