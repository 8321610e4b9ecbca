import { ProtocolError } from '../errors.ts'
import type { Effect, StatementClass } from '../sql/statement-class.ts'
import { Cursor } from '../wire/cursor.ts'
import { frontend, txStatus } from '../wire/message-types.ts'
import { boundClass } from './bound-settings.ts'
import { bareSyncClass, openSegmentClass } from './fixed-class.ts'
import { classOf, foreignName, intern, judge } from './judge-parse.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import { type Request, takenName } from './request.ts'
import {
  appendToSegment,
  appendWriter,
  describePortal,
  inventedClose,
  mergeClass,
  writer,
} from './segment-parts.ts'
import type { ClientSession } from './session.ts'

let nextUnnamed = 1

/** Takes one well-formed message into the segment. Throws ProtocolError for one that is not. */
export function collectFrame(
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
  if (isInFailedBlock(session, segment)) {
    const { effects } = judge(session, buffer, bodyStart, textEnd, end)
    if (!effects.some(({ kind }) => blockEnds.has(kind))) {
      writer.begin(frontend.parse).string(takenName).bytes(buffer, bodyStart, end).end()
      appendWriter(segment)
      segment.kinds.push(frontend.parse)
      return
    }
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

const blockEnds: ReadonlySet<Effect['kind']> = new Set([
  'commit',
  'rollback',
  'rollback-to',
  'prepare-transaction',
])

/** What is prepared now is refused (25P02), and by the server, whatever it has prepared already. */
function isInFailedBlock(session: ClientSession, segment: Request): boolean {
  if (session.localStatus !== txStatus.failed || session.isBroken) return false
  return session.inFlight.length === 0 && segment.executed.length === 0
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
  if (cls.effects.length > 0) {
    const parse = name === '' ? session.unnamed?.body : session.statements.get(name)?.body
    if (parse !== undefined) cls = boundClass(cls, parse, cursor, values)
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
  if (statement !== undefined) session.statements.forget(name, statement)
  segment.kinds.push(inventedClose)
}
