import { makeClass } from '../../sql/classify-text.ts'
import { plainPart } from '../../sql/part.ts'
import type { StatementClass } from '../../sql/statement-class.ts'

/** Whatever a write session runs belongs to the primary. */
export const WRITE_SESSION: StatementClass = makeClass(
  [plainPart('primary', 'a write session')],
  '',
  null,
)

/** The head of a READ ONLY transaction: its modes decide. */
export const READ_TRANSACTION: StatementClass = makeClass(
  [plainPart('either', 'READ ONLY transaction')],
  '',
  null,
)
