/** The rows of one load, as `catalog-queries.ts` selects them: every column is text or null. */

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
  /** FOR UPDATE and its like inside. */
  readonly locksRows: boolean
  /** XMLTABLE or JSON_TABLE inside, whose columns may be of any type. */
  readonly fillsTable: boolean
}

export function parseTree(row: Row, column = 'tree'): TreeReferences {
  const functions: number[] = []
  const relations: number[] = []
  const types: number[] = []
  const operators: number[] = []
  let locksRows = false
  let fillsTable = false
  for (const item of text(row, column).split(',')) {
    const [kind, oid] = item.split(' ')
    const number = Number(oid || 0)
    if (kind === 'ROWMARKCLAUSE') locksRows = true
    else if (kind === 'TABLEFUNC') fillsTable = true
    else if (number === 0) continue
    else if (kind === 'relid') relations.push(number)
    else if (kind === 'resulttype') types.push(number)
    else if (kind === 'opno') operators.push(number)
    else functions.push(number)
  }
  return { functions, relations, types, operators, locksRows, fillsTable }
}
