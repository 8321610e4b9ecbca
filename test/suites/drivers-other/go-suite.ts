import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from '../../bench/find-program.ts'
import { runProgram } from '../../support/run-program.ts'
import type { Outcomes } from './outcomes.ts'
import { suitesDir } from './suite-servers.ts'

export const go = findProgram('go', ['/usr/local/go/bin'])

/**
 * The source of a Go module of that version, tests included, from the module proxy; a copy, as the
 * module cache can't be worked in. Throws when the proxy can't be reached.
 */
export async function fetchGoModule(module: string, version: string): Promise<string> {
  const directory = join(suitesDir, `${module.replaceAll('/', '-')}-${version}`)
  if (existsSync(join(directory, 'go.mod'))) return directory
  mkdirSync(suitesDir, { recursive: true })
  const { out, err } = await inDirectory(suitesDir, [
    'mod',
    'download',
    '-json',
    `${module}@${version}`,
  ])
  const found: unknown = out === '' ? null : JSON.parse(out)
  const source = found !== null && typeof found === 'object' && 'Dir' in found ? found.Dir : null
  if (typeof source !== 'string') throw new Error(`no ${module} ${version}: ${err}${out}`)
  rmSync(directory, { recursive: true, force: true })
  cpSync(source, directory, { recursive: true })
  await runProgram('chmod', ['-R', 'u+w', directory])
  return directory
}

/**
 * Runs tests of packages (`./pgconn`); `skip` and `only` are regular expressions of names. The names
 * in the outcome are `package test`.
 */
export async function runGoTests(
  directory: string,
  packages: readonly string[],
  env: Readonly<Record<string, string>>,
  filter: { readonly skip?: string; readonly only?: string } = {},
): Promise<Outcomes> {
  const args = ['test', '-json', '-count=1', '-p=1', '-timeout=240s']
  if (filter.skip !== undefined) args.push(`-skip=${filter.skip}`)
  if (filter.only !== undefined) args.push(`-run=${filter.only}`)
  const { out, err } = await inDirectory(directory, [...args, ...packages], env)
  const outcomes = new Map<string, 'pass' | 'fail' | 'skip'>()
  for (const line of out.split('\n')) {
    if (!line.startsWith('{')) continue
    const event = JSON.parse(line) as { Action: string; Package?: string; Test?: string }
    const { Action: action, Package: name = '', Test: test } = event
    if (test === undefined) continue
    if (action === 'pass' || action === 'fail' || action === 'skip') {
      outcomes.set(`${name.slice(name.lastIndexOf('/') + 1)} ${steady(test)}`, action)
    }
  }
  if (outcomes.size === 0) throw new Error(`go test gave nothing: ${err}${out.slice(0, 2_000)}`)
  return outcomes
}

function inDirectory(
  directory: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ReturnType<typeof runProgram> {
  return runProgram(go ?? 'go', ['-C', directory, ...args], env, 400_000)
}

/** Some tests have the path of a temporary directory in their name. */
function steady(test: string): string {
  return test.replaceAll(/\/tmp\/\w+\/\d+/g, '/tmp/…')
}
