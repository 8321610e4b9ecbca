import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import {
  isMap,
  isNode,
  isSeq,
  LineCounter,
  parseDocument,
  type YAMLMap,
  type YAMLParseError,
} from 'yaml'
import { ConfigError } from '../errors.ts'
import { assertKnown } from '../known-options.ts'
import type { Config } from './config.ts'
import type { Environment } from './interpolate.ts'
import { parseConfig } from './parse-config.ts'

/** No real configuration comes near it; it bounds what a wrong file name can cost. */
const maxFileBytes = 4 * 1024 * 1024

/** What reading a file needs from outside; `readFile` is for tests. */
export interface LoadOptions {
  readonly env?: Environment
  readonly readFile?: (path: string) => string
  /** Options that win over the file's, in the same shape: `{ log: { level: 'debug' } }`. */
  readonly override?: Readonly<Record<string, unknown>>
}

/**
 * Reads a YAML (or JSON) file. Files that it names are looked for beside it. Throws ConfigError
 * with the option's path and its place in the file: `… (pgsplit.yaml:12:7)`.
 */
export function loadConfigFile(path: string, options: LoadOptions = {}): Config {
  assertKnown<LoadOptions>(options, { env: true, readFile: true, override: true })
  const readFile = options.readFile ?? ((name: string) => readFileSync(name, 'utf8'))
  const text = readText(path, readFile)
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const mistake = document.errors[0]
  if (mistake !== undefined) {
    const { line, col } = lines.linePos(mistake.pos[0])
    throw new ConfigError('', `not valid YAML: ${wordsOf(mistake, text)} (${path}:${line}:${col})`)
  }
  try {
    const value: unknown = document.toJS()
    return parseConfig(merge(value, options.override), {
      env: options.env ?? {},
      directory: dirname(path),
    })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw yamlLimit(error, path)
    if (isOverridden(options.override, error.path)) throw error
    const offset = offsetOf(document.contents, error.path)
    const { line, col } = lines.linePos(offset ?? 0)
    const place = offset === undefined ? path : `${path}:${line}:${col}`
    const message = error.message.slice(error.path === '' ? 0 : error.path.length + 2)
    throw new ConfigError(error.path, `${message} (${place})`, error.cause)
  }
}

/** What the library says, where that helps who writes a configuration. */
function wordsOf({ code, message }: YAMLParseError, text: string): string {
  if (code === 'MULTIPLE_DOCS') return 'it holds several documents; leave out the line ---'
  if (code === 'MISSING_CHAR' && /[[,]\s*\$\{/.test(text)) {
    return `${message}; in a list in brackets a variable stands in quotes: ['$\{NAME}', b]`
  }
  return message
}

function readText(path: string, readFile: (path: string) => string): string {
  let text: string
  try {
    text = readFile(path)
  } catch (cause) {
    throw new ConfigError('', `can't read ${path}: ${reasonOf(cause)}`, cause)
  }
  if (text.length <= maxFileBytes) return text
  throw new ConfigError('', `${path} is larger than 4 MB; is it a configuration?`)
}

/** Why the system refused a file, in words. */
function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (code === 'ENOENT') return 'no such file'
  if (code === 'EACCES') return 'no permission'
  if (code === 'EISDIR') return 'it is a directory'
  return code === '' ? 'it is no readable file' : code
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function merge(value: unknown, override: LoadOptions['override']): unknown {
  if (override === undefined || !isSection(value ?? {})) return value
  const merged: Record<string, unknown> = isSection(value) ? { ...value } : {}
  for (const [key, inner] of Object.entries(override)) {
    merged[key] = isSection(inner) ? merge(merged[key], inner) : inner
  }
  return merged
}

function isOverridden(override: unknown, path: string): boolean {
  let place = override
  for (const word of path.split(/\.|\[/)) {
    if (!isSection(place)) return place !== undefined
    place = place[word]
  }
  return place !== undefined
}

/** The YAML library refuses aliases that unfold to very much ("billion laughs"). */
function yamlLimit(error: unknown, path: string): ConfigError {
  const reason = error instanceof Error ? error.message : String(error)
  return new ConfigError('', `${path} can't be read as YAML: ${reason}`, error)
}

/** Where the option, or the nearest section around it, begins in the text. */
function offsetOf(contents: unknown, path: string): number | undefined {
  let node: unknown = contents
  let offset = isNode(node) ? node.range?.[0] : undefined
  for (const part of path.split(/\.|(?=\[)/).filter((word) => word !== '')) {
    const index = /^\[(\d+)\]$/.exec(part)?.[1]
    const pair = isMap(node) ? pairOf(node, part) : undefined
    if (pair !== undefined) {
      offset = isNode(pair.key) ? (pair.key.range?.[0] ?? offset) : offset
      node = pair.value
    } else if (index !== undefined && isSeq(node)) {
      node = node.get(Number(index), true)
      offset = isNode(node) ? (node.range?.[0] ?? offset) : offset
    } else return offset
  }
  return offset
}

function pairOf(map: YAMLMap, name: string) {
  return map.items.find((pair) => String(pair.key) === name)
}
