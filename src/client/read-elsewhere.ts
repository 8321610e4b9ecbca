import { catchUpUntilMs, moveOnUntilMs } from '../routing/patience.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import type { Request } from './request.ts'
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
  return untilMs !== null && waitForRoute(session, request, untilMs)
}
