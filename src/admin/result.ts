/** What one admin statement answers, before it is bytes. */

export type Cell = string | number | bigint | null

/** Type oids of `pg_type.dat`: text 25, int8 20, float8 701. psql right-aligns the numbers. */
export type ColumnType = 'text' | 'int8' | 'float8'

export interface Column {
  readonly name: string
  readonly type: ColumnType
}

export interface AdminResult {
  /** null: no rows, only the command tag (Describe answers NoData). */
  readonly columns: readonly Column[] | null
  readonly tag: string
  /** Called once per execution, so that a prepared SHOW sees the state of that moment. */
  readonly rows: () => readonly (readonly Cell[])[]
  /**
   * What it does, before its rows are asked for; the lines that it gives are sent as notices.
   * Rejects with what the client is told. Absent: it only shows.
   */
  readonly act?: (signal: AbortSignal) => Promise<readonly string[]>
  /** Transaction status after it; absent = unchanged. */
  readonly status?: 'I' | 'T'
}

/** A table whose cells are the row objects' own fields, in the order of `columns`. */
export function tableOf<Row extends object>(
  columns: readonly (readonly [keyof Row & string, ColumnType])[],
  rows: () => readonly Row[],
  tag = 'SHOW',
): AdminResult {
  return {
    columns: columns.map(([name, type]) => ({ name, type })),
    tag,
    rows: () => rows().map((row) => columns.map(([name]) => cellOf(row[name]))),
  }
}

/** A result without rows: `SET`, `BEGIN` … */
export function tagOnly(tag: string, status?: 'I' | 'T'): AdminResult {
  return { columns: null, tag, rows: () => [], ...(status === undefined ? {} : { status }) }
}

function cellOf(value: unknown): Cell {
  if (value === null || value === undefined) return null
  if (typeof value === 'number' || typeof value === 'bigint') return value
  return String(value)
}
