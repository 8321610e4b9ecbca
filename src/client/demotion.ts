import type { StatementClass } from '../sql/statement-class.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/** So often a request is sent again because its primary turned out to be none. */
const maxTries = 2

/**
 * The supposed primary refuses a write as a standby does (25006): it was demoted. Nothing of the
 * request was done, so it waits for the new primary and runs there. False: the error is the
 * client's, as its session or transaction is read-only by its own wish, or something was done before.
 */
export function isDemotion(session: ClientSession, request: Request, fields: ErrorFields): boolean {
  if (fields.sqlstate !== '25006' || request.onReplica || request.attempts >= maxTries) return false
  const { connection } = request
  const { cluster, facts } = session
  if (connection === null || session.isGone || session.pinReason !== null) return false
  // A replica has said so already: it is the statement's own.
  if (request.refused !== null) return false
  if (facts.defaultReadOnly || request.begin?.modes.readOnly === true) return false
  const isFirst = session.transaction === null || request.begin !== null
  const isWhole = request.isComplete && !request.isFlushed && request.queryAt < 0
  if (!isFirst || !isWhole || session.inFlight.length !== 1) return false
  if ([request.cls, ...request.executed].some(mayHaveCommitted)) return false
  if (request.size > cluster.limits.retryMaxBytes || !request.effects.every(isUndone)) return false
  cluster.reportFailure(connection.nodeIndex, 'read-only-primary', fields.message)
  connection.condemn('node demoted')
  return true
}

/** Procedures and DO blocks may have committed before they failed. */
function mayHaveCommitted({ keyword }: StatementClass): boolean {
  return keyword === 'call' || keyword === 'do'
}

/** Undone by the error: nothing that ends a transaction, or makes it read-only, was in the text. */
function isUndone({ kind }: Request['effects'][number]): boolean {
  return kind === 'ddl' || kind === 'temp' || kind === 'prepare' || kind === 'execute'
}
