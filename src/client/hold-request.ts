import { refuse } from './refuse-request.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import { waitForRoute } from './wait-for-route.ts'

/**
 * There is no node for the request, or none that takes it: it waits for the next primary, up to
 * `failover.holdWrites` (in a pause: `failover.pauseTimeout`), as long as there is room among those
 * that wait. Nothing of it was sent, or nothing of it was done. True: it waits, and is routed again
 * when the topology changes or the pause ends.
 */
export function mayHold(session: ClientSession, request: Request): boolean {
  const { cluster } = session
  const { pauseMs, maxHeld, maxHeldBytes } = cluster.limits
  const holdMs = cluster.isPaused ? pauseMs : cluster.limits.holdMs
  if (holdMs === 0 || session.isGone) return false
  const nowMs = cluster.nowMs()
  if (session.holdUntilMs === null) session.holdUntilMs = nowMs + holdMs
  const { counters } = cluster
  const { size } = request
  const hasRoom = counters.held === 0 || counters.heldBytes + size <= maxHeldBytes
  if (counters.held >= maxHeld || !hasRoom) return false
  const isHeld = waitForRoute(session, request, session.holdUntilMs, () => {
    counters.held--
    counters.heldBytes -= size
    cluster.meter.noteHeld(cluster.nowMs() - nowMs)
  })
  if (!isHeld) return false
  counters.held++
  counters.heldBytes += size
  return true
}

/**
 * The client has said its last word while its request is held. It will hear no answer, and may ask
 * somebody else for the same: the request is not run. False: none is held.
 */
export function dropHeld(session: ClientSession): boolean {
  const held = session.holdUntilMs === null ? null : session.waiting.withdraw()
  if (held === null) return false
  refuse(session, held, {
    sqlstate: '57P03',
    message: 'the client has left while its request waited for a primary',
    hint: 'Nothing of it was done.',
  })
  return true
}
