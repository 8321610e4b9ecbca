import { errorResponse } from '../wire/backend-messages.ts'
import { frontend } from '../wire/message-types.ts'
import { appendWriter, writer } from './segment-parts.ts'
import type { ClientSession } from './session.ts'

/** In a session that has lost its transaction: the error, and nothing more up to Sync. */
export function failSegment(session: ClientSession): boolean {
  if (session.inFlight.length > 0) return false
  session.say(errorResponse(session.block.takeTrouble()))
  session.collecting.fail()
  return true
}

/** Flush: what was collected is sent, and the session keeps the server connection until Sync. */
export function flushSegment(session: ClientSession): boolean {
  const segment = session.segment
  const isWaiting = session.waiting.request !== null
  if (segment === null || isWaiting) return !isWaiting
  if (!segment.isFlushed && session.block.isInTrouble) {
    return failSegment(session)
  }
  segment.isFlushed = true
  segment.isForwarded = true
  writer.begin(frontend.flush).end()
  appendWriter(segment)
  session.run(segment)
  return true
}
