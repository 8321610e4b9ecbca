import * as messages from '../wire/backend-messages.ts'
import { backend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { encodeDataRow, type Format } from './encode-result.ts'
import type { AdminResult, Cell } from './result.ts'

/** null: the empty statement. */
export type Statement = AdminResult | null

const portalSuspended = new Writer(5).begin(backend.portalSuspended).end().take()

export interface Portal {
  readonly statement: Statement
  readonly formats: readonly Format[]
  /** null until the first Execute; what is left of the rows after that. */
  rows: readonly (readonly Cell[])[] | null
  /** A command is done by its first Execute only. */
  isDone?: boolean
}

/**
 * Appends to `out` at most `maxRows` rows (0 or less: all), then CommandComplete, or PortalSuspended when
 * rows are left. Returns true when the statement is complete.
 */
export function runPortal(portal: Portal, maxRows: number, out: Buffer[]): boolean {
  const { statement, formats } = portal
  if (statement === null) {
    out.push(messages.emptyQueryResponse)
    return true
  }
  portal.rows ??= statement.rows()
  const end = maxRows > 0 ? Math.min(maxRows, portal.rows.length) : portal.rows.length
  for (const row of portal.rows.slice(0, end)) {
    out.push(encodeDataRow(statement.columns ?? [], formats, row))
  }
  portal.rows = portal.rows.slice(end)
  if (portal.rows.length > 0) {
    out.push(portalSuspended)
    return false
  }
  out.push(messages.commandComplete(statement.tag))
  return true
}
