import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PackedProject } from '../support/packed-project.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const manifest: {
  readonly version: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>
} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const optionalPeers = Object.keys(manifest.peerDependenciesMeta)
/** `pgsplit`, `pgsplit/drizzle` … */
const doors = Object.keys(manifest.exports)
  .filter((path) => !path.endsWith('.json'))
  .map((path) => path.replace(/^\./, 'pgsplit'))

const project = new PackedProject()

beforeAll(() => project.install(), 300_000)

afterAll(() => project.remove())

describe('the package', () => {
  it('holds what src is compiled to, and no more', () => {
    const sources = globSync('**/*.ts', { cwd: join(root, 'src') })
      .filter((file) => !file.endsWith('.d.ts'))
      .flatMap((file) =>
        ['.js', '.js.map', '.d.ts'].map((end) => `dist/${file.replace(/\.ts$/, end)}`),
      )
    const page = ['icon.svg', 'index.html', 'licences.txt', 'main.css', 'main.js']
    const others = [
      ...['LICENSE', 'README.md', 'package.json', 'dist/pgsplit.schema.json'],
      ...page.map((name) => `dist/dashboard/${name}`),
    ]
    expect(project.files.toSorted()).toEqual([...others, ...sources].sort())
  })

  it('has the JSON Schema of its configuration', async () => {
    const script = `import schema from 'pgsplit/schema.json' with { type: 'json' }
      console.log(Object.keys(schema.properties).includes('clusters'))`
    expect(await project.succeed('node', '--input-type=module', '-e', script)).toBe('true\n')
  })

  it('installs none of the optional peers', () => {
    const installed = readdirSync(join(project.directory, 'node_modules'))
    expect(installed).toContain('pgsplit')
    expect(optionalPeers).toContain('testcontainers')
    for (const name of [...optionalPeers, 'postgres']) expect(installed).not.toContain(name)
  })

  it('runs as npx pgsplit', async () => {
    expect(await project.succeed('npx', '--no', '--', 'pgsplit', '--version')).toBe(
      `${manifest.version}\n`,
    )
  })

  it('says what the demo needs', async () => {
    const { code, err } = await project.run('npx', '--no', '--', 'pgsplit', 'demo', '--for', '1s')
    expect(code).toBe(1)
    expect(err).toContain('npm install pg\n')
  })

  it('can be imported without the peers', async () => {
    const script = `console.log(typeof (await import('pgsplit')).startProxy)`
    expect(await project.succeed('node', '--input-type=module', '-e', script)).toBe('function\n')
  })

  it('says what pgsplit/testing needs', async () => {
    const script = `const { startEmbedded } = await import('pgsplit/testing')
      await startEmbedded({ binDir: '/none' }).catch((error) => console.log(error.message))
      const { loadPg } = await import(import.meta.resolve('pgsplit/testing').replace('testing/index', 'embedded/load-pg'))
      await loadPg().catch((error) => console.log(error.message))`
    const said = await project.succeed('node', '--input-type=module', '-e', script)
    expect(said).toContain('the package pg, which is not installed; npm install --save-dev pg')
  })

  it('gives sessions on postgres.js without pg', async () => {
    for (const name of ['drizzle-orm', 'postgres']) project.lend(name)
    const script = `console.log(typeof (await import('pgsplit/drizzle/postgres-js')).createSessions)`
    expect(await project.succeed('node', '--input-type=module', '-e', script)).toBe('function\n')
  })

  it('has types and values behind every subpath, with the peers', async () => {
    for (const name of [...optionalPeers, '@types/node', '@types/pg']) project.lend(name)
    const names = (
      await project.succeed(
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
    project.write('uses.ts', [isAny, ...checks, mistake].join('\n'))
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024']
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { out } = await project.run('node', tsc, ...options, '--types', 'node', 'uses.ts')
    // other theirs to answer for
    const ours = out.split('\n').filter((line) => /^(uses|node_modules\/pgsplit)\b/.test(line))
    expect(ours).toEqual([expect.stringMatching(/^uses\.ts.*TS2322/)])
  }, 300_000)
})
