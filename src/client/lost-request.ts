import type { ErrorFacts } from '../errors.ts'
import { isFatalConflict } from '../routing/judge-error.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { isProvedRead } from '../sql/statement-class.ts'
import { errorResponse, readyForQuery } from '../wire/backend-messages.ts'
import { detach } from './leave-connection.ts'
import { undoSteps } from './name-steps.ts'
import { mayLeaveUnseen } from './optimistic.ts'
import { unpark } from './parked.ts'
import { type Request, requestBit } from './request.ts'
import { goesOnAfterLoss, maxAttempts, rerun } from './rerun-request.ts'
import type { ClientSession } from './session.ts'

/** The connection went before the answer was complete. */
export function loseRequest(session: ClientSession, request: Request, error: Error): void {
  const { cluster } = session
  const connection = request.connection as ServerConnection
  session.inFlight.remove(request)
  // Who is gone has told so already, but for what it shared.
  if (!session.isGone || request.isShared) {
    cluster.load.finish(connection.nodeIndex, Number.NaN, undefined, request.isShared)
  }
  const { pinReason } = session
  const isEnd = takesClientAlong(session, connection)
  if (session.lease === connection) detach(session, connection)
  if (session.isGone) return
  if (isEnd) {
    request.passHeld()
    endWith(session, connection, lossOf(session, request, connection, error, pinReason))
    return
  }
  if (
    request.isRerunnable &&
    !request.isForwarded &&
    // What was lost behind it must not be answered before it.
    session.inFlight.length === 0 &&
    request.attempts < maxAttempts &&
    cluster.mayRetry()
  ) {
    request.exclude |= requestBit(connection.nodeIndex)
    rerun(session, request)
    return
  }
  if (pinReason === null && goesOnAfterLoss(session, request, connection)) {
    rerun(session, request)
    return
  }
  if (pinReason !== null) session.pins.clear()
  session.blind.clear()
  session.notePin()
  answerLost(session, request, connection, error)
  session.statements.share()
  session.pump()
}

function answerLost(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
  error: Error,
): void {
  if (endByOwnFault(session, connection)) return
  // Rows that are out were seen, wherever they came from.
  if (request.isForwarded) session.cluster.positions.notePrimary(session.facts)
  if (request.isMidFrame) {
    // Half a row is out: no message can be placed any more.
    session.link.end()
    session.close()
    return
  }
  const facts =
    session.isBroken && !commits(request)
      ? session.block.takeTrouble()
      : lossOf(session, request, connection, error, null)
  const ends = request.effects.some(({ kind }) => kind === 'commit' || kind === 'rollback')
  const wasInBlock = session.transaction !== null || session.isBroken
  if (session.transaction !== null) session.settings.goOnWith(session.transaction.before.state)
  session.listener?.rollBack(0)
  session.block.lose(!wasInBlock || ends)
  for (const { name, statement } of request.parses) session.statements.forget(name, statement)
  undoSteps(session, request)
  // The server may end the connection between its error and ReadyForQuery: one error is the answer.
  if (request.error === null || request.isHealing) session.say(errorResponse(facts))
  if (request.isComplete) session.say(readyForQuery(session.localStatus))
  else session.collecting.fail()
}

/**
 * 25P03, 25P04, 57P05: timeouts that end the client's own session, and are said to it; and what it
 * hears when it has broken the protocol itself.
 */
function endByOwnFault(session: ClientSession, connection: ServerConnection): boolean {
  const { fatal, lastWord } = connection
  if (session.isGone || fatal === null || lastWord === null) return false
  if (!/^(25P0[34]|57P05)$/.test(fatal.sqlstate)) return false
  session.leaveWith(lastWord)
  return true
}

/**
 * Does the client end with this connection? What the session has there is nowhere else (temporary
 * tables, locks, cursors), or the server process is the client's own for all its time: as without
 * pgsplit it must know, and begin anew.
 */
function takesClientAlong(session: ClientSession, connection: ServerConnection): boolean {
  if (session.isGone) return false
  if (session.held.home === connection && session.poolMode === 'session') return true
  return session.lease === connection && session.pinReason !== null && session.pins.holdsState
}

/** The server's own last word goes to the client as it is; if it had none, ours. */
function endWith(session: ClientSession, { lastWord }: ServerConnection, facts: ErrorFacts): void {
  session.leaveWith(lastWord ?? errorResponse({ ...facts, severity: 'FATAL' }))
}

/** What the client of a lost request is told. */
function lossOf(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
  error: Error,
  pinReason: string | null,
): ErrorFacts {
  const conflict = conflictOf(connection)
  if (conflict !== null) return conflict
  // A client that sends ahead may have sent the COMMIT of what this request began or went on with.
  const isCommit = [request, ...session.inFlight].some(commits)
  const isRead = isProvedRead(request.cls)
  const why = connection.fatal?.message ?? error.message
  // A node that was the primary when this was sent may be known as a replica by now.
  const mayHaveWritten = !request.onReplica || !session.cluster.isReplica(connection.nodeIndex)
  const state = pinReason === null ? '' : `; what pinned the session (${pinReason}) is lost with it`
  const isAlone = !isRead && session.transaction === null && request.begin === null
  // Without BEGIN, PostgreSQL commits on its own before it answers.
  if (mayHaveWritten && (isCommit || isAlone)) {
    session.cluster.positions.notePrimary(session.facts)
    return {
      sqlstate: '08007',
      message: `connection to node ${connection.nodeId} was lost (${why}): transaction resolution unknown${state}`,
      hint: 'Read back whether the statement took effect before you run it again.',
    }
  }
  return {
    sqlstate: '08006',
    message: `connection to node ${connection.nodeId} was lost: ${why}${state}`,
    hint: 'Nothing of an open transaction was kept; run it again.',
  }
}

/** A replica has ended the connection to go on with its replay: the client's words are the server's. */
function conflictOf({ fatal }: ServerConnection): ErrorFacts | null {
  if (fatal === null || !isFatalConflict(fatal)) return null
  const { sqlstate, message, detail } = fatal
  const hint = 'Run the transaction again; this connection to pgsplit serves on.'
  return { sqlstate, message, hint, ...(detail !== '' && { detail }) }
}

function commits({ effects }: Request): boolean {
  return effects.some(({ kind }) => kind === 'commit')
}

/** The server connection of an open transaction or a pin went while nothing ran on it. */
export function loseLease(session: ClientSession, connection: ServerConnection): void {
  // What it was pinned for has gone, whatever runs elsewhere meanwhile.
  if (session.held.parked?.connection === connection) unpark(session)
  const isLease = session.lease === connection
  const isEnd = takesClientAlong(session, connection)
  if (!isLease && !isEnd) return
  if (endByOwnFault(session, connection)) return
  const { pinReason, transaction } = session
  if (isLease) detach(session, connection)
  if (session.isGone) return
  if (isEnd) {
    const lost = [
      ...(transaction === null ? [] : ['the open transaction']),
      ...(pinReason === null ? [] : [`what pinned it (${pinReason})`]),
    ]
    const what = lost.length === 0 ? "the client's own server process" : lost.join(' and ')
    endWith(session, connection, {
      sqlstate: '57P01',
      message: `terminating connection because node ${connection.nodeId} was lost, and ${what} with it`,
      hint: 'Connect again and begin anew.',
    })
    return
  }
  if (pinReason !== null) session.pins.clear()
  session.blind.clear()
  session.notePin()
  session.statements.share()
  if (transaction === null) return
  if (pinReason === null && mayLeaveUnseen(session, connection)) {
    // Nothing of it is lost that could not be said again, wherever its next statement runs.
    session.block.deferAgain(transaction.moved())
    return
  }
  const why = connection.fatal === null ? '' : ` (${connection.fatal.message})`
  const trouble = conflictOf(connection) ?? {
    sqlstate: '08006',
    message: `connection to node ${connection.nodeId} was lost${why}, and the open transaction with it`,
    hint: 'Run it again from the start.',
  }
  session.settings.goOnWith(transaction.before.state)
  session.listener?.rollBack(0)
  session.block.lose(false)
  session.block.noteTrouble(trouble)
}
