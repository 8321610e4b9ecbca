import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import { waitForRoute } from './wait-for-route.ts'

/**
 * There is no node for the request, or none that takes it: it waits for the next primary, up to
 * `failover.holdWrites`, as long as there is room among those that wait. Nothing of it was sent, or
 * nothing of it was done. True: it waits, and is routed again when the topology changes.
 */
export function mayHold(session: ClientSession, request: Request): boolean {
  const { cluster } = session
  const { holdMs, maxHeld } = cluster.limits
  if (holdMs === 0 || session.isGone) return false
  const nowMs = cluster.nowMs()
  if (session.holdUntilMs === null) session.holdUntilMs = nowMs + holdMs
  const { counters } = cluster
  if (counters.held >= maxHeld) return false
  session.routeDeadlineMs = session.holdUntilMs
  const isHeld = waitForRoute(session, request, holdMs, () => {
    counters.held--
  })
  if (isHeld) counters.held++
  return isHeld
}
