import type { StatementClass } from '../sql/statement-class.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import { waitForRoute } from './wait-for-route.ts'

/** A session that reads without a pause stays at one replica for so long, ms. */
const stayMs = 250
/** How long one read may wait for the position that lets its session choose again, ms. */
const moveWaitMs = 20
/** How long a read of a session that is stuck at the primary may wait for a replica, ms. */
const stuckWaitMs = 20
/** The same of one that is stuck there for `longStuckMs`, where replicas take longer, ms. */
const longWaitMs = 100
const longStuckMs = 1_000

/**
 * A session that never pauses would stay at its first replica for good, as what it sees there never
 * has a position by its next read. Now and then such a read waits for one, and then goes where the
 * balancer wants it. True: it waits.
 */
export function mayMoveOn(session: ClientSession, request: Request): boolean {
  const { cluster, facts, requestStartedAtMs } = session
  if (requestStartedAtMs - session.choseAtMs < stayMs || !cluster.wantsAway(facts)) return false
  if (!cluster.positions.settle(facts) && facts.reader >= 0) {
    cluster.positions.hurry(facts)
    session.catchUpUntilMs ??= cluster.nowMs() + moveWaitMs
    session.catchUpLimitMs = moveWaitMs
    if (waitForRoute(session, request, session.catchUpUntilMs)) return true
    session.catchUpUntilMs = null
  }
  session.choseAtMs = requestStartedAtMs
  return false
}

/**
 * A read that no replica is far enough for waits a little for one, and only as long as one is likely
 * to be there in time; else it goes to the primary. True: it waits.
 */
export function mayCatchUp(session: ClientSession, request: Request, cls: StatementClass): boolean {
  const { cluster, facts } = session
  if (session.catchUpUntilMs === null) session.catchUpLimitMs = limitOf(session)
  session.wasBehind = true
  const limitMs = session.catchUpLimitMs
  if (limitMs === 0) return false
  // Asked again whenever something new is known.
  if (!cluster.isCatchingUp(cls, facts, request.exclude, limitMs)) return false
  session.catchUpUntilMs ??= cluster.nowMs() + limitMs
  cluster.positions.hurry(facts)
  return waitForRoute(session, request, session.catchUpUntilMs)
}

/**
 * `causalWait`, for a session that has written. What it sees on the primary is newer still, so that
 * one that reads without a pause would stay there for good, as each of its reads raises what the
 * next one needs: a second such read in a row waits in any case, if only for a replica that is as
 * good as there.
 */
function limitOf(session: ClientSession): number {
  const ownMs = session.hasWritten ? session.facts.causalWaitMs : 0
  const nowMs = session.requestStartedAtMs
  if (!session.wasBehind) {
    session.behindSinceMs = nowMs
    return ownMs
  }
  if (nowMs - session.behindSinceMs < longStuckMs) return Math.max(ownMs, stuckWaitMs)
  session.behindSinceMs = nowMs
  return Math.max(ownMs, longWaitMs)
}
