import { renew } from './judge-parse.ts'
import { queryBytes, resolveNames } from './named-text.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import type { Request } from './request.ts'
import { maxAttempts } from './rerun-request.ts'
import type { ClientSession } from './session.ts'
import { describesFirst, swapInSegment } from './stale-segment.ts'

/**
 * May the request run again with a statement that is prepared anew? Nothing of it has happened, and
 * the client learns the new columns from its answer.
 */
export function mayRenew(session: ClientSession, request: Request): boolean {
  if (session.transaction !== null || request.begin !== null || session.isGone) return false
  if (session.pinReason !== null || session.inFlight.length > 1) return false
  if (request.attempts >= maxAttempts || request.steps !== null || request.isFlushed) return false
  if (!request.isComplete || request.size > session.cluster.limits.retryMaxBytes) return false
  if (request.kind === 'simple') return request.names !== null
  if (request.names !== null || request.queryAt >= 0) return false
  return usedBy(request).every(({ serverName }) => describesFirst(request, serverName))
}

function usedBy({ names, needs, parses }: Request): readonly PreparedStatement[] {
  return names?.needs ?? [...needs, ...parses].map(({ statement }) => statement)
}

/**
 * The server has found one of the request's statements stale. A Parse is the client's cure, so it
 * must be a real one; where one statement can be meant only, it is not run any more.
 */
export function noteStaleness(session: ClientSession, request: Request): void {
  const used = [...new Set(usedBy(request))]
  if (request.staleness !== null) session.scope.statements.staleness = request.staleness
  if (used.length === 1 && used[0] !== undefined) used[0].isStale = true
  for (const statement of used) session.scope.statements.retire(statement)
  if (!request.isHealing) return
  for (const statement of used) renewIn(session, request, statement)
}

/** Prepares `old` anew under another name, for this session and what it is about to run. */
export function renewIn(session: ClientSession, request: Request, old: PreparedStatement): void {
  const fresh = renew(session, old)
  session.statements.replace(old, fresh)
  if (request.names === null) {
    swapInSegment(request, old, fresh)
    return
  }
  const { outer, original } = request.names
  const names = resolveNames(session, outer, original)
  request.names = names
  request.absent = names.absent
  request.bytes = queryBytes(names.text)
  request.size = request.bytes.length
}
