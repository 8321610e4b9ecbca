import { configJsonSchema } from './json-schema.ts'

interface SchemaPart {
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly type?: string | readonly string[]
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, SchemaPart>>
  readonly additionalProperties?: SchemaPart | boolean
  readonly items?: SchemaPart
  readonly anyOf?: readonly SchemaPart[]
  readonly 'x-unit'?: string
  readonly 'x-limit'?: string
  readonly 'x-default'?: string
}

/** One line of the reference. Texts are Markdown. */
export interface ReferenceRow {
  readonly path: string
  readonly default: string
  readonly description: string
}

/** Every option, in the order of the schema. `<name>` stands for a name of one's own. */
export function referenceRows(): ReferenceRow[] {
  return rowsOf(configJsonSchema() as SchemaPart, '', false)
}

function rowsOf(part: SchemaPart, path: string, isRequired: boolean): ReferenceRow[] {
  const inner = innerRows(part, path)
  const isSection = part.properties !== undefined && inner.length > 0
  const own = path === '' || isSection ? [] : [rowOf(part, path, isRequired)]
  return [...own, ...inner]
}

function innerRows(part: SchemaPart, path: string): ReferenceRow[] {
  const { properties, additionalProperties, items, anyOf } = part
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([name, inner]) =>
      rowsOf(inner, path === '' ? name : `${path}.${name}`, part.required?.includes(name) ?? false),
    )
  }
  if (typeof additionalProperties === 'object')
    return innerRows(additionalProperties, `${path}.<name>`)
  if (items !== undefined) return innerRows(items, `${path}[]`)
  return anyOf?.flatMap((branch) => innerRows(branch, path)) ?? []
}

function rowOf(part: SchemaPart, path: string, isRequired: boolean): ReferenceRow {
  const words = part.enum === undefined ? '' : ` One of ${part.enum.map(code).join(', ')}.`
  const unit = part['x-unit'] === undefined ? '' : ` (${part['x-unit']})`
  const limit = part['x-limit'] === undefined ? '' : ` At the limit: ${part['x-limit']}`
  const isFlag = part.anyOf?.some((branch) => branch.type === 'boolean') ?? false
  return {
    path,
    default: part['x-default'] ?? defaultOf(part.default, isRequired),
    description: `${part.description ?? ''}${isFlag ? ' (true or false)' : unit}${words}${limit}`,
  }
}

function defaultOf(value: unknown, isRequired: boolean): string {
  if (isRequired) return '*required*'
  if (value === undefined) return '–'
  return code(typeof value === 'string' ? value : JSON.stringify(value))
}

function code(value: unknown): string {
  return `\`${String(value)}\``
}

/** The configuration reference as a Markdown table; it stands in docs/operation/configuration.md between two marks. */
export function configReference(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|')
  const rows = referenceRows().map(
    (row) => `| \`${row.path}\` | ${cell(row.default)} | ${cell(row.description)} |`,
  )
  return ['| option | default | meaning |', '|---|---|---|', ...rows].join('\n')
}

const begin = '<!-- configuration reference: begin (npx pgsplit config --reference) -->'
const end = '<!-- configuration reference: end -->'

/** That page with its reference block made anew; undefined when the marks are missing. */
export function withReference(page: string): string | undefined {
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from < 0 || to < from) return undefined
  return `${page.slice(0, from + begin.length)}\n\n${configReference()}\n\n${page.slice(to)}`
}
