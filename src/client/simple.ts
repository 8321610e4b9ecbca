import { errorResponse, readyForQuery } from '../wire/backend-messages.ts'
import { appendToSegment } from './extended.ts'
import { functionCallClass } from './fixed-class.ts'
import { answerLocally, takeTrouble } from './local-answer.ts'
import { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/** Query: `buffer[start, end)` is the whole frame. False: not now. */
export function handleQuery(
  session: ClientSession,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  const textEnd = end - 1
  if (end - start < 6 || buffer.indexOf(0, start + 5) !== textEnd) {
    return refuseText(session)
  }
  const cls = session.scope.classifier.classify(buffer, start + 5, textEnd, session.lexMode)
  session.queries++
  if (session.segment !== null) {
    // A Query in the middle of a segment ends it: its ReadyForQuery is the segment's.
    appendToSegment(session.segment, buffer, start, end)
    const segment = session.segment
    segment.cls = cls
    segment.effects = [...segment.effects, ...cls.effects]
    segment.pin = cls.pin ?? segment.pin
    segment.kinds.push(0x51)
    segment.isComplete = true
    session.segment = null
    session.run(segment)
    return true
  }
  if (
    cls.effects.length > 0 ||
    cls.parts.length === 0 ||
    session.isBroken ||
    session.pendingError !== null
  ) {
    const answered = answerLocally(session, cls, null, buffer, start, end)
    if (answered === 'later') return false
    if (answered === 'done') return true
  }
  const bytes = Buffer.allocUnsafe(end - start)
  buffer.copy(bytes, 0, start, end)
  const request = new Request(session, 'simple', cls, bytes)
  request.size = bytes.length
  request.isComplete = true
  request.effects = cls.effects
  request.pin = cls.pin
  request.wantsTag = cls.effects.length > 0
  session.run(request)
  return true
}

function refuseText(session: ClientSession): boolean {
  if (session.inFlight.length > 0) return false
  session.say(
    errorResponse({
      sqlstate: '08P01',
      message: 'invalid Query message: the text must end with its only NUL byte',
      hint: 'Send the statement as one NUL-terminated string.',
    }),
  )
  session.say(readyForQuery(session.localStatus))
  return true
}

/** FunctionCall: always the primary; it may do anything. */
export function handleFunctionCall(
  session: ClientSession,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  if (session.isBroken || session.pendingError !== null) {
    if (session.inFlight.length > 0) return false
    session.say(errorResponse(takeTrouble(session)))
    session.say(readyForQuery(session.localStatus))
    return true
  }
  const request = new Request(
    session,
    'function',
    functionCallClass,
    Buffer.from(buffer.subarray(start, end)),
  )
  request.size = request.bytes.length
  request.isComplete = true
  session.run(request)
  return true
}
