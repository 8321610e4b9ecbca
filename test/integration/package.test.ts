import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ProgramResult, runProgram } from '../support/run-program.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const manifest: {
  readonly version: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>
} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const optionalPeers = Object.keys(manifest.peerDependenciesMeta)
/** `pgsplit`, `pgsplit/drizzle` … */
const doors = Object.keys(manifest.exports)
  .filter((path) => path !== './package.json')
  .map((path) => path.replace(/^\./, 'pgsplit'))

// The temporary directory of the system: nothing of the checkout is found by looking upwards.
const project = mkdtempSync(join(tmpdir(), 'pgsplit-package-'))
let packed: readonly string[]

/** Runs a program in the empty project. */
const run = (file: string, ...args: string[]): Promise<ProgramResult> =>
  runProgram(
    'sh',
    ['-c', 'cd "$1" && shift && exec "$@"', 'sh', project, file, ...args],
    {},
    300_000,
  )

async function succeed(file: string, ...args: string[]): Promise<string> {
  const { code, out, err } = await run(file, ...args)
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}: ${err}${out}`)
  return out
}

/** Lends the project a package of the checkout's, with its own dependencies. */
function lend(name: string): void {
  const link = join(project, 'node_modules', name)
  if (existsSync(link)) return
  mkdirSync(dirname(link), { recursive: true })
  symlinkSync(join(root, 'node_modules', name), link)
}

beforeAll(async () => {
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }')
  const options = ['--pack-destination', project, '--json']
  const answer: unknown = JSON.parse(
    (await succeed('npm', 'pack', root, ...options)).replace(/^[^[{]*(?=[[{])/, ''),
  )
  const [tarball] = Object.values(
    answer as Record<string, { filename: string; files: { path: string }[] }>,
  )
  packed = tarball?.files.map(({ path }) => path) ?? []
  await succeed(
    'npm',
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    `./${tarball?.filename}`,
  )
}, 300_000)

afterAll(() => rmSync(project, { recursive: true, force: true }))

describe('the package', () => {
  it('holds what src is compiled to, and no more', () => {
    const sources = globSync('**/*.ts', { cwd: join(root, 'src') })
      .filter((file) => !file.endsWith('.d.ts'))
      .flatMap((file) => ['.js', '.d.ts'].map((end) => `dist/${file.replace(/\.ts$/, end)}`))
    expect(packed.toSorted()).toEqual(['LICENSE', 'README.md', 'package.json', ...sources].sort())
  })

  it('installs none of the optional peers', () => {
    const installed = readdirSync(join(project, 'node_modules'))
    expect(installed).toContain('pgsplit')
    expect(optionalPeers).toContain('testcontainers')
    for (const name of [...optionalPeers, 'postgres']) expect(installed).not.toContain(name)
  })

  it('runs as npx pgsplit', async () => {
    expect(await succeed('npx', '--no', '--', 'pgsplit', '--version')).toBe(`${manifest.version}\n`)
  })

  it('says what the demo needs', async () => {
    const { code, err } = await run('npx', '--no', '--', 'pgsplit', 'demo', '--for', '1s')
    expect(code).toBe(1)
    expect(err).toContain('npm install pg\n')
  })

  it('can be imported without the peers', async () => {
    const script = `console.log(typeof (await import('pgsplit')).startProxy)`
    expect(await succeed('node', '--input-type=module', '-e', script)).toBe('function\n')
  })

  it('gives sessions on postgres.js without pg', async () => {
    for (const name of ['drizzle-orm', 'postgres']) lend(name)
    const script = `console.log(typeof (await import('pgsplit/drizzle/postgres-js')).createSessions)`
    expect(await succeed('node', '--input-type=module', '-e', script)).toBe('function\n')
  })

  it('has types and values behind every subpath, with the peers', async () => {
    for (const name of [...optionalPeers, '@types/node', '@types/pg']) lend(name)
    const names = (
      await succeed(
        'node',
        '--input-type=module',
        '-e',
        `for (const door of ${JSON.stringify(doors)}) {
        console.log(door, Object.keys(await import(door)).join())
      }`,
      )
    )
      .trim()
      .split('\n')
    expect(names.map((line) => line.split(' ')[0])).toEqual(doors)
    const checks = names.flatMap((line, at) => {
      const [door, values = ''] = line.split(' ')
      const check = (name: string) =>
        `export const of${at}${name}: IsAny<typeof door${at}.${name}> = false`
      return [`import * as door${at} from '${door}'`, ...values.split(',').map(check)]
    })
    // which tsc must say, so that its silence on the others counts
    const mistake = 'export const mistake: typeof door0 = 1'
    const isAny = 'type IsAny<T> = 0 extends 1 & T ? true : false'
    writeFileSync(join(project, 'uses.ts'), [isAny, ...checks, mistake].join('\n'))
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024']
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { out } = await run('node', tsc, ...options, '--types', 'node', 'uses.ts')
    // other theirs to answer for
    const ours = out.split('\n').filter((line) => /^(uses|node_modules\/pgsplit)\b/.test(line))
    expect(ours).toEqual([expect.stringMatching(/^uses\.ts.*TS2322/)])
  })
})
