import { type Request, requestBit } from './request.ts'
import { rerun, runAgain } from './rerun-request.ts'
import type { ClientSession } from './session.ts'

const everyReplica = 0x7fffffff

/**
 * A proved read has met an error on a replica. Is the replica's catalog to be compared with the
 * primary's before the client hears of it? True: nothing of it is forwarded, and `settleDoubt` follows.
 */
export function mayDoubt(session: ClientSession, request: Request): boolean {
  // Without a primary nothing has changed that could be healed there.
  if (request.isUndoubted || !session.cluster.hasPrimary) return false
  request.isDoubted = true
  return true
}

/** In a transaction, whose replica can't be asked again: by what is known already. */
export function isKnownBehind({ scope }: ClientSession, { connection }: Request): boolean {
  return connection !== null && scope.catalogAge.isBehind(connection.nodeIndex)
}

/**
 * The request has left its connection. If the catalog has changed since the replica's position the
 * primary runs it, once; if not, the same replica says the error again, and that stands: it is not for
 * errors of clients to double the primary's load.
 */
export function settleDoubt(session: ClientSession, request: Request): void {
  const { cluster, scope } = session
  const { nodeIndex } = request
  request.isDoubted = false
  request.isUndoubted = true
  // A BEGIN in front of it is to come again.
  session.block.deferAgain(request.begin)
  request.begin = null
  session.waiting.begin(request, null)
  let isSettled = false
  const forget = scope.catalogAge.ask(nodeIndex, (verdict) => {
    isSettled = true
    session.waiting.end()
    if (session.isGone) return
    const isStale = verdict !== 'current' && cluster.mayRetry()
    request.exclude = isStale ? everyReplica : everyReplica & ~requestBit(nodeIndex)
    if (isStale) rerun(session, request)
    else runAgain(session, request)
  })
  if (isSettled) return
  session.waiting.begin(request, forget)
}
