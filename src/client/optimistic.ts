/**
 * Transactions that may write and begin on a replica (`pgsplit.transactions`). READ COMMITTED takes a
 * snapshot for each statement, and each read sees at least what the primary had when it came in: so
 * the first statement that is more than a read may go on in a transaction of the primary, and the
 * client can't tell. `optimistic-fit.ts` says what may run on the replica, `move-request.ts` moves.
 */
import type { ErrorFacts } from '../errors.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { isProvedRead, type StatementClass } from '../sql/statement-class.ts'
import { txStatus } from '../wire/message-types.ts'
import { bareSyncClass, transactionsOwnClass } from './fixed-class.ts'
import { fits } from './optimistic-fit.ts'
import { refuse } from './refuse-request.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/** Is the session's transaction open on a replica, from where it may go on at the primary? */
export function isOptimistic({ deferred, transaction }: ClientSession): boolean {
  return deferred === null && transaction?.isOptimistic === true
}

/** The same, or is it to begin there? */
export function isOnReplica(session: ClientSession, { nodeIndex }: ServerConnection): boolean {
  const { deferred, facts, cluster } = session
  if (deferred === null) return isOptimistic(session)
  return facts.pendingBegin?.isOptimistic === true && cluster.isReplica(nodeIndex)
}

/** May the transaction go on elsewhere as it is now: nothing but reads has run in it, and none failed? */
export function mayLeaveUnseen(
  { transaction }: ClientSession,
  { status }: ServerConnection,
): boolean {
  if (transaction === null || !transaction.isOptimistic) return false
  return transaction.hasOnlyRead && status !== txStatus.failed
}

/** By which class the first statement of a transaction that may be optimistic is routed. */
export function firstClass(session: ClientSession, request: Request): StatementClass {
  const isRead = isProvedRead(request.cls)
  if (!fitsSession(session, request)) return isRead ? transactionsOwnClass : request.cls
  // What comes behind it decides where the transaction runs.
  return isRead ? request.cls : bareSyncClass
}

/** Must the request run on the primary, where its transaction goes on? */
export function leavesReplica(
  session: ClientSession,
  request: Request,
  { status }: ServerConnection,
): boolean {
  // A server has its own answer to everything in a failed transaction, but for what ends that state.
  if (status === txStatus.failed && !request.effects.some(isWayOut)) return false
  return !fitsSession(session, request)
}

function isWayOut({ kind }: Request['effects'][number]): boolean {
  if (kind === 'rollback-to' || kind === 'rollback' || kind === 'commit') return true
  // A rollback there, and refused by a standby whatever it is.
  return kind === 'prepare-transaction'
}

function fitsSession({ statements, portals, facts }: ClientSession, request: Request): boolean {
  if (statements.isOwn || portals.hasNamed) return false
  if (facts.routeSetting === 'primary' || facts.consistency === 'primary') return false
  return fits(request)
}

/** What the client hears where it can't go on at the primary. */
export function stuckThere({ nodeId }: ServerConnection): ErrorFacts {
  return {
    sqlstate: '40001',
    message: `could not go on at the primary: something of the transaction is on replica ${nodeId}`,
    hint: 'Run the transaction again, or SET pgsplit.transactions = primary.',
  }
}

/**
 * What is in flight may change what becomes of the request: it waits for that, and then `again` is
 * called. False: nothing is.
 */
export function waitsAlone(session: ClientSession, request: Request, again: () => void): boolean {
  if (request.connection !== null || session.inFlight.length === 0) return false
  session.waiting.beginUntilAlone(request, () => {
    if (session.isGone) return
    if (session.block.isInTrouble) refuse(session, request, session.block.takeTrouble())
    else again()
  })
  return true
}
