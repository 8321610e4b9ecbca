/** The rows of one load, as `catalog-queries.ts` selects them: every column is text or null. */
import type { Verb } from '../sql/source-reader.ts'

export type Row = Readonly<Record<string, unknown>>

/** The least that a database connection must offer; `pg`'s Client fits. */
export interface Queryable {
  query(sql: string): Promise<{ readonly rows: readonly Row[] }>
}

export interface CatalogRows {
  readonly serverVersion: number
  readonly functions: readonly Row[]
  readonly aggregates: readonly Row[]
  readonly operators: readonly Row[]
  readonly casts: readonly Row[]
  readonly types: readonly Row[]
  readonly relations: readonly Row[]
  readonly columns: readonly Row[]
  readonly trees: readonly Row[]
  readonly inheritance: readonly Row[]
  readonly triggers: readonly Row[]
  /** Rules that aren't views, and the queries of materialized views as if they were for INSERT. */
  readonly rules: readonly Row[]
  /** Defaults, checks, and what else is evaluated with a relation. */
  readonly expressions: readonly Row[]
  readonly foreignKeys: readonly Row[]
  readonly eventTriggers: readonly Row[]
  /** Operator classes with functions that aren't built in. */
  readonly operatorClasses: readonly Row[]
  /** Which relations and range types use them. */
  readonly classUses: readonly Row[]
  /** Compiled code that is run unseen: access methods, text search, conversions, foreign data. */
  readonly handlers: readonly Row[]
  readonly nodeParameters: readonly Row[]
}

export function text(row: Row, column: string): string {
  const value = row[column]
  return typeof value === 'string' ? value : ''
}

export function integer(row: Row, column: string): number {
  return Number(text(row, column) || 0)
}

export function flag(row: Row, column: string): boolean {
  const value = text(row, column)
  return value === 'true' || value === 't'
}

/** Oids separated by spaces, without zeroes. */
export function oids(row: Row, column: string): number[] {
  return text(row, column)
    .split(' ')
    .map(Number)
    .filter((oid) => oid > 0)
}

/** What an expression tree refers to; see `references` in `catalog-queries.ts`. */
export interface TreeReferences {
  readonly functions: readonly number[]
  readonly relations: readonly number[]
  readonly types: readonly number[]
  readonly operators: readonly number[]
  /** What it does to relations besides reading them; any of them may be the target. */
  readonly verbs: readonly Verb[]
  /** FOR UPDATE and its like inside. */
  readonly locksRows: boolean
  /** XMLTABLE or JSON_TABLE inside, whose columns may be of any type. */
  readonly fillsTable: boolean
  /** CURRENT_DATE and the like inside. */
  readonly asksTime: boolean
  /** A value goes through its text to become one of another type. */
  readonly converts: boolean
}

/** CmdType of nodes.h → what it does; MERGE, and utility commands before 15. */
const COMMANDS: Readonly<Record<number, readonly Verb[]>> = {
  2: ['update'],
  3: ['insert'],
  4: ['delete'],
  5: ['insert', 'update', 'delete'],
}

/** Rows that are still the same need not be read twice. */
const parsed = new WeakMap<Row, TreeReferences>()

export function parseTree(row: Row): TreeReferences {
  let tree = parsed.get(row)
  if (tree === undefined) {
    tree = treeIn(row)
    parsed.set(row, tree)
  }
  return tree
}

const EMPTY: TreeReferences = {
  functions: [],
  relations: [],
  types: [],
  operators: [],
  verbs: [],
  locksRows: false,
  fillsTable: false,
  asksTime: false,
  converts: false,
}

/** Of what is checked in a domain. */
export function parseChecks(row: Row): TreeReferences {
  return text(row, 'checks') === '' ? EMPTY : treeIn(row, 'checks')
}

function treeIn(row: Row, column = 'tree'): TreeReferences {
  if (text(row, column) === '') return EMPTY
  const functions: number[] = []
  const relations: number[] = []
  const types: number[] = []
  const operators: number[] = []
  const verbs = new Set<Verb>()
  let locksRows = false
  let fillsTable = false
  let asksTime = false
  let converts = false
  for (const item of text(row, column).split(',')) {
    const [kind, oid] = item.split(' ')
    const number = Number(oid || 0)
    if (kind === 'ROWMARKCLAUSE') locksRows = true
    else if (kind === 'TABLEFUNC') fillsTable = true
    else if (kind === 'COERCEVIAIO') converts = true
    else if (kind === 'JSONEXPR') asksTime = true
    else if (kind === 'SQLVALUEFUNCTION') asksTime ||= isTimeOf(item)
    else if (number === 0) continue
    else if (kind === 'relid') relations.push(number)
    else if (kind === 'resulttype') types.push(number)
    else if (kind === 'opno') operators.push(number)
    else if (kind === 'commandType') for (const verb of COMMANDS[number] ?? []) verbs.add(verb)
    else functions.push(number)
  }
  return {
    ...{ functions, relations, types, operators, verbs: [...verbs], locksRows, fillsTable },
    ...{ asksTime: asksTime || fillsTable, converts },
  }
}

/** The first of SQLValueFunctionOp (primnodes.h) are of time, CURRENT_DATE to LOCALTIMESTAMP(n). */
function isTimeOf(item: string): boolean {
  return Number(item.split(' ')[2]) <= 8
}

/** Whether the expression of `expressionsQuery` is evaluated for new rows only. */
export function isOfWritesOnly(row: Row): boolean {
  const source = text(row, 'source')
  return source === 'new row policy' || (source === 'default' && !flag(row, 'virtual'))
}
