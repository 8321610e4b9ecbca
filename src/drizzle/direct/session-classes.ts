import { makeClass } from '../../sql/classify-text.ts'
import { effectPart, plainPart } from '../../sql/part.ts'
import { lastingPin } from '../../sql/pin.ts'
import type { StatementClass } from '../../sql/statement-class.ts'

/** Whatever a write session runs belongs to the primary. */
export const WRITE_SESSION: StatementClass = makeClass(
  [plainPart('primary', 'a write session')],
  '',
  null,
)

/** A READ ONLY transaction that calls what isn't known: its connection serves nobody else. */
export const UNKNOWN_READ: StatementClass = makeClass(
  [
    effectPart(
      'either',
      'READ ONLY transaction',
      [],
      lastingPin('calls what the catalog does not know'),
    ),
  ],
  '',
  null,
)

/** The head of a READ ONLY transaction that reads what only the primary can tell. */
export const ASKS_PRIMARY: StatementClass = makeClass(
  [plainPart('primary', 'a read that the primary has to answer')],
  '',
  null,
)

/** The head of a READ ONLY transaction: its modes decide. */
export const READ_TRANSACTION: StatementClass = makeClass(
  [plainPart('either', 'READ ONLY transaction')],
  '',
  null,
)
