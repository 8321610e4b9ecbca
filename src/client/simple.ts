import type { StatementClass } from '../sql/statement-class.ts'
import { errorResponse, readyForQuery } from '../wire/backend-messages.ts'
import { copyBytes } from '../wire/copy-bytes.ts'
import { frontend } from '../wire/message-types.ts'
import { functionCallClass, objectCallClass } from './fixed-class.ts'
import { failSegment } from './flush-segment.ts'
import { answerLocally } from './local-answer.ts'
import {
  type NamedText,
  namesStatements,
  needsOwnNames,
  queryBytes,
  resolveNames,
} from './named-text.ts'
import { isKnown, need } from './needs.ts'
import { type OwnAnswers, ownAnswersTo } from './own-answers.ts'
import { hasOwnCommand } from './own-command.ts'
import { takeOwnNames, takeOwnNamesIn } from './own-names.ts'
import { type OwnText, ownText } from './own-text.ts'
import { Request } from './request.ts'
import { appendToSegment, mergeClass } from './segment-parts.ts'
import type { ClientSession } from './session.ts'
import { signalClass } from './signal-backend.ts'

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
  if (session.segment !== null) return endSegment(session, session.segment, cls, buffer, start, end)
  // PostgreSQL drops it, too (protocol-flow, "Extended Query").
  session.unnamed.drop()
  const isRefused = session.guard !== null && session.guard.refusalOf(cls) !== null
  // What must not be sent is neither answered nor resolved here.
  if (isRefused && !session.block.isInTrouble) {
    // `dispatch` refuses it.
  } else if (cls.effects.length > 0 || cls.parts.length === 0 || session.block.isInTrouble) {
    const answered = answerLocally(session, cls, null, buffer, start, end)
    if (answered === 'later') return false
    if (answered === 'done') return true
    if (hasOwnCommand(cls) || cls.effects[0]?.kind === 'signal') {
      const text = Buffer.from(buffer.subarray(start + 5, textEnd))
      const own = ownText(session, signalClass(session, cls, text) ?? cls, text)
      if (own === 'later') return false
      if (own !== null) return runOwn(session, own)
    }
    if (namesStatements(cls)) return runNamed(session, cls, buffer.subarray(start + 5, textEnd))
  }
  const bytes = Buffer.allocUnsafe(end - start)
  copyBytes(buffer, start, end, bytes, 0)
  const request = new Request(session, 'simple', cls, bytes)
  request.size = bytes.length
  request.isComplete = true
  request.effects = cls.effects
  request.pin = cls.pin
  request.wantsTag = cls.effects.length > 0
  session.run(request)
  return true
}

/** A text with commands that pgsplit answers itself, for which the server gets stand-ins. */
function runOwn(session: ClientSession, { cls, text, edits, original, own }: OwnText): true {
  if (namesStatements(cls)) return runNamed(session, cls, text, own)
  const names = {
    original,
    outer: cls,
    text,
    edits,
    cls,
    needs: [],
    absent: [],
    steps: [],
    takenName: null,
    hasUnknown: false,
    pointsInto: null,
    body: null,
  }
  return runText(session, names, own)
}

/** A text with names of prepared statements, which server connections know by ours. */
function runNamed(
  session: ClientSession,
  outer: StatementClass,
  text: Buffer,
  own: OwnAnswers | null = null,
): true {
  if (needsOwnNames(session, outer)) takeOwnNames(session)
  const names = resolveNames(session, outer, Buffer.from(text))
  // EXECUTE of what was prepared by a Parse may be pgsplit's to answer.
  return runText(session, names, own ?? ownAnswersTo(names.cls))
}

function runText(session: ClientSession, names: NamedText, own: OwnAnswers | null): true {
  const request = new Request(session, 'simple', names.cls, queryBytes(names.text))
  request.size = request.bytes.length
  request.isComplete = true
  request.names = names
  request.own = own
  if (names.steps.length > 0) request.steps = [...names.steps]
  request.absent = names.absent
  request.effects = names.cls.effects
  request.pin = names.cls.pin
  request.wantsTag = names.cls.effects.length > 0
  session.run(request)
  return true
}

/**
 * A Query or FunctionCall in the middle of a segment ends it: its ReadyForQuery is the segment's,
 * unless the segment fails before; then it is skipped like everything up to Sync.
 */
function endSegment(
  session: ClientSession,
  segment: Request,
  outer: StatementClass,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  if (session.waiting.request !== null) return false
  if (session.block.isInTrouble) return failSegment(session)
  if (segment.error !== null) {
    // The segment has failed at a Flush, and the server skips to Sync.
    session.collecting.skip()
    return true
  }
  const isQuery = buffer[start] === frontend.query
  const own =
    isQuery && hasOwnCommand(outer) ? ownTextIn(session, segment, outer, buffer, start, end) : null
  if (own === 'later') return false
  const isNamed = isQuery && namesStatements(outer)
  if (isNamed && needsOwnNames(session, outer) && !takeOwnNamesIn(session, segment)) {
    return session.isSkipping
  }
  const names =
    isNamed && own === null ? namesInSegment(session, segment, outer, buffer, start, end) : null
  const cls = names?.cls ?? outer
  segment.guard?.note(outer)
  mergeClass(segment, cls)
  segment.queryAt = segment.kinds.length
  segment.queryClass = cls
  segment.kinds.push(buffer[start] as number)
  const text = names?.text ?? own?.text ?? null
  if (text === null) appendToSegment(segment, buffer, start, end)
  else {
    const bytes = queryBytes(text)
    appendToSegment(segment, bytes, 0, bytes.length)
  }
  if (cls.effects.length > 0) {
    segment.addEffects(cls.effects)
    segment.wantsTag = true
  }
  segment.pin = cls.pin ?? segment.pin
  segment.isComplete = true
  session.collecting.end()
  session.run(segment)
  return true
}

/** A Query inside a segment with commands that pgsplit answers itself. */
function ownTextIn(
  session: ClientSession,
  segment: Request,
  outer: StatementClass,
  buffer: Buffer,
  start: number,
  end: number,
): OwnText | 'later' | null {
  if (namesStatements(outer)) return null
  const text = Buffer.from(buffer.subarray(start + 5, end - 1))
  const own = ownText(session, outer, text, segment.kinds.length, segment.own)
  if (own !== null && own !== 'later') segment.own = own.own
  return own
}

/** What the text of a Query inside a segment does with names of prepared statements. */
function namesInSegment(
  session: ClientSession,
  segment: Request,
  outer: StatementClass,
  buffer: Buffer,
  start: number,
  end: number,
): NamedText {
  const names = resolveNames(session, outer, Buffer.from(buffer.subarray(start + 5, end - 1)))
  segment.names = names
  segment.takenName ??= names.takenName
  for (const statement of names.needs) need(segment, statement)
  for (const statement of names.absent) {
    if (!isKnown(segment, statement)) segment.absent = [...(segment.absent ?? []), statement]
  }
  const from = segment.kinds.length
  for (const step of names.steps) {
    segment.steps ??= []
    segment.steps.push({ ...step, part: from + step.part })
  }
  return names
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

/** OIDs of the large objects' functions (pg_proc.dat), for which libpq and pgjdbc use FunctionCall. */
const objectFunctions: ReadonlySet<number> = new Set([
  715, 764, 765, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172,
])

/** FunctionCall: always the primary; it may do anything. */
export function handleFunctionCall(
  session: ClientSession,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  const { segment } = session
  const oid = end - start >= 9 ? buffer.readUInt32BE(start + 5) : 0
  const cls = objectFunctions.has(oid) ? objectCallClass : functionCallClass
  if (segment !== null) return endSegment(session, segment, cls, buffer, start, end)
  if (session.block.isInTrouble) {
    if (session.inFlight.length > 0) return false
    session.say(errorResponse(session.block.takeTrouble()))
    session.say(readyForQuery(session.localStatus))
    return true
  }
  const request = new Request(session, 'function', cls, Buffer.from(buffer.subarray(start, end)))
  request.size = request.bytes.length
  request.isComplete = true
  request.effects = cls.effects
  session.run(request)
  return true
}
