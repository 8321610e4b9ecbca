import { seesOthers } from '../consistency.ts'
import { catchUpUntilMs, moveOnUntilMs } from '../routing/patience.ts'
import { consistencyOf } from '../routing/requirement.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { isProvedRead, type StatementClass } from '../sql/statement-class.ts'
import { txStatus } from '../wire/message-types.ts'
import { mayMove, move } from './move-request.ts'
import { isOptimistic, waitsAlone } from './optimistic.ts'
import type { Request } from './request.ts'
import { route } from './route-request.ts'
import type { ClientSession } from './session.ts'
import { waitForRoute } from './wait-for-route.ts'

/** A read of a session that stays at one replica waits until it may choose again. True: it waits. */
export function mayMoveOn(session: ClientSession, request: Request): boolean {
  const { cluster, facts, requestStartedAtMs } = session
  const untilMs = moveOnUntilMs(session, facts, cluster, requestStartedAtMs)
  return untilMs !== null && waitForRoute(session, request, untilMs)
}

/** A read that no replica is far enough for waits for one. True: it waits. */
export function mayCatchUp(session: ClientSession, request: Request, cls: StatementClass): boolean {
  const { cluster, facts, requestStartedAtMs } = session
  const { exclude } = request
  const untilMs = catchUpUntilMs(session, facts, cluster, requestStartedAtMs, cls, exclude)
  if (untilMs === null) return false
  const progress = (callback: () => void) => cluster.positions.onProgress(facts, callback)
  return waitForRoute(session, request, untilMs, undefined, progress)
}

/**
 * In a READ ONLY transaction each statement has a snapshot of its own, which is to be as new as the
 * primary's would be: the replica catches up first, or the transaction moves. True: it waits, or has
 * moved. A transaction that keeps its first snapshot stays as it is.
 */
export function catchesUpFirst(
  session: ClientSession,
  request: Request,
  from: ServerConnection,
): boolean {
  const { cluster, facts } = session
  if (!seesOthers(consistencyOf(request.cls, facts)) || from.status !== txStatus.block) return false
  if (!isProvedRead(request.cls)) return false
  if (cluster.positions.isCoveredBy(facts, from.nodeIndex)) return false
  // What is in flight is answered meanwhile, and then it may.
  const isAlone = session.inFlight.length === 0
  if (isAlone && !mayMove(session, request, from)) return false
  if (mayCatchUp(session, request, request.cls)) return true
  if (!mayMove(session, request, from)) {
    return isOptimistic(session) && waitsAlone(session, request, () => route(session, request))
  }
  move(session, request, from)
  return true
}

/**
 * A request goes to the primary. With synchronous replication a replica may have shown its session a
 * commit that the primary doesn't show yet, as it waits for other standbys: so does the request then,
 * within a bound. True: it waits.
 */
export function waitsForShown(session: ClientSession, request: Request): boolean {
  const { cluster, facts, requestStartedAtMs } = session
  const { shown } = cluster.positions
  const untilMs = shown.untilMs(facts, requestStartedAtMs, cluster.nowMs())
  if (untilMs === null) return false
  const found = (callback: () => void) => shown.onShown(facts, callback)
  return waitForRoute(session, request, untilMs, undefined, found)
}
