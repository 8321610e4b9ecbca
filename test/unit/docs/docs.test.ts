import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { AdminSource } from '../../../src/admin/admin-source.ts'
import { showCommands } from '../../../src/admin/show-commands.ts'
import { parseConfig } from '../../../src/config/parse-config.ts'
import { packageVersion } from '../../../src/config/version.ts'
import {
  allPages,
  anchorsOf,
  type Block,
  commandsOf,
  firstCells,
  linksOf,
  readPage,
} from '../../support/documents.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const pages = allPages()
const blocks = pages.flatMap((page) =>
  page.blocks.map((block) => ({ ...block, where: `${page.path}:${block.line}` })),
)
const source = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
  .join('\n')

/** Why a shell block is run by nobody, each with what must be true of it then. */
const reasons: Readonly<Record<string, (block: Block) => boolean>> = {
  'container engine': ({ text }) => /^docker (build|run|compose) /m.test(text),
}

/** Where a block is run: beside which nodes, in which folder (`test/integration/documents.test.ts`). */
const scenes = ['bundle', 'checkout', 'demo', 'drizzle', 'examples', 'flags', 'http', 'operator']

describe('README and docs/', () => {
  it('README has at most 10 kB', () => {
    expect(Buffer.byteLength(readPage('README.md').text)).toBeLessThanOrEqual(10_000)
  })

  it('lead to files and headings that are there', () => {
    const links = pages.flatMap(linksOf)
    expect(links.length).toBeGreaterThan(150)
    const broken = links.filter(({ page, path, anchor }) => {
      if (path !== null && !existsSync(join(root, path))) return true
      if (anchor === null) return false
      return !anchorsOf(path === null ? page : readPage(path)).has(anchor)
    })
    expect(broken.map(({ page, target }) => `${page.path}: ${target}`)).toEqual([])
  })

  it('lead to every page of docs/', () => {
    const linked = new Set(linksOf(readPage('README.md')).map(({ path }) => path))
    const listed = readFileSync(join(root, 'docs/.vitepress/config.ts'), 'utf8')
    for (const { path } of pages) {
      if (!path.startsWith('docs/') || path === 'docs/index.md') continue
      const isThere = linked.has(path) || path.startsWith('docs/decisions/')
      expect(isThere, `${path} in README.md`).toBe(true)
      expect(listed, path).toContain(`'${path.replace(/^docs/, '').replace(/\.md$/, '')}'`)
    }
  })

  it('have examples of configurations that are taken', () => {
    const configurations = blocks.filter(({ language }) => language === 'yaml')
    expect(configurations.length).toBeGreaterThan(5)
    for (const { where, text } of configurations) {
      expect(mistakeOf(text.replace('4096:…', verifier)), where).toBe('')
    }
  })

  it('name the package that `npm pack` makes now', () => {
    const tarballs = pages.flatMap(({ text }) => text.match(/pgsplit-\d[\w.-]*\.tgz/g) ?? [])
    expect(tarballs.length).toBeGreaterThan(2)
    expect(new Set(tarballs)).toEqual(new Set([`pgsplit-${packageVersion()}.tgz`]))
  })
})

const environment = {
  MONITOR_PASSWORD: 'x',
  APP_PASSWORD: 'y',
  DEPLOY_TOKEN: 'deploy-token-of-a-test',
}

/** What a salt and two keys look like. */
const verifier = `4096:${'A'.repeat(22)}==$${'A'.repeat(43)}=:${'A'.repeat(43)}=`

/** Certificates are named only. */
function mistakeOf(text: string): string {
  try {
    parseConfig(whole(parse(text)), { env: environment })
    return ''
  } catch (error) {
    return String(error).replace(/.*: cannot read \S+\.(crt|key) \(ENOENT\)$/, '')
  }
}

/** A part of a configuration, with what it needs around it. */
function whole(part: Record<string, unknown>): Record<string, unknown> {
  const bare = { primary: 'postgres://monitor:x@10.0.0.1/postgres' }
  const isTop = ['clusters', 'listen', 'http', 'tls', 'admin', 'limits'].some((key) => key in part)
  if (!isTop) {
    const own = 'discovery' in part ? { monitor: { user: 'monitor', password: 'x' } } : bare
    return { clusters: { main: { ...own, ...part } } }
  }
  const { main = {} } = (part.clusters ?? {}) as { main?: Record<string, unknown> }
  const nodes = 'primary' in main || 'discovery' in main ? {} : bare
  return { ...part, clusters: { main: { ...nodes, ...main } } }
}

describe('shell blocks', () => {
  const shell = blocks.filter(({ language }) => language === 'sh' || language === 'console')

  it('are there', () => expect(shell.length).toBeGreaterThan(15))

  it.each(shell)('$where has a scene, or a reason not to be run that holds', (block) => {
    const { mark } = block
    if (mark.kind === 'not-run') {
      expect(reasons, mark.reason).toHaveProperty([mark.reason])
      expect(reasons[mark.reason]?.(block), `${mark.reason}: ${block.text}`).toBe(true)
      return
    }
    expect(mark.kind).toBe('run')
    if (mark.kind !== 'run') return
    expect(scenes).toContain(mark.scene)
  })

  it.each(shell)('$where is what a shell takes', (block) => {
    const checked = spawnSync('bash', ['-n'], { input: commandsOf(block), encoding: 'utf8' })
    expect(checked.stderr).toBe('')
    expect(commandsOf(block)).not.toBe('')
  })

  it('of examples name scripts that examples.test.ts runs', () => {
    const test = ['test/integration/examples.test.ts', '.ci/containers/run-tests']
      .map((file) => readFileSync(join(root, file), 'utf8'))
      .join('\n')
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    for (const { text, mark, where } of shell) {
      if (mark.kind !== 'run' || mark.scene !== 'examples') continue
      const name = /^npm run example:([\w.-]+)(?: +#.*)?$/.exec(text)?.[1] ?? ''
      expect(manifest.scripts, where).toHaveProperty([`example:${name}`])
      expect(test, where).toMatch(new RegExp(`(^  '?|example:)${name.replace('.', '\\.')}\\b`, 'm'))
    }
  })
})

describe('docs/operation/admin.md', () => {
  const { text } = readPage('docs/operation/admin.md')
  const nothing = new Proxy({}, { get: () => () => [] }) as AdminSource
  /** Their columns are those of SHOW STATS. */
  const parts = ['stats_totals', 'stats_averages']

  it.each([...showCommands].filter(([name]) => !parts.includes(name)))(
    'has the columns of SHOW %s, and no others',
    (name, { run }) => {
      const heading = `### SHOW ${name.toUpperCase()}\n`
      expect(text.split(heading)).toHaveLength(2)
      const section = text.slice(text.indexOf(heading) + heading.length).split('\n#')[0] ?? ''
      const columns = run(nothing).columns?.map((column) => column.name) ?? []
      expect(firstCells(section).sort()).toEqual([...columns].sort())
    },
  )

  it.each(parts)('mentions SHOW %s', (name) => {
    expect(text).toContain(`\`SHOW ${name.toUpperCase()}\``)
  })
})

describe('docs/operation/log-events.md', () => {
  const told = firstCells(readPage('docs/operation/log-events.md').text)
  const inSource = new Set(
    [
      /\bevent: '([a-z_-]+)'/g,
      /\bkind: '((?:node|probe|listener|discovery)-[a-z-]+|(?:role|primary)-changed)'/g,
      /NodeEvent<'([a-z-]+)'/g,
      /\bevent: isOpen \? '(\w+)'/g,
      /\bnote\(\s*'(login_\w+)'/g,
    ].flatMap((pattern) => [...source.matchAll(pattern)].map(([, name = '']) => name)),
  )
  for (const name of ['error', 'connect', 'data']) inSource.delete(name)

  it('has every event of the source', () => {
    expect(inSource.size).toBeGreaterThan(40)
    expect([...inSource].filter((name) => !told.includes(name))).toEqual([])
  })

  it('has no other', () => {
    expect(told.filter((name) => !source.includes(`'${name}'`))).toEqual([])
    expect(new Set(told).size).toBe(told.length)
  })
})

describe('docs/operation/troubleshooting.md', () => {
  it('quotes what the source says', () => {
    const quoted = firstCells(readPage('docs/operation/troubleshooting.md').text)
    const fragments = quoted.flatMap((text) =>
      text.split('…').map((part) =>
        part
          .trim()
          .replace(/^[:,]|:$/g, '')
          .trim(),
      ),
    )
    const long = fragments.filter((part) => part.split(' ').length > 2)
    expect(long.length).toBeGreaterThan(12)
    expect(long.filter((part) => !source.includes(part))).toEqual([])
  })
})
