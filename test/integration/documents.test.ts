import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blocksOfScene, firstBlock, play, Stage, scriptOf } from '../support/document-player.ts'
import { allPages } from '../support/documents.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const hasNetworks = spawnSync('unshare', ['--net', 'true']).status === 0
if (!hasNetworks)
  console.log('=== SKIPPED: steps of README and docs/ on a cluster: need `unshare --net`')

/** Where the checkout and the users' projects stand beside one another. */
const place = mkdtempSync(join(tmpdir(), 'pgsplit-documents-'))
const folder = (name: string): string => {
  const path = join(place, name)
  mkdirSync(path, { recursive: true })
  return path
}
const npm = {
  npm_config_prefer_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
}
const talk = join(place, 'talk.sql')
const played = new Set<string>()
let stage: Stage

const own = { ...npm, TALK: talk, PGPASSWORD: Stage.password }

/** Plays the blocks of a scene on some pages in one shell, and gives what it has said. */
async function perform(
  pages: readonly string[],
  scene: string,
  directory: string,
  options: { readonly env?: Record<string, string>; readonly outside?: true; before?: string } = {},
): Promise<string> {
  const blocks = pages.flatMap((path) => {
    const found = blocksOfScene(path, scene)
    for (const { line } of found) played.add(`${path}:${line}`)
    return found
  })
  expect(blocks).not.toEqual([])
  const script = `${options.before ?? ''}\n${scriptOf(blocks)}`
  const where = options.outside === true ? undefined : stage
  const { code, out, err } = await play(script, directory, { ...own, ...options.env }, where)
  expect(code, `${out}\n${err}`).toBe(0)
  return out
}

/** The monitor's role is made anew by each page that begins with it. */
const forget = `psql -q postgres://postgres@10.0.0.1:5432/postgres <<'SQL'
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgsplit_monitor') THEN
    DROP OWNED BY pgsplit_monitor; DROP ROLE pgsplit_monitor;
  END IF;
END $$
SQL
rm -f pgsplit.yaml`

beforeAll(async () => {
  writeFileSync(
    talk,
    "INSERT INTO orders (item) VALUES ('tea');\nSELECT count(*) > 0 AS seen FROM orders;\nSHOW pgsplit.last_route;\n",
  )
  const checkout = folder('pgsplit')
  const packed = spawnSync('npm', ['pack', root, '--pack-destination', checkout], {
    encoding: 'utf8',
  })
  expect(packed.status, packed.stderr).toBe(0)
  if (hasNetworks) stage = await Stage.start()
}, 300_000)

afterAll(async () => {
  await stage?.stop()
  await rm(place, { recursive: true, force: true })
}, 600_000)

describe('an operator', { timeout: 300_000 }, () => {
  it('installs the package', async () => {
    const said = await perform(['docs/start/install.md'], 'drizzle', folder('operator'), {
      outside: true,
    })
    expect(said).toMatch(/^\d+\.\d+\.\d+$/m)
  })

  const nodes = /10\.0\.0\.1:5432[\s\S]*10\.0\.0\.2:5432[\s\S]*10\.0\.0\.3:5432/

  it.skipIf(!hasNetworks)('comes from README to a routed statement', async () => {
    const said = await perform(['README.md'], 'operator', folder('operator'), { before: forget })
    expect(said).toMatch(nodes)
    expect(said).toMatch(/INSERT 0 1[\s\S]* t\n[\s\S]*10\.0\.0\.[123]:5432/)
  })

  it.skipIf(!hasNetworks)('plays the quickstart, asks and looks', async () => {
    const pages = [
      'docs/start/quickstart.md',
      'docs/behaviour/routing.md',
      'docs/operation/admin.md',
    ]
    const said = await perform(pages, 'operator', folder('operator'), { before: forget })
    expect(said).toMatch(nodes)
    expect(said.match(/^reason +calls nextval\(\), which is declared VOLATILE$/gm)).toHaveLength(2)
    expect(said).toMatch(/10\.0\.0\.2:5432 +\| replica +\| up/)
  })

  it.skipIf(!hasNetworks)('makes the role by hand and says all by flags', async () => {
    const sql = firstBlock('docs/start/users-and-tls.md', 'sql')
    const before = `${forget}\npsql -q postgres://postgres@10.0.0.1:5432/postgres <<'SQL'\n${sql}\nSQL`
    await perform(['docs/start/quickstart.md'], 'flags', folder('operator'), { before })
  })

  it.skipIf(!hasNetworks)('opens the HTTP door and asks it', async () => {
    const http = firstBlock('docs/operation/metrics.md', 'yaml')
    const before = `set -eu
${forget}
export MONITOR_PASSWORD=secret DEPLOY_TOKEN=a-token-for-the-deployment
npx pgsplit setup --run --primary postgres://postgres@10.0.0.1:5432/postgres
npx pgsplit init --primary 'postgres://pgsplit_monitor:\${MONITOR_PASSWORD}@10.0.0.1:5432/postgres'
cat >>pgsplit.yaml <<'YAML'
${http}
YAML
npx pgsplit serve --config pgsplit.yaml &
SERVES=$!
trap "trap '' TERM; kill -TERM 0; wait" EXIT
until curl -fs http://127.0.0.1:9187/readyz; do kill -0 $SERVES || exit 1; sleep 0.1; done
for i in 1 2 3; do psql -q postgres://app:its-own-password@127.0.0.1:6432/shop -c 'SELECT total(1)'; done`
    const pages = ['docs/operation/metrics.md', 'docs/operation/statements.md']
    const said = await perform(pages, 'http', folder('operator'), { before })
    expect(said).toContain('"node":"10.0.0.2:5432"')
    expect(said).toMatch(/if total\(\) only reads, declare it so: ALTER FUNCTION total STABLE/)
  })
})

describe('a developer with Drizzle', { timeout: 300_000 }, () => {
  it.each(['README.md', 'docs/programs/drizzle.md'])('installs and runs %s', async (page) => {
    const directory = folder(page.replaceAll('/', '-'))
    writeFileSync(join(directory, 'package.json'), '{ "private": true, "type": "module" }')
    await perform([page], 'drizzle', directory, { outside: true })
    if (!hasNetworks) return
    writeFileSync(
      join(directory, 'schema.ts'),
      `import { pgTable, serial, text } from 'drizzle-orm/pg-core'
       export const orders = pgTable('orders', { id: serial().primaryKey(), item: text() })`,
    )
    writeFileSync(join(directory, 'app.ts'), firstBlock(page, 'ts'))
    const { code, out, err } = await play('exec node app.ts', directory, own, stage)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    if (page === 'README.md') expect(out).toContain("item: 'coffee'")
  })

  it('bundles', async () => {
    const directory = folder('README.md')
    writeFileSync(
      join(directory, 'app.js'),
      `import { createSessions } from 'pgsplit/drizzle'
       const main = async () => {
         const sessions = createSessions({ primary: 'postgres://a:b@127.0.0.1:1/c' })
         console.log(sessions.snapshot().nodes.length, 'node')
         await sessions.close()
       }
       main()`,
    )
    const said = await perform(['docs/programs/nextjs.md'], 'bundle', directory, { outside: true })
    expect(said.match(/^1 node$/gm)).toHaveLength(2)
  })
})

describe('a newcomer', { timeout: 600_000 }, () => {
  const clone = folder('clone')
  const copy = 'git ls-files -z -co --exclude-standard | tar --null -cT - | tar -xC "$1"'

  it.skipIf(!hasNetworks)('comes from a clone to a tour of the demo', async () => {
    const copied = spawnSync('sh', ['-c', copy, 'sh', clone], { cwd: root, encoding: 'utf8' })
    expect(copied.status, copied.stderr).toBe(0)
    const said = await perform(['README.md', 'examples/psql/README.md'], 'demo', clone)
    expect(said).toMatch(/proved read-only/)
    await perform(['docs/start/quickstart.md'], 'demo', clone)
  })

  it.skipIf(!hasNetworks)('uses what else the checkout has', async () => {
    const said = await perform(['docs/start/install.md', 'docs/benchmarks.md'], 'checkout', clone)
    expect(said).toMatch(/^\d+\.\d+\.\d+$/m)
    expect(said).toContain('--rounds')
  })
})

it('every block that has a scene was played', () => {
  const all = allPages().flatMap(({ path, blocks }) =>
    blocks
      .filter(({ mark }) => mark.kind === 'run' && mark.scene !== 'examples')
      .map(({ line }) => `${path}:${line}`),
  )
  if (hasNetworks) expect(all.filter((block) => !played.has(block))).toEqual([])
})
