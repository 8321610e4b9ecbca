import type { ErrorFacts } from '../errors.ts'
import type { RouteWord } from '../routing/route-word.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { type Effect, isProvedRead } from '../sql/statement-class.ts'
import { sync } from '../wire/frontend-messages.ts'
import { txStatus } from '../wire/message-types.ts'
import { bareSyncClass, openSegmentClass, unprovedClass } from './fixed-class.ts'
import { hearsFirst } from './hear-first.ts'
import { mayHold } from './hold-request.ts'
import { isUnproved, leavesUnknown } from './leaves-unknown.ts'
import { mayMove, move } from './move-request.ts'
import { noteArrival } from './note-arrival.ts'
import { keepsSnapshot, noteBegin } from './note-begin.ts'
import { checkout, prepare } from './obtain-connection.ts'
import {
  firstClass,
  isOnReplica,
  isOptimistic,
  leavesReplica,
  stuckThere,
  waitsAlone,
} from './optimistic.ts'
import { isOpenEnded } from './optimistic-fit.ts'
import { onlyAsks } from './own-command.ts'
import { takeOwnNames } from './own-names.ts'
import { mayPark, park, unpark } from './parked.ts'
import { catchesUpFirst, mayCatchUp, mayMoveOn, waitsForShown } from './read-elsewhere.ts'
import { refuse } from './refuse-request.ts'
import type { Request } from './request.ts'
import type { RequestGuard } from './request-guard.ts'
import { sendOn } from './send-request.ts'
import type { ClientSession } from './session.ts'
import { mayShare } from './sharing.ts'

/** Routes a request and gets it on its way. The request may be a segment that was flushed before. */
export function dispatch(session: ClientSession, request: Request): void {
  if (session.waiting.isFor(request)) return
  if (request.guard !== null && isRefusedByGuard(session, request, request.guard)) return
  if (request.effects.length > 0 && hearsFirst(session, request, () => dispatch(session, request)))
    return
  if (request.connection !== null) {
    goOn(session, request, request.connection)
    return
  }
  session.requestStartedAtMs = session.cluster.nowMs()
  request.trace.arrived(session.requestStartedAtMs)
  if (request.effects.length > 0 && mayNameStatements(session, request)) takeOwnNames(session)
  if (session.lease !== null) {
    if (mayPark(session, request)) park(session)
    else {
      if (session.cluster.isReplica(session.lease.nodeIndex)) noteArrival(session, request)
      runOnLease(session, request, session.lease)
      return
    }
  }
  noteBegin(session, request)
  noteArrival(session, request)
  route(session, request)
}

/** What its session must not ask is refused here, unless a server has to hear of it. */
function isRefusedByGuard(session: ClientSession, request: Request, guard: RequestGuard): boolean {
  if (request.kind !== 'extended') guard.note(request.cls)
  const { refusal } = guard
  if (refusal === null) return false
  if (request.connection !== null) goOn(session, request, request.connection)
  else if (session.lease !== null) runOnLease(session, request, session.lease)
  else refuse(session, request, refusal)
  return true
}

/** A function that makes up its SQL, or is not known, may name what was prepared by SQL. */
function mayNameStatements({ statements, lease }: ClientSession, request: Request): boolean {
  // One of them that can't be prepared any more would abort an open transaction.
  if (lease !== null && lease.status !== txStatus.idle) return false
  if (statements.isOwn || request.needs.length > 0 || request.names !== null) return false
  return request.effects.some(({ kind }) => kind === 'dynamic') && statements.hasPrepared
}

/** More of a segment that was flushed. */
export function goOn(session: ClientSession, request: Request, connection: ServerConnection): void {
  if (request.isMoving && !request.isAnswered) return
  request.isMoving = false
  if (request.refusal !== null) {
    // Refused already: the server skips up to Sync.
    if (request.isComplete) connection.send(sync)
    return
  }
  if (request.error === null) {
    const refused = request.guard?.refusal ?? null
    if (refused === null && isMisplaced(session, request, connection)) {
      move(session, request, connection)
      return
    }
    request.refusal = refused ?? refusalOf(session, request, connection)
  } else if (request.queryAt >= request.sentKinds) {
    // It failed while its Query waited for the move: the server skips to Sync, and so do we.
    request.dropUnsent()
    session.onSkipped(request)
    return
  }
  sendOn(session, request, connection)
}

/** A replica was right for what came before; this belongs to the primary, and may still go there. */
function isMisplaced(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): boolean {
  if (!session.cluster.isReplica(connection.nodeIndex) && !isOptimistic(session)) return false
  if (session.transaction !== null) {
    const isRight = refusalOf(session, request, connection) === null
    if (isRight && !wantsPrimary(session, request)) return false
  } else {
    const isRead = isProvedRead(request.cls)
    if (isRead && !isOpenEnded(request)) return false
  }
  return mayMove(session, request, connection)
}

/** Why the request must not run on the connection that the session has, or null. */
export function refusalOf(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): ErrorFacts | null {
  if (isOnReplica(session, connection)) {
    return leavesReplica(session, request, connection) ? stuckThere(connection) : null
  }
  const isRead = isProvedRead(request.cls) || request.cls.verdict === 'control'
  // SHOW tells what the transaction has, but for what a standby has; and while the catalog is read anew, nothing is proved.
  const { keyword, ignorance } = request.cls
  // In a failed transaction the server has its own answer to everything.
  if (connection.status === txStatus.failed) return null
  const isShow = keyword === 'show' && !request.effects.some(tellsStandby)
  const isMild = isRead || isPlainWrite(request) || isShow || ignorance === 'no catalog'
  // What it leaves there could not be taken to the primary.
  const isHarmless = isMild && !request.effects.some(leavesUnknown)
  if (isHarmless || !session.cluster.isReplica(connection.nodeIndex)) return null
  // On a standby such a statement may succeed silently and mean nothing (advisory locks …).
  return {
    sqlstate: '25006',
    message: `cannot run this in a READ ONLY transaction on replica ${connection.nodeId}: ${request.cls.reason}`,
    hint: 'Make it the first statement of the transaction, or BEGIN without READ ONLY; then it runs on the primary.',
  }
}

function tellsStandby(effect: Effect): boolean {
  return effect.kind === 'show' && effect.name === 'in_hot_standby'
}

/** In a transaction or pinned: the node is given. */
function runOnLease(session: ClientSession, request: Request, lease: ServerConnection): void {
  if (session.cluster.isPaused && isBetween(session, lease)) {
    if (mayHold(session, request)) return
    refuse(session, request, {
      sqlstate: '57P03',
      message: 'the cluster is paused by the operator',
      hint: 'RESUME in the admin database lets it go on.',
    })
    return
  }
  session.holdUntilMs = null
  request.onReplica = session.cluster.isReplica(lease.nodeIndex)
  const isNew = lease.status === txStatus.idle && session.inFlight.length === 0
  if (isNew && !request.onReplica && waitsForShown(session, request)) return
  request.trace.routed(whyOnLease(session, request), false)
  const refused = request.guard?.refusal ?? null
  request.refusal = refused ?? refusalOf(session, request, lease)
  if (refused !== null) {
    sendOn(session, request, lease)
    return
  }
  if (request.onReplica && request.refusal === null && catchesUpFirst(session, request, lease))
    return
  session.catchUpUntilMs = null
  const isMisplaced =
    request.refusal !== null || (request.onReplica && wantsPrimary(session, request))
  if (isMisplaced && mayMove(session, request, lease)) {
    request.refusal = null
    move(session, request, lease)
    return
  }
  if (request.refusal !== null && isOptimistic(session)) {
    if (waitsAlone(session, request, () => route(session, request))) return
  }
  // After a RESET the connection has the server's default where the client has its startup value.
  const canSync = session.inFlight.length === 0 && lease.status !== txStatus.failed
  if (lease.state !== session.state && canSync) prepare(session, request, lease)
  else sendOn(session, request, lease)
}

function whyOnLease({ transaction }: ClientSession, { onReplica }: Request): RouteWord {
  if (transaction === null) return 'pinned'
  if (transaction.isOptimistic) return 'optimistic_transaction'
  return onReplica ? 'read_only_transaction' : 'transaction'
}

/**
 * A cursor that a READ ONLY transaction opens keeps it where it is, and so does what is answered
 * behind a Flush: better on the primary. Names of the session's own are there only.
 */
function wantsPrimary(session: ClientSession, request: Request): boolean {
  if (session.statements.isOwn) return true
  if (session.transaction === null || asksReplica(session, request)) return false
  return keepsSnapshot(session, request) || isOpenEnded(request)
}

/** Who asked for a replica gets it, and knows what it can't do. */
function asksReplica(session: ClientSession, { cls }: Request): boolean {
  const { transaction, deferred, facts } = session
  const begin = deferred ?? transaction?.begin ?? null
  return (
    facts.routeSetting === 'replica' ||
    begin?.wantsReplica === true ||
    cls.hint?.route === 'replica'
  )
}

/** A pinned session that is in no transaction: what it asks now only begins. */
function isBetween(session: ClientSession, lease: ServerConnection): boolean {
  const isIdle = session.transaction === null && lease.status === txStatus.idle
  return isIdle && session.inFlight.length === 0
}

/** Refused by a standby with 25006 exactly as a primary refuses it in a READ ONLY transaction. */
function isPlainWrite(request: Request): boolean {
  return /^(insert|update|delete|merge|truncate|create|drop|alter|grant|revoke)$/.test(
    request.cls.keyword,
  )
}

export function route(session: ClientSession, request: Request): void {
  const { cluster, facts } = session
  // It waited for the end of a pause on its own connection.
  if (session.lease !== null && request.connection === null) {
    runOnLease(session, request, session.lease)
    return
  }
  noteBegin(session, request)
  // After a Flush the rest of the segment must run on the same node, whatever it will be.
  const isAhead =
    isOpenEnded(request) && (session.deferred === null || !asksReplica(session, request))
  const isUnsure = request.effects.length > 0 && request.effects.some(isUnproved)
  const isFirst = facts.pendingBegin?.isOptimistic === true
  const own = isFirst ? firstClass(session, request) : request.cls
  const cls = isAhead ? openSegmentClass : isUnsure ? unprovedClass : own
  const isRead = isProvedRead(cls)
  if (isRead && facts.reader >= 0 && mayMoveOn(session, request)) return
  const refusing = session.scope.refusals.at(session.state, session.requestStartedAtMs)
  const exclude = request.exclude | refusing
  let chosen = cluster.route(cls, facts, exclude)
  const isOwn = onlyAsks(request)
  // Any server will do for what pgsplit answers itself.
  if (isOwn && chosen.node === null) chosen = cluster.route(bareSyncClass, facts, exclude)
  const { node } = chosen
  if (!isOwn) {
    const avoidsStale = chosen.isBehind === true || chosen.avoidsStale === true
    request.trace.routed(chosen.word, avoidsStale)
    session.route.choose(chosen.reason, cls.hint)
  }
  if (chosen.isBehind !== true) session.wasBehind = false
  else if (mayCatchUp(session, request, cls)) return
  session.catchUpUntilMs = null
  if (node?.role === 'primary' && !isOwn && waitsForShown(session, request)) return
  if (session.held.parked !== null && node?.role !== 'replica') {
    returnToParked(session, request)
    return
  }
  if (node === null) {
    if (mayHold(session, request)) return
    refuse(session, request, {
      sqlstate: '57P03',
      message: `no server for this statement: ${chosen.reason}`,
      hint: 'SHOW NODES in the admin database tells what is wrong with each node.',
    })
    return
  }
  if (!isOwn) session.route.goTo(node.id)
  request.onReplica = node.role === 'replica'
  request.isRerunnable =
    isRead &&
    request.isComplete &&
    !request.isFlushed &&
    request.queryAt < 0 &&
    request.pin === null &&
    request.effects.length === 0 &&
    request.size <= cluster.limits.retryMaxBytes &&
    (session.deferred === null || request.onReplica)
  const canShare =
    request.isRerunnable &&
    session.deferred === null &&
    request.guard === null &&
    !keeps(session) &&
    mayShare(cls)
  request.hasChoice = chosen.target === 'replica'
  // A transaction that may write is none, and one of reads only that is on the primary for good.
  const isReadOnly = request.hasChoice || (isRead && session.deferred === null)
  checkout(session, request, node.index, canShare ? 'shared' : 'lease', isReadOnly)
}

/** No replica can have it: it runs where it would have run. */
function returnToParked(session: ClientSession, request: Request): void {
  unpark(session)
  request.isRerunnable = false
  if (session.lease !== null) runOnLease(session, request, session.lease)
}

export function keeps(session: ClientSession): boolean {
  return session.poolMode === 'session'
}
