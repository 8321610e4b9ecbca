import type { ErrorFacts } from '../errors.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { NO_CATALOG } from '../sql/classifier.ts'
import { sync } from '../wire/frontend-messages.ts'
import { txStatus } from '../wire/message-types.ts'
import { openSegmentClass } from './fixed-class.ts'
import { checkout, prepare } from './obtain-connection.ts'
import { refuse } from './refuse-request.ts'
import type { Request } from './request.ts'
import { sendOn } from './send-request.ts'
import type { ClientSession } from './session.ts'
import { mayShare } from './sharing.ts'

/** Routes a request and gets it on its way. The request may be a segment that was flushed before. */
export function dispatch(session: ClientSession, request: Request): void {
  if (session.waiting === request) return
  if (request.connection !== null) {
    goOn(session, request, request.connection)
    return
  }
  session.requestStartedAtMs = session.cluster.nowMs()
  if (session.lease !== null) {
    runOnLease(session, request, session.lease)
    return
  }
  route(session, request)
}

/** More of a segment that was flushed. */
function goOn(session: ClientSession, request: Request, connection: ServerConnection): void {
  if (request.refusal === null) request.refusal = refusalOf(session, request, connection)
  else {
    // Refused already: the server skips up to Sync.
    if (request.isComplete) connection.send(sync)
    return
  }
  sendOn(session, request, connection)
}

/** Why the request must not run on the connection that the session has, or null. */
function refusalOf(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): ErrorFacts | null {
  const { verdict } = request.cls
  const isRead = verdict === 'replica' || verdict === 'either' || verdict === 'control'
  // SHOW tells what the transaction really has; and while the catalog is read anew, nothing is proved.
  const { keyword, reason } = request.cls
  const isHarmless = isRead || isPlainWrite(request) || keyword === 'show' || reason === NO_CATALOG
  if (isHarmless || !session.cluster.isReplica(connection.nodeIndex)) return null
  // On a standby such a statement may succeed silently and mean nothing (advisory locks …).
  return {
    sqlstate: '25006',
    message: `cannot run this in a READ ONLY transaction on replica ${connection.nodeId}: ${request.cls.reason}`,
    hint: 'Make it the first statement of the transaction, or BEGIN without READ ONLY; then it runs on the primary.',
  }
}

/** In a transaction or pinned: the node is given. */
function runOnLease(session: ClientSession, request: Request, lease: ServerConnection): void {
  request.refusal = refusalOf(session, request, lease)
  // After a RESET the connection has the server's default where the client has its startup value.
  const canSync = session.inFlight.length === 0 && lease.status !== txStatus.failed
  if (lease.state !== session.state && canSync) prepare(session, request, lease)
  else sendOn(session, request, lease)
}

/** Refused by a standby with 25006 exactly as a primary refuses it in a READ ONLY transaction. */
function isPlainWrite(request: Request): boolean {
  return /^(insert|update|delete|merge|truncate|create|drop|alter|vacuum|grant|revoke)$/.test(
    request.cls.keyword,
  )
}

export function route(session: ClientSession, request: Request): void {
  const { cluster, facts } = session
  facts.pendingBegin = session.deferred?.modes ?? null
  // After a Flush the rest of the segment must run on the same node, whatever it will be.
  const isOpen = request.isFlushed && !request.isComplete && request.executed.length > 0
  const cls = isOpen && session.deferred === null ? openSegmentClass : request.cls
  const chosen = cluster.route(cls, facts, request.exclude)
  const { node } = chosen
  session.lastReason = chosen.reason
  if (node === null) {
    refuse(session, request, {
      sqlstate: '57P03',
      message: `no server for this statement: ${chosen.reason}`,
      hint: 'SHOW NODES in the admin database tells what is wrong with each node.',
    })
    return
  }
  session.lastNode = node.id
  const isRead = cls.verdict === 'replica' || cls.verdict === 'either'
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
    request.isRerunnable && session.deferred === null && !keeps(session) && mayShare(cls)
  checkout(session, request, node.index, canShare ? 'shared' : 'lease')
}

export function keeps(session: ClientSession): boolean {
  return session.poolMode === 'session'
}
