/**
 * What pins a session to its server connection may be nothing that a read could see: the values of
 * sequences, which currval() and lastval() give, or a custom parameter that may be set there and
 * that nobody knows. A read that is proved to look at neither (it has no effect `sequence-read`;
 * `catalog/custom-readers.ts`) gives the same wherever it runs. For its time the connection is
 * parked, and the session is routed like one that isn't pinned; what would go to the primary then
 * runs on the connection. Everything else that a proved read could tell has been asked for and is
 * brought along, as to any replica.
 */
import type { ServerConnection } from '../server/server-connection.ts'
import { isProvedRead } from '../sql/statement-class.ts'
import { txStatus } from '../wire/message-types.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/** Does the request need nothing that only the session's own connection has? */
export function mayPark(session: ClientSession, request: Request): boolean {
  const { cls, kind } = request
  const isRead = isProvedRead(cls)
  if (!isRead || cls.learned !== null || kind === 'function') return false
  if (request.effects.length > 0 || request.pin !== null || request.names !== null) return false
  if (!request.isComplete || request.isFlushed || request.isLong || request.queryAt >= 0) {
    return false
  }
  if (!isBetween(session)) return false
  const { freeReads } = session.pins
  return freeReads === 'all' || (freeReads === 'that ignore customs' && ignoresCustoms(request))
}

function ignoresCustoms({ cls, kind, seesCustoms }: Request): boolean {
  return cls.ignoresCustoms && (kind !== 'extended' || !seesCustoms)
}

/** Nothing runs and nothing is open, here and on its connection. */
function isBetween(session: ClientSession): boolean {
  const { lease, transaction, deferred, inFlight, isBroken, actual, portals } = session
  if (lease === null || lease.status !== txStatus.idle || lease.condemnation !== null) return false
  if (transaction !== null || deferred !== null || isBroken) return false
  if (inFlight.length > 0 || actual !== null || portals.hasNamed) return false
  const { statements, listener, blind, poolMode } = session
  if (listener !== null || statements.isOwn || blind.size > 0) return false
  return poolMode === 'transaction'
}

/** Leaves its connection for one request. */
export function park(session: ClientSession): void {
  session.held.park()
  session.notePin()
}

/** Goes back to it. */
export function unpark(session: ClientSession): void {
  if (session.held.unpark() !== null) session.notePin()
}

/**
 * The parked connection, if it is one to this node: nobody waits for another one there. What runs on
 * it is the pinned session's again.
 */
export function takeParked(
  session: ClientSession,
  request: Request,
  nodeIndex: number,
): ServerConnection | null {
  const { parked } = session.held
  if (parked === null || parked.connection.isClosed) return null
  if (parked.connection.nodeIndex !== nodeIndex) return null
  unpark(session)
  request.isRerunnable = false
  return parked.connection
}

/** … if what ran elsewhere is over. */
export function unparkIfDone(session: ClientSession): void {
  const { held, lease, inFlight, waiting } = session
  if (held.parked === null || lease !== null) return
  if (inFlight.length > 0 || waiting.request !== null) return
  unpark(session)
}
