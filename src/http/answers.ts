import type { AdminResult, Cell } from '../admin/result.ts'
import type { PgSplitError } from '../errors.ts'

/** The rows of a SHOW as JSON objects, by the names of the columns. */
export function rowObjects({ columns, rows }: AdminResult): Record<string, unknown>[] {
  const names = columns?.map(({ name }) => name) ?? []
  return rows().map((row) => Object.fromEntries(names.map((name, i) => [name, jsonOf(row[i])])))
}

/** JSON has no bigint; none of these numbers is beyond 2^53. */
function jsonOf(cell: Cell | undefined): string | number | null {
  return typeof cell === 'bigint' ? Number(cell) : (cell ?? null)
}

export interface ErrorBody {
  readonly error: {
    readonly message: string
    readonly hint?: string
    readonly sqlstate?: string
  }
}

export function errorBody(message: string, hint?: string): ErrorBody {
  return { error: { message, ...(hint === undefined ? {} : { hint }) } }
}

/** What the admin database would say, as JSON. */
export function failureBody({ message, hint, sqlstate }: PgSplitError): ErrorBody {
  return { error: { message, sqlstate, ...(hint === undefined ? {} : { hint }) } }
}

/** HTTP's word for what an action was refused for. */
export function statusOf({ sqlstate }: PgSplitError): 400 | 404 | 409 | 503 {
  if (sqlstate === '42704') return 404
  if (sqlstate.startsWith('42') || sqlstate.startsWith('22')) return 400
  return sqlstate.startsWith('57P') ? 503 : 409
}
