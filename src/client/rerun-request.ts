import {
  type HealVerdict,
  isOfNames,
  isRefusedByReplicasOnly,
  isStaleness,
  judgeError,
} from '../routing/judge-error.ts'
import { swallow } from '../server/reply-queue.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { isProvedRead } from '../sql/statement-class.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import { txStatus } from '../wire/message-types.ts'
import { levelOf } from './ask-isolation.ts'
import { isDemotion } from './demotion.ts'
import { isKnownBehind, mayDoubt, settleDoubt } from './doubted-error.ts'
import { isOptimistic, mayLeaveUnseen } from './optimistic.ts'
import { type Refused, type Request, requestBit } from './request.ts'
import { route } from './route-request.ts'
import type { ClientSession } from './session.ts'
import { mayRenew } from './stale-statements.ts'
import type { Transaction } from './transaction.ts'
import { markOf } from './transaction-marks.ts'

export const maxAttempts = 8

/** Is the error one that another node would not give? Then nothing of it reaches the client. */
export function mayHeal(session: ClientSession, request: Request, fields: ErrorFields): boolean {
  if (isStaleness(fields)) return mayRenew(session, request)
  if (isDemotion(session, request, fields)) return true
  if (request.attempts >= maxAttempts || session.isGone) return false
  // What was sent behind it is answered by this connection, and no sooner than this.
  if (session.inFlight.length !== 1) return false
  if (!request.isRerunnable) return mayGoOnElsewhere(session, request, fields)
  const connection = request.connection as ServerConnection
  const verdict = judgeError(fields, {
    onReplica: request.onReplica,
    usesNames: request.needs.length > 0,
    isCancelled: request.isCancelled,
    isCancelNear: connection.isCancelNear,
    isReadOnlySession: session.facts.defaultReadOnly,
  })
  // What a standby says it would have written is not tried where that can be done.
  if (session.guard?.isReading === true && isOfWriting(verdict, fields)) return false
  if (verdict === 'doubt') return mayDoubt(session, request)
  if (verdict === null || !session.cluster.mayRetry()) return false
  const { cluster } = session
  switch (verdict) {
    case 'node-down':
      request.exclude |= requestBit(connection.nodeIndex)
      cluster.reportFailure(connection.nodeIndex, 'shutdown', fields.message)
      break
    case 'other-node':
      request.exclude |= requestBit(connection.nodeIndex)
      break
    case 'misrouted':
      noteRefusal(request, fields, connection.nodeIndex)
      request.exclude = 0x7fffffff
      break
    case 'primary':
      request.exclude = 0x7fffffff
      break
    case 'same':
      for (const { statement } of request.needs) connection.prepared.delete(statement.serverName)
      break
    default:
      verdict satisfies never
  }
  return true
}

/**
 * A transaction that has only read on a replica goes on at the primary, with its local
 * settings and savepoints, when the replica can't do what comes next: the role that it takes was made
 * a moment ago. What it has seen it may see again, READ COMMITTED given.
 */
function mayGoOnElsewhere(session: ClientSession, request: Request, fields: ErrorFields): boolean {
  const { transaction, cluster } = session
  if (transaction === null || !request.onReplica || !isWhole(session, request)) return false
  // What is said to a transaction that has failed is the client's to hear.
  const { isCancelNear, status } = request.connection as ServerConnection
  if (status === txStatus.failed) return false
  const isolation = transaction.begin === null ? null : levelOf(session, transaction.begin.modes)
  const seesAnew = isolation === 'read committed' || isolation === 'read uncommitted'
  if (transaction.hasRead && !seesAnew) return false
  const { defaultReadOnly } = session.facts
  const isMark = markOf(request) !== null
  const verdict = judgeError(fields, {
    onReplica: true,
    usesNames: false,
    isCancelled: request.isCancelled,
    isCancelNear,
    isReadOnlySession: defaultReadOnly,
  })
  if (session.guard?.isReading === true && isOfWriting(verdict, fields)) return false
  // Nothing else runs on the replica of an optimistic one but what the primary can be told again.
  const isFree = isOptimistic(session)
  const isRead = isFree || isProvedRead(request.cls)
  const { sqlstate } = fields
  const isStale = verdict === 'doubt' && (isOfNames(sqlstate) || isKnownBehind(session, request))
  const isNodes =
    isRead &&
    (verdict === 'other-node' ||
      verdict === 'misrouted' ||
      verdict === 'primary' ||
      (verdict === 'node-down' && isFree) ||
      isStale)
  if (!(isMark || isNodes) || !cluster.mayRetry()) return false
  return takesAlong(request, transaction)
}

/** The request is to run on the primary, behind what there is of its transaction. False: it can't. */
function takesAlong(request: Request, transaction: Transaction): boolean {
  request.begin ??= transaction.moved()
  request.exclude = 0x7fffffff
  return request.begin !== null
}

/**
 * The replica of an optimistic transaction was lost with this request: the transaction goes on at the
 * primary, and the request with it. True: it is to be run again.
 */
export function goesOnAfterLoss(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): boolean {
  const { transaction, cluster, inFlight } = session
  if (transaction === null || request.isForwarded || !isWhole(session, request)) return false
  if (inFlight.length > 0 || request.attempts >= maxAttempts) return false
  if (!mayLeaveUnseen(session, connection) || !cluster.mayRetry()) return false
  return takesAlong(request, transaction)
}

function isOfWriting(verdict: HealVerdict, { sqlstate }: ErrorFields): boolean {
  return verdict === 'misrouted' || sqlstate === '25006'
}

/** Can it be sent again as it is? */
function isWhole(session: ClientSession, request: Request): boolean {
  const { kind, isComplete, isFlushed, isStreamed, queryAt, pin, size, names } = request
  if (kind === 'function' || !isComplete || isFlushed || isStreamed) return false
  if (queryAt >= 0 || pin !== null || names !== null) return false
  return size <= session.cluster.limits.retryMaxBytes && session.pinReason === null
}

/** From here on it is no read: it runs on the primary, once, and may write there. */
function noteRefusal(request: Request, error: ErrorFields, nodeIndex: number): void {
  const { sqlstate, message } = error
  // Nothing but its body can have tried to write; other errors may be of an EXECUTE's arguments.
  const cls = (sqlstate === '25006' ? request.names?.body : null) ?? request.cls
  request.refused = { cls, error, nodeIndex }
  const reason = `a replica refused it (${sqlstate}: ${message})`
  request.cls = { ...request.cls, verdict: 'primary', reason, ignorance: null }
}

/** The primary has answered what a replica refused: is it a lesson for all such statements? */
export function learn(
  { cluster, scope }: ClientSession,
  request: Request,
  { cls, error, nodeIndex }: Refused,
): void {
  request.refused = null
  // It may have gone by a catalog that is not the primary's any more.
  if (scope.catalogAge.isBehind(nodeIndex)) return
  const isOnPrimary = !request.onReplica && !cluster.isReplica(request.nodeIndex)
  if (!isOnPrimary || !isRefusedByReplicasOnly(error.sqlstate, request.error?.sqlstate ?? null)) {
    return
  }
  const { sqlstate, message } = error
  const { keyword, reason } = cls
  const isNew = scope.classifier.learnPrimary(cls, `a replica refused it (${sqlstate}: ${message})`)
  cluster.noteMisroute(nodeIndex, scope.database, { sqlstate, keyword, reason }, isNew)
}

/** Runs a read again, elsewhere. */
export function rerun(session: ClientSession, request: Request): void {
  if (session.isGone) return
  if (request.isDoubted) {
    settleDoubt(session, request)
    return
  }
  session.tally.retried()
  runAgain(session, request)
}

export function runAgain(session: ClientSession, request: Request): void {
  request.attempts++
  // A BEGIN that was not sent either still is to come.
  session.block.deferAgain(request.begin)
  request.begin = null
  request.resetForRerun()
  request.isShared = false
  session.requestStartedAtMs = session.cluster.nowMs()
  route(session, request)
  session.pump()
}

/** The request was taken off a slow connection. */
export function moved(session: ClientSession, request: Request): void {
  const connection = request.connection as ServerConnection
  session.cluster.load.finish(connection.nodeIndex, Number.NaN, undefined, request.isShared)
  session.inFlight.remove(request)
  rerun(session, request)
}

/** Moves the requests behind a slow one to other connections; their answers here are swallowed. */
export function moveWaiting(connection: ServerConnection, from = 1): void {
  for (let i = from; i < connection.queue.size; i++) {
    const request = connection.queue.at(i) as Request
    if (request.owner === undefined || !request.isShared || request.isForwarded) continue
    connection.queue.replaceAt(i, swallow)
    request.moveElsewhere()
  }
}

/** Is all that the connection owes an answer to such that it may run again on another node? */
export function owesOnlyReads({ queue }: ServerConnection): boolean {
  for (let i = 0; i < queue.size; i++) {
    const receiver = queue.at(i)
    if (receiver === swallow) continue
    const { owner, isRerunnable, isForwarded } = receiver as Request
    if (owner === undefined || !isRerunnable || isForwarded) return false
  }
  return queue.size > 0
}
