import type { ServerConnection } from '../server/server-connection.ts'
import { isProvedRead } from '../sql/statement-class.ts'
import { txStatus } from '../wire/message-types.ts'
import { applyEffects } from './effects.ts'
import { abandon, leave } from './leave-connection.ts'
import { settleSteps } from './name-steps.ts'
import { doubtOwnNames, leaveOwnNames } from './own-names.ts'
import type { Request } from './request.ts'
import { learn, rerun } from './rerun-request.ts'
import type { ClientSession } from './session.ts'
import { settle } from './settle-lease.ts'
import { observe } from './sharing.ts'
import { noteStaleness } from './stale-statements.ts'

/** ReadyForQuery has come. */
export function finishRequest(session: ClientSession, request: Request, status: number): void {
  const { cluster } = session
  const connection = request.connection as ServerConnection
  const nowMs = cluster.nowMs()
  const elapsedMs = nowMs - request.startedAtMs
  // How long others would have waited for it, had they been behind it.
  const servedMs = nowMs - Math.max(request.startedAtMs, connection.headSinceMs ?? 0)
  cluster.load.finish(connection.nodeIndex, elapsedMs, nowMs, request.isShared)
  cluster.reportSuccess(connection.nodeIndex)
  connection.noteHead(nowMs)
  session.inFlight.remove(request)
  const next = session.inFlight.first
  if (next?.isFlushed === true) next.inventPending()
  if (request.isShared) {
    // The connection is quiet or has room for another: the pool serves whoever waits.
    if (connection.queue.size > 0) session.scope.pool(connection.nodeIndex).roomy(connection)
  }
  // The failure may have come before the segment's Parse.
  if (request.error !== null && !request.isUnnamedKept) connection.forgetUnnamed()
  noteUnnamed(session, request)
  if (request.queryAt >= 0) connection.condemn('stumbled')
  // Last come, first undone: a name that was closed may have been given again.
  if (request.error !== null && !request.isHealing) forgetNames(session, request)
  if (request.steps !== null) settleSteps(session, request, connection)
  if (request.error !== null && request.script !== null) {
    request.script.undo(connection.prepared)
  }
  if (request.error !== null && session.statements.isOwn) doubtOwnNames(session, request)
  if (request.staleness !== null) noteStaleness(session, request)
  if (request.isHealing) {
    leave(session, connection, request.isShared)
    rerun(session, request)
    return
  }
  if (request.refused !== null) learn(session, request, request.refused)
  count(session, request, connection, elapsedMs)
  if (request.error === null) observe(request, servedMs)
  if (session.isGone) {
    if (!request.isShared) abandon(session)
    return
  }
  applyEffects(session, request, status)
  if (request.names !== null && session.pinReason !== null) session.pins.doubtPrepared()
  if (connection.condemnation === 'stumbled') holdStumbled(session, request)
  if (session.lease === connection) connection.adoptState(session.settings.onServer)
  // Portals die with their transaction.
  if (status === txStatus.idle && session.segment === null && session.inFlight.length === 0) {
    session.portals.closeAll()
  }
  if (session.statements.isOwn) leaveOwnNames(session)
  if (!request.isShared) settle(session, connection)
  session.pump()
}

/**
 * PostgreSQL leaves its implicit transaction half ended when a Query comes in front of Sync, and
 * what is said next is refused ("unexpected state STARTED"). That is this client's own to hear; a
 * Sync alone doesn't count.
 */
function holdStumbled(session: ClientSession, request: Request): void {
  if (request.queryAt >= 0 && request.error === null) session.pins.add('stumbled')
  else if (request.kind !== 'extended' || request.kinds.length > 0) session.pins.drop('stumbled')
}

/** The unnamed statement is what the last message that ran has left. */
function noteUnnamed(session: ClientSession, request: Request): void {
  const { error, queryAt, script } = request
  const isDropped =
    queryAt >= 0 && (error === null || script === null || script.at >= script.queryAt)
  const kept = error === null || request.isHealing ? null : request.keptUnnamed
  if (!isDropped && kept === null) return
  // What came behind this request has replaced it anyway.
  if (request.unnamed.isChanged && session.unnamed.statement !== request.unnamed.last) return
  // An earlier Parse of the same segment has left it there.
  const isThere = !isDropped && kept !== null && kept.isOfSegment && kept.unnamed !== null
  if (isThere) request.connection?.noteUnnamed(kept.unnamed.serial)
  if (isDropped || kept === null) session.unnamed.restore(null, null, null)
  else session.unnamed.restore(kept.unnamed, kept.cls, kept.names)
}

/** Names whose Parse failed do not exist for the client either. */
function forgetNames(session: ClientSession, request: Request): void {
  const { script } = request
  if (script === null) return
  // Also one that the connection had already: behind an error nothing is done.
  for (const { name, statement, unit } of request.parses) {
    if (!script.isDone(unit)) session.statements.forget(name, statement)
  }
}

function count(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
  elapsedMs: number,
): void {
  const { counters } = session.cluster
  const node = connection.nodeIndex
  counters.requests[node] = (counters.requests[node] ?? 0) + 1
  if (request.error !== null) counters.errors[node] = (counters.errors[node] ?? 0) + 1
  const isRead = isProvedRead(request.cls)
  const { cls, onReplica } = request
  const { meter } = session.cluster
  meter.answered(node, isRead, request, elapsedMs)
  // To be prepared is no call.
  const hasRun = request.kind !== 'extended' || request.executed.length > 0 || request.queryAt >= 0
  if (hasRun)
    meter.statements.answered(session.scope.database, cls, request, isRead, onReplica, elapsedMs)
  const endsTransaction = connection.status === txStatus.idle
  session.tally.answered(node, isRead, onReplica, endsTransaction, elapsedMs)
  if (isRead && onReplica) session.scope.classifier.replicaReads++
}
