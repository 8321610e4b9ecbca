import { ProtocolError } from '../errors.ts'
import type { StatementClass, Verdict } from '../sql/statement-class.ts'
import { errorResponse, readyForQuery } from '../wire/backend-messages.ts'
import { Cursor } from '../wire/cursor.ts'
import { frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { bareSyncClass, openSegmentClass, parameterTypeClass } from './fixed-class.ts'
import { answerLocally, takeTrouble } from './local-answer.ts'
import { PreparedStatement } from './prepared-statement.ts'
import { Request, takenName } from './request.ts'
import type { ClientSession } from './session.ts'

/** Entry of `Request.kinds` for a Describe of a portal; Describe of a statement is 0x44. */
export const describePortal = 0x64
/** Entry of `Request.kinds` for a Close that only the session answers. */
export const inventedClose = 0

const strength: Record<Verdict, number> = { either: 0, replica: 1, control: 2, primary: 3, pin: 4 }
const writer = new Writer(512)
let nextUnnamed = 1

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
  if (session.segment === null) {
    session.segment = new Request(session, 'extended', bareSyncClass, Buffer.allocUnsafe(256))
  }
  const segment = session.segment
  // It waits for a server connection: more of it waits in the session, which stops reading.
  if (session.waiting === segment && segment.size > maxCollectedBytes) return false
  const cursor = new Cursor(buffer, start + 5, end)
  try {
    collectFrame(session, segment, type, cursor, start)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    collectMalformed(segment, type, buffer, start, end)
  }
  // A long pipeline goes out as it comes in: a Flush in between changes nothing but the time.
  if (segment.size > maxCollectedBytes && session.waiting === null) return flushSegment(session)
  return true
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
  appendToSegment(segment, buffer, start, end)
  segment.kinds.push(type)
  segment.isPlain = false
}

function collectFrame(
  session: ClientSession,
  segment: Request,
  type: number,
  cursor: Cursor,
  start: number,
): void {
  switch (type) {
    case frontend.parse:
      collectParse(session, segment, cursor, start)
      break
    case frontend.bind:
      collectBind(session, segment, cursor, start)
      break
    case frontend.describe:
      collectDescribe(session, segment, cursor, start)
      break
    case frontend.execute:
      collectExecute(session, segment, cursor, start)
      break
    case frontend.close:
      collectClose(session, segment, cursor, start)
      break
    default:
      throw new ProtocolError('invalid message format')
  }
}

/** Appends raw bytes to what the segment sends. */
export function appendToSegment(segment: Request, bytes: Buffer, start: number, end: number): void {
  const size = segment.size + (end - start)
  if (size > segment.bytes.length) {
    const grown = Buffer.allocUnsafe(Math.max(size, segment.bytes.length * 2))
    segment.bytes.copy(grown, 0, 0, segment.size)
    segment.bytes = grown
  }
  bytes.copy(segment.bytes, segment.size, start, end)
  segment.size = size
}

function appendWriter(segment: Request): void {
  const bytes = writer.take()
  appendToSegment(segment, bytes, 0, bytes.length)
}

/** The strongest class of the segment decides where it goes. */
export function mergeClass(segment: Request, cls: StatementClass): void {
  if (segment.kinds.length === 0 || segment.cls === bareSyncClass) segment.cls = cls
  else if (strength[cls.verdict] > strength[segment.cls.verdict]) segment.cls = cls
}

function collectParse(
  session: ClientSession,
  segment: Request,
  cursor: Cursor,
  start: number,
): void {
  const name = cursor.string()
  const bodyStart = cursor.at
  const textEnd = cursor.skipString()
  const count = cursor.uint16()
  cursor.bytes(count * 4)
  cursor.assertEnd()
  const { buffer, end } = cursor
  session.queries++
  if (name === '') {
    const cls = judge(session, buffer, bodyStart, textEnd, end)
    if (dropsOwn(session, segment, cls)) return
    const serial = nextUnnamed++
    const size = end - bodyStart
    const old = session.unnamed?.body
    const body =
      segment.earlierUnnamed === null &&
      old !== undefined &&
      old.length >= size &&
      old.length < 4096 + size * 2
        ? old
        : Buffer.allocUnsafe(Math.max(128, size))
    buffer.copy(body, 0, bodyStart, end)
    session.unnamed = { serial, body, bodyBytes: size }
    session.unnamedClass = cls
    segment.unnamedSerial = serial
    segment.unnamedParses++
    segment.unnamedUnit = segment.kinds.length
    mergeClass(segment, cls)
    appendToSegment(segment, buffer, start, end)
    segment.kinds.push(frontend.parse)
    return
  }
  if (session.statements.has(name)) {
    collectTaken(segment, name, buffer.subarray(bodyStart, end))
    return
  }
  const statement = intern(session, buffer, bodyStart, end, textEnd)
  session.statements.set(name, statement)
  mergeClass(segment, statement.cls)
  const rangeStart = segment.size
  writer.begin(frontend.parse).string(statement.serverName).bytes(statement.body).end()
  appendWriter(segment)
  segment.parses.push({
    start: rangeStart,
    end: segment.size,
    statement,
    unit: segment.kinds.length,
    name,
  })
  segment.kinds.push(frontend.parse)
}

/**
 * DEALLOCATE of a name that Parse has given: the server has the statement under ours. As a statement
 * by itself it is answered here; this is for those inside longer segments.
 */
function dropsOwn(session: ClientSession, segment: Request, cls: StatementClass): boolean {
  const [effect] = cls.effects
  if (cls.parts.length !== 1 || effect?.kind !== 'deallocate' || effect.name === null) return false
  const statement = session.statements.get(effect.name)
  if (statement === undefined) return false
  need(segment, statement)
  writer.begin(frontend.parse).byte(0).string(`DEALLOCATE ${statement.serverName}`).int16(0).end()
  const bytes = Buffer.from(writer.take())
  collectParse(session, segment, new Cursor(bytes, 5, bytes.length), 0)
  // Judged by its own words: they name what the session forgets.
  session.unnamedClass = cls
  return true
}

/**
 * A Parse under a name that the session has: the server gets it under one that it has, too, and says
 * what is wrong with it, the name or something worse.
 */
function collectTaken(segment: Request, name: string, body: Buffer): void {
  mergeClass(segment, openSegmentClass)
  segment.takenName ??= name
  writer.begin(frontend.parse).string(takenName).bytes(body).end()
  appendWriter(segment)
  segment.kinds.push(frontend.parse)
}

/**
 * The class of a Parse's text. A parameter of a type whose input may run a writing function (a
 * domain's CHECK …) takes a read to the primary, though the text shows nothing of it.
 */
function judge(
  session: ClientSession,
  buffer: Buffer,
  textStart: number,
  textEnd: number,
  end: number,
): StatementClass {
  const { classifier } = session.scope
  const cls = classifier.classify(buffer, textStart, textEnd, session.lexMode)
  if (cls.verdict !== 'replica' && cls.verdict !== 'either') return cls
  for (let at = textEnd + 3; at + 4 <= end; at += 4) {
    const oid = buffer.readUInt32BE(at)
    if (oid !== 0 && classifier.isUnsafeType(oid)) return parameterTypeClass
  }
  return cls
}

function intern(
  session: ClientSession,
  buffer: Buffer,
  bodyStart: number,
  end: number,
  textEnd: number,
): PreparedStatement {
  const { statements, classifier } = session.scope
  const key = `${session.lexMode}\0${buffer.toString('latin1', bodyStart, end)}`
  let statement = statements.find(key)
  if (statement === undefined) {
    const body = Buffer.from(buffer.subarray(bodyStart, end))
    const cls = judge(session, buffer, bodyStart, textEnd, end)
    statement = new PreparedStatement(
      key,
      body,
      textEnd - bodyStart,
      cls,
      classifier.catalogVersion,
    )
    statements.add(statement)
  }
  statement.users++
  return statement
}

/** The class of a named statement by the catalog as it is now. */
function classOf(session: ClientSession, statement: PreparedStatement): StatementClass {
  const { classifier } = session.scope
  if (statement.catalogVersion !== classifier.catalogVersion || statement.cls.learned !== null) {
    const { body, textBytes } = statement
    statement.cls = judge(session, body, 0, textBytes, body.length)
    statement.catalogVersion = classifier.catalogVersion
  }
  return statement.cls
}

/** Names the client made up that look like ours must not reach one of ours. */
function foreignName(name: string): string {
  return name.startsWith('pgsplit_') ? `?${name}` : name
}

function need(segment: Request, statement: PreparedStatement): void {
  for (const range of segment.parses) if (range.statement === statement) return
  if (!segment.needs.includes(statement)) segment.needs.push(statement)
}

function useUnnamed(session: ClientSession, segment: Request): StatementClass {
  if (segment.unnamedSerial === 0) {
    segment.earlierUnnamed = session.unnamed
    segment.lacksUnnamed = session.unnamed === null
  }
  const { unnamed } = session
  if (unnamed === null || session.unnamedClass === null) return bareSyncClass
  if (segment.unnamedSerial === 0) {
    // Judged anew: the catalog may have changed since its Parse.
    const zero = unnamed.body.indexOf(0)
    session.unnamedClass = judge(session, unnamed.body, 0, zero, unnamed.bodyBytes)
  }
  return session.unnamedClass ?? bareSyncClass
}

function collectBind(
  session: ClientSession,
  segment: Request,
  cursor: Cursor,
  start: number,
): void {
  const portal = cursor.string()
  const name = cursor.string()
  const restStart = cursor.at
  const formats = cursor.uint16()
  cursor.bytes(formats * 2)
  const values = cursor.uint16()
  const { buffer, end } = cursor
  segment.binds++
  if (segment.binds > 1 || formats > 1 || values > 0) segment.isPlain = false
  let cls: StatementClass
  if (name === '') {
    cls = useUnnamed(session, segment)
    appendToSegment(segment, buffer, start, end)
  } else {
    const statement = session.statements.get(name)
    const serverName = statement?.serverName ?? foreignName(name)
    cls = statement === undefined ? bareSyncClass : classOf(session, statement)
    if (statement !== undefined) need(segment, statement)
    writer
      .begin(frontend.bind)
      .string(portal)
      .string(serverName)
      .bytes(buffer, restStart, end)
      .end()
    appendWriter(segment)
  }
  mergeClass(segment, cls)
  if (portal === '') session.unnamedPortalClass = cls
  else session.portals.set(portal, cls)
  segment.kinds.push(frontend.bind)
}

function collectDescribe(
  session: ClientSession,
  segment: Request,
  cursor: Cursor,
  start: number,
): void {
  const kind = cursor.byte()
  const name = cursor.string()
  cursor.assertEnd()
  if (kind === 0x53) {
    if (name === '') mergeClass(segment, useUnnamed(session, segment))
    const statement = session.statements.get(name)
    if (statement !== undefined) {
      need(segment, statement)
      mergeClass(segment, classOf(session, statement))
    }
    const serverName = statement?.serverName ?? foreignName(name)
    writer.begin(frontend.describe).byte(kind).string(serverName).end()
    appendWriter(segment)
    segment.kinds.push(frontend.describe)
  } else {
    appendToSegment(segment, cursor.buffer, start, cursor.end)
    segment.kinds.push(describePortal)
  }
  segment.hasDescribe = true
}

function collectExecute(
  session: ClientSession,
  segment: Request,
  cursor: Cursor,
  start: number,
): void {
  const portal = cursor.string()
  cursor.int32()
  cursor.assertEnd()
  const cls = portal === '' ? session.unnamedPortalClass : session.portals.get(portal)
  if (cls !== null && cls !== undefined) {
    mergeClass(segment, cls)
    segment.executed.push(cls)
    if (cls.effects.length > 0) {
      segment.effects =
        segment.effects.length === 0 ? cls.effects : [...segment.effects, ...cls.effects]
      segment.wantsTag = true
    }
    segment.pin = cls.pin ?? segment.pin
  }
  appendToSegment(segment, cursor.buffer, start, cursor.end)
  segment.kinds.push(frontend.execute)
}

function collectClose(
  session: ClientSession,
  segment: Request,
  cursor: Cursor,
  start: number,
): void {
  const kind = cursor.byte()
  const name = cursor.string()
  cursor.assertEnd()
  if (kind !== 0x53 || name === '') {
    if (kind === 0x53) {
      session.unnamed = null
      session.unnamedClass = null
    } else session.portals.delete(name)
    appendToSegment(segment, cursor.buffer, start, cursor.end)
    segment.kinds.push(frontend.close)
    return
  }
  // The statement is shared: only the session's name for it goes. Unknown names succeed, too.
  const statement = session.statements.get(name)
  if (statement !== undefined) session.forgetName(name, statement)
  segment.kinds.push(inventedClose)
}

/** Sync: the segment is complete. */
export function finishSegment(
  session: ClientSession,
  buffer: Buffer,
  start: number,
  end: number,
): boolean {
  if (session.segment === null) {
    // A server that has seen a Query inside a segment has something to end.
    if (session.inFlight.length === 0 && session.lease === null) {
      session.say(readyForQuery(session.localStatus))
      return true
    }
    session.segment = new Request(session, 'extended', bareSyncClass, Buffer.allocUnsafe(16))
  }
  const segment = session.segment
  if (!segment.isFlushed) {
    const hasLocal =
      segment.effects.length > 0 ||
      session.isBroken ||
      session.pendingError !== null ||
      segment.executed[0]?.parts.length === 0
    const isOnlyInvented = segment.size === 0 && segment.kinds.length > 0
    if (hasLocal || isOnlyInvented) {
      const answered = answerLocally(session, segment.cls, segment, buffer, start, end)
      if (answered === 'later') {
        // A bare Sync is none of the session's business until its turn comes.
        if (segment.kinds.length === 0) session.segment = null
        return false
      }
      if (answered === 'done') {
        session.segment = null
        return true
      }
    }
  }
  appendToSegment(segment, buffer, start, end)
  segment.isComplete = true
  session.segment = null
  session.run(segment)
  return true
}

/** Makes a segment that was complete go on up to another Sync, on the server connection it has. */
export function reopen(session: ClientSession, segment: Request): void {
  segment.isComplete = false
  segment.isFlushed = true
  session.segment = segment
}

/** In a session that has lost its transaction: the error, and nothing more up to Sync. */
export function failSegment(session: ClientSession): boolean {
  if (session.inFlight.length > 0) return false
  session.say(errorResponse(takeTrouble(session)))
  session.isSkipping = true
  session.segment = null
  return true
}

/** Flush: what was collected is sent, and the session keeps the server connection until Sync. */
export function flushSegment(session: ClientSession): boolean {
  const segment = session.segment
  if (segment === null || session.waiting !== null) return session.waiting === null
  if (!segment.isFlushed && (session.isBroken || session.pendingError !== null)) {
    return failSegment(session)
  }
  segment.isFlushed = true
  segment.isForwarded = true
  writer.begin(frontend.flush).end()
  appendWriter(segment)
  session.run(segment)
  return true
}
