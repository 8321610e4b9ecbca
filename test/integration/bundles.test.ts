import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { PackedProject } from '../support/packed-project.ts'
import { runProgram } from '../support/run-program.ts'

const project = new PackedProject()
let cluster: EmbeddedCluster

beforeAll(async () => {
  await project.install('esbuild@0.28.2')
  for (const name of ['pg', 'postgres', 'drizzle-orm']) project.lend(name)
  for (const [name, text] of Object.entries(programs)) project.write(`${name}.js`, text)
  cluster = await startCluster({ replicas: 1 })
  await cluster.primary.query('CREATE TABLE bundled (id int); INSERT INTO bundled VALUES (7)')
  await cluster.catchUp()
}, 300_000)

afterAll(async () => {
  project.remove()
  await cluster?.stop()
})

const door = (from: string): string => `
  import { integer, pgTable } from 'drizzle-orm/pg-core'
  import { createSessions } from '${from}'
  const bundled = pgTable('bundled', { id: integer() })
  const [primary, replica] = process.argv.slice(2)
  const sessions = createSessions({ primary, replicas: [replica], schema: { bundled } })
  const main = async () => {
    await sessions.getSession(true).update(bundled).set({ id: 8 })
    const read = await sessions.getSession().query.bundled.findMany()
    console.log(JSON.stringify(read), sessions.snapshot().nodes.length)
    await sessions.close()
  }
  main()
`

const programs = {
  door: door('pgsplit/drizzle'),
  'door-postgres-js': door('pgsplit/drizzle/postgres-js'),
  proxy: `
    import pg from 'pg'
    import { createLogger, parseConfig, startProxy } from 'pgsplit'
    const [primary, replica] = process.argv.slice(2)
    const main = async () => {
      const config = parseConfig({
        listen: '127.0.0.1:0',
        clusters: { main: { primary, replicas: [replica] } },
        log: { level: 'error' },
      })
      const proxy = await startProxy(config, createLogger(config.log))
      const connectionString = Object.assign(new URL(primary), { host: '127.0.0.1:' + proxy.addresses[0].port }).href
      const client = new pg.Client({ connectionString })
      await client.connect()
      const { rows } = await client.query('SELECT count(*)::int AS n FROM bundled')
      console.log(JSON.stringify(rows), proxy.nodes().length)
      await client.end()
      await proxy.stop({ drain: true })
    }
    main()
  `,
}

/** Packages in CommonJS that ask for modules of Node.js need a \`require\`. */
const withRequire =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"

const formats = {
  cjs: ['--outfile=bundle/app.cjs', '--format=cjs'],
  esm: ['--outfile=bundle/app.mjs', '--format=esm', `--banner:js=${withRequire}`],
}

const bundle = (program: string, ...options: readonly string[]): Promise<string> =>
  project.succeed(
    ...(['npx', '--no', '--', 'esbuild', `${program}.js`] as const),
    ...['--bundle', '--platform=node', '--log-level=warning', '--external:pg-native', ...options],
  )

describe.each(Object.keys(formats) as (keyof typeof formats)[])('a bundle of esbuild, %s', (to) => {
  it.each([
    ['door', '[{"id":8}] 2\n'],
    ['door-postgres-js', '[{"id":8}] 2\n'],
    ['proxy', '[{"n":1}] 2\n'],
  ])('of the %s runs in an empty directory', async (program, said) => {
    await bundle(program, ...formats[to])
    const file = to === 'cjs' ? 'app.cjs' : 'app.mjs'
    const empty = mkdtempSync(join(tmpdir(), 'pgsplit-empty-'))
    try {
      project.write('bundle/package.json', '{}')
      const text = readFileSync(join(project.directory, 'bundle', file))
      const script = `cd "$1" && cat >"$2" && exec node "$2" "$3" "$4"`
      const urls = cluster.nodes.map(({ url }) => url)
      const ran = await runProgram(
        'sh',
        ['-c', script, 'sh', empty, file, ...urls],
        {},
        60_000,
        text,
      )
      expect(ran).toEqual({ code: 0, out: said, err: '' })
    } finally {
      rmSync(empty, { recursive: true, force: true })
    }
  })
})

describe('the size of a bundle', () => {
  it.each(['pgsplit/drizzle', 'pgsplit/drizzle/postgres-js'])('of %s is bounded', async (from) => {
    project.write('size.js', `export { createSessions } from '${from}'`)
    const outside = ['pg', 'postgres', 'drizzle-orm'].map((name) => `--external:${name}`)
    await bundle('size', '--minify', '--format=esm', '--outfile=bundle/size.mjs', ...outside)
    const text = readFileSync(join(project.directory, 'bundle/size.mjs'))
    expect(gzipSync(text, { level: 9 }).length).toBeLessThan(182_000)
  })
})
