import { type ErrorFacts, ProtocolError } from '../errors.ts'
import { readyForQuery } from '../wire/backend-messages.ts'
import { Cursor } from '../wire/cursor.ts'
import { frontend } from '../wire/message-types.ts'
import { collectFrame } from './collect-messages.ts'
import { bareSyncClass, openSegmentClass } from './fixed-class.ts'
import { flushSegment } from './flush-segment.ts'
import { answerLocally } from './local-answer.ts'
import { settleOwn, showsToken } from './own-answers.ts'
import { type OwnCommand, ownCommandOf } from './own-command.ts'
import { Request } from './request.ts'
import { appendToSegment, mergeClass } from './segment-parts.ts'
import type { ClientSession } from './session.ts'

/** Over the message that is being collected. */
const cursor = new Cursor(Buffer.alloc(0), 0, 0)

/** A segment longer than this is sent before its Sync has come, bytes. */
const maxCollectedBytes = 1024 * 1024

/** Adds one message of the extended protocol to the session's segment. */
export function collect(
  session: ClientSession,
  type: number,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  const segment =
    session.segment ??
    session.collecting.begin(
      new Request(session, 'extended', bareSyncClass, Buffer.allocUnsafe(256)),
    )
  // It waits for a server connection: more of it waits in the session, which stops reading.
  if (session.waiting.isFor(segment) && segment.size > maxCollectedBytes) return false
  // What is in flight may fail and take the transaction with it, and then no name is given.
  const isNamed = type === frontend.parse && buffer[start + 5] !== 0
  if (isNamed && session.inFlight.some((other) => other !== segment)) return false
  if (session.inFlight.length > 0 && mayLackUnnamed(session, segment)) {
    if (usesUnnamed(type, buffer, start, end)) return false
  }
  if (session.inFlight.length > 0 && mayLackName(session, segment, type, buffer, start, end)) {
    return false
  }
  cursor.goTo(buffer, start + 5, end)
  try {
    let refusal: ErrorFacts | null = null
    if (type === frontend.execute && showsToken(executedCommand(session, cursor))) {
      if (session.inFlight.some((other) => other !== segment)) return false
      const settled = settleOwn(session)
      if (settled === null) return false
      if (settled !== 'settled') refusal = settled
    }
    if (!collectFrame(session, segment, type, cursor, start, refusal)) return session.isSkipping
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    collectMalformed(segment, type, buffer, start, end)
  }
  // A long pipeline goes out as it comes in: a Flush in between changes nothing but the time.
  if (segment.size > maxCollectedBytes && session.waiting.request === null)
    return flushSegment(session)
  return true
}

/** Does what is in flight decide what the unnamed statement is? It may fail in front of its Parse. */
function mayLackUnnamed({ inFlight }: ClientSession, segment: Request): boolean {
  if (segment.unnamed.isParsed || segment.unnamed.earlier !== null) return false
  return inFlight.some((other) => other !== segment && other.unnamed.isChanged)
}

function usesUnnamed(type: number, buffer: Buffer, start: number, end: number): boolean {
  const at = nameAt(type, buffer, start, end)
  return at >= 0 && buffer[at] === 0
}

/** Where the name of the prepared statement begins that a Bind or Describe uses; -1: it uses none. */
function nameAt(type: number, buffer: Buffer, start: number, end: number): number {
  if (type === frontend.describe) return buffer[start + 5] === 0x53 ? start + 6 : -1
  if (type !== frontend.bind) return -1
  const zero = buffer.indexOf(0, start + 5)
  return zero >= 0 && zero + 1 < end ? zero + 1 : -1
}

/** Is what it uses being dropped by what is in flight? That may fail, and then it is still there. */
function mayLackName(
  { inFlight, statements }: ClientSession,
  segment: Request,
  type: number,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  if (!inFlight.some((other) => other !== segment && other.steps !== null)) return false
  const at = nameAt(type, buffer, start, end)
  if (at < 0 || buffer[at] === 0) return false
  const zero = buffer.indexOf(0, at)
  if (zero < 0 || zero >= end) return false
  const name = new Cursor(buffer, at, end).string()
  if (statements.has(name)) return false
  return inFlight.some(
    ({ steps }) =>
      steps !== segment.steps &&
      steps?.some((step) => step.name === name && step.kind !== 'prepare') === true,
  )
}

/** What of pgsplit's own the Execute at the cursor runs. */
function executedCommand(session: ClientSession, { buffer, at }: Cursor): OwnCommand | null {
  const cls = session.portals.classOf(buffer[at] === 0 ? '' : cursor.string())
  cursor.at = at
  return cls === null || cls.effects.length === 0 ? null : ownCommandOf(cls)
}

/** The server refuses it in its own words, and the client's Sync mends all (protocol-flow). */
function collectMalformed(
  segment: Request,
  type: number,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  mergeClass(segment, openSegmentClass)
  segment.guard?.noteUnread('a message that is not well-formed')
  appendToSegment(segment, buffer, start, end)
  segment.kinds.push(type)
  segment.isPlain = false
}

/** Sync: the segment is complete. */
export function finishSegment(
  session: ClientSession,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  const { collecting } = session
  if (collecting.segment === null) {
    // A server that has seen a Query inside a segment has something to end.
    if (session.inFlight.length === 0 && session.lease === null) {
      session.say(readyForQuery(session.localStatus))
      return true
    }
    collecting.begin(new Request(session, 'extended', bareSyncClass, Buffer.allocUnsafe(16)))
  }
  const segment = collecting.segment as Request
  // What must not be sent is not answered here either.
  const isRefused = segment.guard !== null && segment.guard.refusal !== null
  if (!segment.isFlushed && (!isRefused || session.block.isInTrouble)) {
    const hasLocal =
      segment.effects.length > 0 ||
      session.block.isInTrouble ||
      segment.executed[0]?.parts.length === 0
    const isOnlyInvented = segment.size === 0 && segment.kinds.length > 0
    if (hasLocal || isOnlyInvented) {
      const answered = answerLocally(session, segment.cls, segment, buffer, start, end)
      if (answered === 'later') {
        // A bare Sync is none of the session's business until its turn comes.
        if (segment.kinds.length === 0) collecting.end()
        return false
      }
      if (answered === 'done') {
        collecting.end()
        return true
      }
    }
  }
  appendToSegment(segment, buffer, start, end)
  segment.isComplete = true
  collecting.end()
  session.run(segment)
  return true
}

/** Makes a segment that was complete go on up to another Sync, on the server connection it has. */
export function reopen(session: ClientSession, segment: Request): void {
  segment.isComplete = false
  segment.isFlushed = true
  session.collecting.begin(segment)
}
