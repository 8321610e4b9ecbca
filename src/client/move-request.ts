import { ask } from '../server/ask.ts'
import { swallow } from '../server/reply-queue.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { query, sync } from '../wire/frontend-messages.ts'
import { txStatus } from '../wire/message-types.ts'
import { askIsolation } from './ask-isolation.ts'
import { abandon, detach, leave } from './leave-connection.ts'
import { loseLease } from './lost-request.ts'
import { isOptimistic } from './optimistic.ts'
import { refuse } from './refuse-request.ts'
import type { Request } from './request.ts'
import { refusalOf, route } from './route-request.ts'
import { sendOn } from './send-request.ts'
import type { ClientSession } from './session.ts'
import { awaitsOwnNames } from './unbrought-names.ts'

const commit = query('COMMIT')
const rollback = query('ROLLBACK')

/**
 * May the request leave the replica that the session holds? Nothing of it has been executed there,
 * and an open transaction has only read: what it has seen it may see again, READ COMMITTED given.
 */
export function mayMove(session: ClientSession, request: Request, from: ServerConnection): boolean {
  if (request.sentExecutes > 0 || request.isStreamed) return false
  if (session.pinReason !== null && !awaitsOwnNames(session)) return false
  // Of an optimistic transaction what was flushed waits for its own answer, and so for all before it.
  const most = request.connection === null ? 0 : isOptimistic(session) ? Infinity : 1
  if (session.inFlight.length > most) return false
  if (request.connection === null && session.deferred !== null) return true
  if (session.transaction === null) return from.status === txStatus.idle && request.begin === null
  const { begin, hasOnlyRead } = session.transaction
  const isAlive = from.status !== txStatus.failed || isOptimistic(session)
  return begin !== null && hasOnlyRead && isAlive
}

/**
 * Moves a request from the replica `from` to the primary, and with it its transaction, which is READ
 * ONLY or has only read so far. What was flushed of it is said again there; the client has those answers.
 */
export function move(session: ClientSession, request: Request, from: ServerConnection): void {
  if (request.connection !== null) {
    // Half an answer can't be finished by another server.
    request.isMoving = !request.isAnswered
    if (request.isMoving) return
    endFlushed(session, request, from)
  }
  session.requestStartedAtMs = session.cluster.nowMs()
  if (session.transaction === null || session.deferred !== null) {
    if (from.isClean) leave(session, from, false)
    else giveBack(session, from, sync)
    toPrimary(session, request)
    return
  }
  if (isOptimistic(session)) {
    session.block.deferAgain(session.transaction.moved(from.status === txStatus.failed))
    giveBack(session, from, rollback)
    toPrimary(session, request)
    return
  }
  session.waiting.begin(request, null)
  askIsolation(from, (isolation) => {
    session.waiting.end()
    if (session.isGone) abandon(session)
    else if (isolation === null) {
      loseLease(session, from)
      refuse(session, request, session.block.takeTrouble())
    } else moveTransaction(session, request, from, isolation)
    session.pump()
  })
}

function moveTransaction(
  session: ClientSession,
  request: Request,
  from: ServerConnection,
  isolation: string,
): void {
  const { transaction } = session
  if (transaction === null || !/^read (un)?committed$/.test(isolation)) {
    if (transaction !== null) transaction.hasOnlyRead = false
    request.refusal = refusalOf(session, request, from)
    sendOn(session, request, from)
    return
  }
  session.block.deferAgain(transaction.moved())
  giveBack(session, from, commit)
  toPrimary(session, request)
}

function toPrimary(session: ClientSession, request: Request): void {
  request.exclude = 0x7fffffff
  route(session, request)
  session.route.amend((why) => `moved to the primary: ${why}`)
}

/** The replica is done with what was flushed; the request is as new, but for the answers given. */
function endFlushed(session: ClientSession, request: Request, from: ServerConnection): void {
  // Something of ours may be in front of it.
  from.queue.replace(request, swallow)
  from.send(sync)
  session.cluster.load.finish(from.nodeIndex, Number.NaN)
  session.inFlight.remove(request)
  const settled = request.sentKinds
  request.resetForRerun()
  request.settledKinds = settled
  request.isForwarded = true
}

/** Says the last word to the replica, which goes back to its pool when it has answered. */
function giveBack(session: ClientSession, from: ServerConnection, lastWord: Buffer): void {
  const isKept = session.held.isKept(from)
  const pool = isKept ? session.held.rest() : detach(session, from)
  ask(from, lastWord, {
    answered: () => {
      if (!isKept) pool?.release(from)
    },
    lost: () => {},
  })
}
