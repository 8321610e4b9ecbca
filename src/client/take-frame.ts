import { ProtocolError } from '../errors.ts'
import { SessionState } from '../server/session-state.ts'
import { readyForQuery } from '../wire/backend-messages.ts'
import { frontend } from '../wire/message-types.ts'
import { awaitsCatalog } from './await-catalog.ts'
import { collect, finishSegment } from './extended.ts'
import { highWaterBytes } from './flow.ts'
import { flushSegment } from './flush-segment.ts'
import { dropHeld } from './hold-request.ts'
import type { ClientSession } from './session.ts'
import { resets } from './setting-effects.ts'
import { handleFunctionCall, handleQuery } from './simple.ts'

const copyTypes: ReadonlySet<number> = new Set([
  frontend.copyData,
  frontend.copyDone,
  frontend.copyFail,
  frontend.flush,
  frontend.sync,
  frontend.terminate,
])

/** Handles one frame, or says false: not now. */
export function takeFrame(
  session: ClientSession,
  type: number,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  const { copyIn } = session
  if (copyIn.isActive && !copyTypes.has(type)) return copyIn.refuse(type)
  if (session.guard?.isReading === true && awaitsCatalog(session, type, buffer, start, end))
    return false
  switch (type) {
    case frontend.query:
      return session.isSkipping || (maySend(session) && handleQuery(session, buffer, start, end))
    case frontend.parse:
    case frontend.bind:
    case frontend.describe:
    case frontend.execute:
    case frontend.close:
      if (session.isSkipping) return true
      if (session.segment === null ? !mayStart(session) : isChoked(session)) return false
      return collect(session, type, buffer, start, end)
    case frontend.sync:
      return handleSync(session, buffer, start, end)
    case frontend.flush:
      return session.isSkipping || handleFlush(session, type, buffer, start, end)
    case frontend.copyData:
    case frontend.copyDone:
    case frontend.copyFail:
      return session.copyIn.take(type, buffer, start, end)
    case frontend.functionCall:
      return (
        session.isSkipping || (maySend(session) && handleFunctionCall(session, buffer, start, end))
      )
    case frontend.terminate:
      if (!mayLeave(session)) return false
      session.link.end()
      session.close()
      return true
    default:
      throw new ProtocolError(`invalid frontend message type ${type}`)
  }
}

/**
 * A new request may start when nothing is in flight, or when the session has a server connection
 * of its own: there it queues as it would on a direct connection.
 */
function mayStart(session: ClientSession): boolean {
  if (session.waiting.request !== null || session.listener?.isHolding === true) return false
  // A client that sends requests and reads no answers: it goes on when it has read.
  if (session.link.hasBacklog(highWaterBytes)) return false
  // What is sent now would be hit by a signal that is meant for what came before.
  if (session.cancelling > 0 && session.lease !== null) return false
  if (session.isHoldingCommit) return false
  if (session.guard?.holds === true) return false
  const { last } = session.inFlight
  if (last === null) return true
  // Its answer must not come in front of the end of a commit that is waited for.
  if (session.visibility.replicas > 0 || last.cls.hint?.commitVisible != null) return false
  // What it notifies must not be heard in front of the end of what it asked before.
  if (session.listener !== null) return false
  if (session.copyIn.isAwaited) return false
  // Behind a COMMIT on a replica the next request may belong to the primary.
  if (session.lease === null || session.cluster.isReplica(session.lease.nodeIndex)) return false
  // It is run again elsewhere when the server has ended it.
  if (last.isHealing) return false
  // A name may be used when it is known to have been given.
  if (last.parses.length > 0) return false
  // Which part of a segment with a Query in it gets ReadyForQuery is known when it has run.
  if (last.queryAt !== -1) return false
  // Behind a RESET the values of the startup packet have to be set again.
  if (session.startup !== SessionState.empty && resets(last)) return false
  if (!session.lease.link.hasBacklog(highWaterBytes)) return true
  session.waitForServer(session.lease)
  return false
}

/**
 * More of a segment that is on its way already: its server, or its own client, reads too slowly.
 * What is collected of it before counts by itself (`maxCollectedBytes`).
 */
function isChoked(session: ClientSession): boolean {
  const connection = session.segment?.connection ?? null
  if (connection === null) return false
  if (session.link.hasBacklog(highWaterBytes)) return true
  if (!connection.link.hasBacklog(highWaterBytes)) return false
  session.waitForServer(connection)
  return true
}

/** May a message of this type be begun with, whose end has not come? */
export function mayBegin(session: ClientSession, type: number): boolean {
  if (session.copyIn.isActive) return session.copyIn.refuse(type)
  if (session.isSkipping) return true
  const isAlone = type === frontend.query || type === frontend.functionCall
  return isAlone ? maySend(session) : session.segment !== null || mayStart(session)
}

/**
 * May what comes now be sent? A Query or FunctionCall starts a request, or ends the segment that
 * is being collected. A segment that has not gone out takes its turn like any request: what
 * was sent before it may have to be run again since it was begun with.
 */
function maySend(session: ClientSession): boolean {
  const { segment } = session
  const isUnderWay =
    segment !== null && (segment.connection !== null || session.waiting.isFor(segment))
  return isUnderWay || mayStart(session)
}

/** All is answered that will be: what is open behind a Flush or in a COPY is undone. */
function mayLeave(session: ClientSession): boolean {
  const request = session.inFlight.first
  if (session.waiting.request !== null) return dropHeld(session)
  if (request === null || session.copyIn.isActive) return true
  return session.inFlight.length === 1 && request === session.segment && request.isAnswered
}

function handleSync(session: ClientSession, buffer: Buffer, start: number, end: number): boolean {
  if (session.isSkipping) {
    session.collecting.stopSkipping()
    // The server skips, too: this Sync is its.
    if (session.segment !== null && session.segment.connection !== null) {
      return finishSegment(session, buffer, start, end)
    }
    session.collecting.end()
    session.say(readyForQuery(session.localStatus))
    return true
  }
  if (session.copyIn.isActive && session.lease !== null) {
    session.copyIn.takeSync(buffer, start, end)
    return true
  }
  if (!maySend(session)) return false
  return finishSegment(session, buffer, start, end)
}

function handleFlush(
  session: ClientSession,
  type: number,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  if (end - start === 5) {
    return (session.segment === null || maySend(session)) && flushSegment(session)
  }
  if (session.segment === null && !mayStart(session)) return false
  return collect(session, type, buffer, start, end)
}
