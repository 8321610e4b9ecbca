import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What a mark in front of a shell block says of it. */
type Mark =
  | { readonly kind: 'run'; readonly scene: string }
  | { readonly kind: 'not-run'; readonly reason: string }
  | { readonly kind: 'none' }

/** A fenced block. */
export interface Block {
  readonly language: string
  readonly text: string
  readonly line: number
  readonly mark: Mark
}

/** A page of Markdown, by its path in the checkout. */
export interface Page {
  readonly path: string
  readonly text: string
  readonly blocks: readonly Block[]
  /** Its lines without fenced blocks and code spans. */
  readonly prose: string
}

/** All that users read: README, docs/ and what stands beside examples, image and dashboards. */
export function allPages(): Page[] {
  const under = (folder: string): string[] =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.md') && !file.includes('.vitepress'))
      .map((file) => `${folder}/${file}`)
      .sort()
  const beside = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md']
  return [...beside, ...['docs', 'docker', 'deploy', 'examples'].flatMap(under)].map(readPage)
}

/** One page. */
export function readPage(path: string): Page {
  const text = readFileSync(join(root, path), 'utf8')
  return { path, text, blocks: blocksOf(text), prose: proseOf(text) }
}

function blocksOf(text: string): Block[] {
  const lines = text.split('\n')
  const blocks: Block[] = []
  let mark: Mark = { kind: 'none' }
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? ''
    const language = /^```(\w+)/.exec(line)?.[1]
    if (language !== undefined) {
      const end = lines.indexOf('```', i + 1)
      blocks.push({ language, text: lines.slice(i + 1, end).join('\n'), line: i + 1, mark })
      i = end
    }
    if (line !== '') mark = markOf(line)
  }
  return blocks
}

function markOf(line: string): Mark {
  const [, not, what] = /^<!-- (not )?run: ([\w ]+) -->$/.exec(line) ?? []
  if (what === undefined) return { kind: 'none' }
  return not === undefined ? { kind: 'run', scene: what } : { kind: 'not-run', reason: what }
}

function proseOf(text: string): string {
  return text
    .replace(/^```[\s\S]*?^```$/gm, '')
    .replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, '_'))
}

/** What is typed of a shell block: all of it, or what stands behind `$ ` in a transcript. */
export function commandsOf({ language, text }: Block): string {
  if (language !== 'console') return text
  const typed = text.split('\n').filter((line) => line.startsWith('$ '))
  return typed.map((line) => line.slice(2)).join('\n')
}

/** A link of a page, with the file that it leads to; null: this page. */
export interface Link {
  readonly page: Page
  readonly target: string
  readonly path: string | null
  readonly anchor: string | null
}

/** Links and pictures that stay within the checkout. */
export function linksOf(page: Page): Link[] {
  const targets = [...page.prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', anchor = null] = target.split('#')
      const path = file === '' ? null : normalize(join(dirname(page.path), file))
      return { page, target, path, anchor }
    })
}

/** Anchors of headings, as GitHub and VitePress make them of plain words. */
export function anchorsOf({ text }: Page): Set<string> {
  const headings = text.replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#{1,6} (.+)$/gm)
  return new Set(
    [...headings].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s+/g, '-'),
    ),
  )
}

/** First cells of a table's rows, as far as they are code: `a`, `b` are two. */
export function firstCells(table: string): string[] {
  return [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  )
}
