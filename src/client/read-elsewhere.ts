import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import { waitForRoute } from './wait-for-route.ts'

/** A session that reads without a pause stays at one replica for so long, ms. */
const stayMs = 250
/** How long one read may wait for the position that lets its session choose again, ms. */
const moveWaitMs = 20
/** How long a read of a session that is stuck at the primary may wait for a replica, ms. */
const catchUpWaitMs = 100
/** After such a wait in vain the session does not wait again for so long, ms. */
const vainPauseMs = 1_000

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
    if (waitForRoute(session, request, moveWaitMs)) return true
    session.routeDeadlineMs = null
  }
  session.choseAtMs = requestStartedAtMs
  return false
}

/**
 * A read that no replica is far enough for goes to the primary at once, or waits for `causalWait`.
 * What it sees there is newer still: a session that reads without a pause would stay at the primary
 * for good, as each of its reads raises what the next one needs. So a second such read in a row waits
 * in any case, if only for a replica that is as good as there. True: it waits.
 */
export function mayCatchUp(session: ClientSession, request: Request): boolean {
  const { cluster, facts } = session
  const isStuck = session.wasBehind && session.requestStartedAtMs >= session.catchUpAfterMs
  const limitMs = Math.max(facts.causalWaitMs, isStuck ? catchUpWaitMs : 0)
  session.wasBehind = true
  if (limitMs === 0) return false
  cluster.positions.hurry(facts)
  if (waitForRoute(session, request, limitMs)) return true
  session.catchUpAfterMs = cluster.nowMs() + vainPauseMs
  return false
}
