import { setTimeout as sleep } from 'node:timers/promises'
import type { ErrorFacts } from '../errors.ts'
import { swallow } from '../server/reply-queue.ts'
import { refuse } from './refuse-request.ts'
import type { Request } from './request.ts'
import { moveWaiting } from './rerun-request.ts'
import type { ClientSession } from './session.ts'

/** While something of pgsplit's own is in front of the request: how often it is looked at, ms. */
const lookMs = 2

const byUser: ErrorFacts = {
  sqlstate: '57014',
  message: 'canceling statement due to user request',
}

/**
 * CancelRequest: stops what the session asks now, wherever it is, and nothing that it asks later.
 * Resolves when the signal has been sent, as PostgreSQL closes the client's connection then; until
 * that the session sends nothing new on the server connection that it holds (`mayStart`), where a
 * signal on its way would hit it.
 */
export async function cancelCurrent(session: ClientSession, why = byUser): Promise<void> {
  const request = session.waiting.request ?? session.inFlight.first
  if (request === null) {
    session.guard?.cancelWaiting()
    return
  }
  request.isCancelled = true
  session.cancelling++
  try {
    while (isUnderWay(session, request) && !(await cancelNow(session, request, why)))
      await sleep(lookMs)
  } finally {
    session.cancelling--
    session.pump()
  }
}

function isUnderWay(session: ClientSession, request: Request): boolean {
  if (session.isGone) return false
  return session.waiting.isFor(request) || session.inFlight.some((one) => one === request)
}

/** False: not yet, its server has something else to do first. */
async function cancelNow(
  session: ClientSession,
  request: Request,
  why: ErrorFacts,
): Promise<boolean> {
  if (session.waiting.isFor(request)) {
    if (session.waiting.withdraw() === null) return false
    refuseCancelled(session, request, why)
    return true
  }
  const { connection } = request
  if (connection === null) return false
  if (connection.queue.peek() !== request) {
    if (!request.isShared || request.isForwarded) return false
    // It runs, and nobody hears of it: a signal would hit who is in front.
    connection.queue.replace(request, swallow)
    session.cluster.load.finish(connection.nodeIndex, Number.NaN, undefined, true)
    session.inFlight.remove(request)
    refuseCancelled(session, request, why)
    return true
  }
  connection.beginCancel(request.isShared)
  // Those behind it might be hit instead: they are run elsewhere, or again if there is no room.
  if (request.isShared) {
    session.scope.pool(connection.nodeIndex).stall(connection)
    moveWaiting(connection)
  }
  await session.cluster.cancel(connection)
  connection.endCancel()
  if (connection.queue.size === 0) session.scope.pool(connection.nodeIndex).quiet(connection)
  return true
}

function refuseCancelled(session: ClientSession, request: Request, why: ErrorFacts): void {
  refuse(session, request, why)
  session.pump()
}
