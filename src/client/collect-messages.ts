import { type ErrorFacts, PgSplitError, ProtocolError } from '../errors.ts'
import type { Effect, StatementClass } from '../sql/statement-class.ts'
import { copyBytes } from '../wire/copy-bytes.ts'
import { Cursor } from '../wire/cursor.ts'
import { frontend, txStatus } from '../wire/message-types.ts'
import { boundClass } from './bound-settings.ts'
import { absentStatementClass, bareSyncClass, openSegmentClass } from './fixed-class.ts'
import { classOf, foreignName, intern, internOwn, judge } from './judge-parse.ts'
import { isUnproved } from './leaves-unknown.ts'
import { stepInSegment, undoNames } from './name-steps.ts'
import { type NamedText, namesStatements, needsOwnNames, resolveNames } from './named-text.ts'
import { need } from './needs.ts'
import { OwnAnswers, refusalOfOwn } from './own-answers.ts'
import { type OwnCommand, ownCommandOf, refusedName } from './own-command.ts'
import { takeOwnNames } from './own-names.ts'
import { boundOwn, ownClass, standInBody } from './own-parse.ts'
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

/**
 * Takes one well-formed message into the segment; `refusal`: what an Execute must fail with. Throws ProtocolError for one that is not, and
 * PgSplitError 54000 for one too many.
 */
export function collectFrame(
  session: ClientSession,
  segment: Request,
  type: number,
  cursor: Cursor,
  start: number,
  refusal: ErrorFacts | null = null,
): void {
  const { maxSegmentMessages } = session.cluster.limits
  if (segment.kinds.length >= maxSegmentMessages) {
    throw new PgSplitError({
      sqlstate: '54000',
      message: `more than ${maxSegmentMessages} messages without a Sync`,
      hint: 'Send a Sync now and then: something must be kept of each message until there is one.',
      severity: 'FATAL',
    })
  }
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
      collectExecute(session, segment, cursor, start, refusal)
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
  noteName(segment, name)
  const count = cursor.uint16()
  cursor.skip(count * 4)
  cursor.assertEnd()
  const { buffer, end } = cursor
  session.queries++
  if (name === '') {
    const cls = judge(session, buffer, bodyStart, textEnd, end)
    const own = cls.effects.length > 0 ? ownClass(session, cls, buffer, bodyStart, textEnd) : null
    if (own !== null) {
      collectOwn(session, segment, own, standInBody(session, own, buffer, bodyStart, textEnd, end))
      return
    }
    if (cls.effects.length > 0 && namesStatements(cls)) {
      if (needsOwnNames(session, cls)) takeOwnNames(session)
      const names = resolveNames(session, cls, Buffer.from(buffer.subarray(bodyStart, textEnd)))
      collectUnnamed(session, segment, names, renamedParse(names, buffer, textEnd, end))
      return
    }
    keepUnnamed(session, segment, buffer, bodyStart, end, cls)
    mergeClass(segment, cls)
    appendToSegment(segment, buffer, start, end)
    segment.kinds.push(frontend.parse)
    return
  }
  // A statement with a name may run when other statements have the names that it tells.
  const outer = session.scope.classifier.classify(buffer, bodyStart, textEnd, session.lexMode)
  if (outer.effects.length > 0 && namesStatements(outer)) takeOwnNames(session)
  const own = outer.effects.length > 0 ? ownClass(session, outer, buffer, bodyStart, textEnd) : null
  const standIn = own === null ? null : standInBody(session, own, buffer, bodyStart, textEnd, end)
  if (session.statements.has(name)) {
    collectTaken(session, segment, name, standIn ?? buffer.subarray(bodyStart, end))
    return
  }
  if (isInFailedBlock(session, segment)) {
    const { effects, parts } = judge(session, buffer, bodyStart, textEnd, end)
    // An empty text is no statement to be refused.
    if (parts.length > 0 && !effects.some(({ kind }) => blockEnds.has(kind))) {
      writer.begin(frontend.parse).string(takenName).bytes(buffer, bodyStart, end).end()
      appendWriter(segment)
      segment.kinds.push(frontend.parse)
      return
    }
  }
  const shared =
    own === null || standIn === null
      ? intern(session, buffer, bodyStart, end, textEnd)
      : internOwn(session, buffer, bodyStart, end, own, standIn)
  const statement = session.statements.set(name, shared)
  mergeClass(segment, statement.cls)
  const rangeStart = segment.size
  writer.begin(frontend.parse).string(statement.serverName).bytes(statement.body).end()
  appendWriter(segment)
  segment.addParse({
    start: rangeStart,
    end: segment.size,
    statement,
    unit: segment.kinds.length,
    name,
  })
  segment.kinds.push(frontend.parse)
}

/** Messages of one statement only may be answered here. */
function noteName(segment: Request, name: string): void {
  segment.usedName ??= name
  if (segment.usedName !== name) segment.isPlain = false
}

/** Remembers the Parse body `buffer[bodyStart, end)` as the session's unnamed statement. */
function keepUnnamed(
  session: ClientSession,
  segment: Request,
  buffer: Buffer,
  bodyStart: number,
  end: number,
  cls: StatementClass,
  names: NamedText | null = null,
  own: StatementClass | null = null,
): void {
  const serial = nextUnnamed++
  const size = end - bodyStart
  // What it replaces comes back if the segment fails in front of it; the one before that does not.
  const isFree = segment.unnamedChanges === 0 && session.inFlight.length === 0
  const spare = isFree ? session.spareBody : null
  changeUnnamed(session, segment)
  session.spareBody = session.unnamed?.body ?? null
  const body =
    spare !== null && spare.length >= size && spare.length < 4096 + size * 2
      ? spare
      : Buffer.allocUnsafe(Math.max(128, size))
  copyBytes(buffer, bodyStart, end, body, 0)
  session.unnamed = { serial, body, bodyBytes: size, own }
  segment.lastUnnamed = session.unnamed
  session.unnamedClass = cls
  session.unnamedNames = names
  segment.unnamedSerial = serial
  segment.unnamedUnit = segment.kinds.length
}

/** The next message of the segment replaces or closes the unnamed statement. */
function changeUnnamed(session: ClientSession, segment: Request): void {
  segment.unnamedChanges++
  segment.noteUnnamed(session.unnamed, session.unnamedClass, session.unnamedNames)
}

/** The Parse message of a text whose names were replaced. */
function renamedParse({ text }: NamedText, buffer: Buffer, textEnd: number, end: number): Buffer {
  writer.begin(frontend.parse).byte(0).bytes(text).bytes(buffer, textEnd, end).end()
  return writer.take()
}

/**
 * A Parse of SQL PREPARE, EXECUTE or DEALLOCATE. What it does to the session's names it does when
 * it is executed.
 */
function collectUnnamed(
  session: ClientSession,
  segment: Request,
  names: NamedText,
  message: Buffer,
): void {
  undoNames(session, names)
  keepUnnamed(session, segment, message, 6, message.length, names.cls, names)
  segment.takenName ??= names.takenName
  segment.names = names
  for (const statement of names.needs) need(segment, statement)
  mergeClass(segment, names.cls)
  appendToSegment(segment, message, 0, message.length)
  segment.kinds.push(frontend.parse)
}

/** A Parse of what pgsplit answers itself: the server gets `body` in its place. */
function collectOwn(
  session: ClientSession,
  segment: Request,
  own: StatementClass,
  body: Buffer,
): void {
  writer.begin(frontend.parse).byte(0).bytes(body).end()
  const message = writer.take()
  keepUnnamed(session, segment, message, 6, message.length, own, null, own)
  mergeClass(segment, own)
  appendToSegment(segment, message, 0, message.length)
  segment.kinds.push(frontend.parse)
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
function collectTaken(session: ClientSession, segment: Request, name: string, body: Buffer): void {
  mergeClass(segment, openSegmentClass)
  segment.isPlain = false
  const { isOwn } = session.statements
  if (!isOwn) segment.takenName ??= name
  writer
    .begin(frontend.parse)
    .string(isOwn ? name : takenName)
    .bytes(body)
    .end()
  appendWriter(segment)
  segment.kinds.push(frontend.parse)
}

function useUnnamed(session: ClientSession, segment: Request): StatementClass {
  if (segment.unnamedChanges === 0) {
    if (segment.earlierUnnamed === null && session.unnamedNames !== null) {
      resolveAgain(session, session.unnamedNames)
    }
    if (segment.earlierUnnamed === null) {
      segment.earlierUnnamedUnit = segment.kinds.length
      segment.earlierUnnamedStart = segment.size
    }
    segment.earlierUnnamed = session.unnamed
    segment.lacksUnnamed = session.unnamed === null
  }
  const { unnamed, unnamedNames: names } = session
  if (unnamed === null || session.unnamedClass === null) return bareSyncClass
  if (names !== null) {
    for (const statement of names.needs) need(segment, statement)
    segment.names = names
  } else if (unnamed.own === null && segment.unnamedSerial === 0) {
    // Judged anew: the catalog may have changed since its Parse.
    const zero = unnamed.body.indexOf(0)
    session.unnamedClass = judge(session, unnamed.body, 0, zero, unnamed.bodyBytes)
  }
  return session.unnamedClass ?? bareSyncClass
}

/** The unnamed statement of an earlier segment: what it names may be another statement by now. */
function resolveAgain(session: ClientSession, before: NamedText): void {
  const names = resolveNames(session, before.outer, before.original)
  undoNames(session, names)
  const { unnamed } = session
  if (unnamed === null || session.localStatus === txStatus.failed) {
    session.unnamedNames = { ...before, needs: [] }
    return
  }
  session.unnamedNames = names
  session.unnamedClass = names.cls
  if (names.text.equals(before.text)) return
  const rest = unnamed.body.subarray(unnamed.body.indexOf(0), unnamed.bodyBytes)
  const body = Buffer.concat([names.text, rest])
  session.unnamed = { serial: nextUnnamed++, body, bodyBytes: body.length, own: null }
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
  cursor.skip(formats * 2)
  const values = cursor.uint16()
  const { buffer, end } = cursor
  segment.binds++
  noteName(segment, name)
  if (portal !== '' || formats > 1 || values > 0) segment.isPlain = false
  let cls: StatementClass
  let statement: PreparedStatement | undefined
  if (name === '') cls = useUnnamed(session, segment)
  else {
    statement = session.statements.get(name)
    cls = statement === undefined ? absentClass(session) : classOf(session, statement)
    if (cls.effects.length > 0 && needsOwnNames(session, cls)) {
      takeOwnNames(session)
      statement = session.statements.get(name)
    }
  }
  let own: Buffer | null = null
  if (cls.effects.length > 0) {
    const parse = name === '' ? session.unnamed?.body : statement?.body
    if (parse !== undefined) {
      cls = boundClass(cls, parse, cursor, values)
      const bound = boundOwn(session, segment, cls, parse, new Cursor(buffer, restStart, end))
      if (bound !== null) {
        cls = bound.cls
        own = bound.rest
      }
    }
    // Planning runs what is declared IMMUTABLE, whether an Execute follows or not.
    const unproved = cls.effects.filter(isUnproved)
    if (unproved.length > 0) segment.addEffects(unproved)
  }
  if (name === '' && own === null) appendToSegment(segment, buffer, start, end)
  else {
    const serverName = name === '' ? '' : (statement?.serverName ?? foreignName(session, name))
    if (statement !== undefined) need(segment, statement)
    writer.begin(frontend.bind).string(portal).string(serverName)
    if (own === null) writer.bytes(buffer, restStart, end)
    else writer.bytes(own)
    writer.end()
    appendWriter(segment)
  }
  mergeClass(segment, cls)
  if (portal === '') {
    session.unnamedPortalClass = cls
    session.unnamedPortalNames = name === '' ? session.unnamedNames : null
  } else {
    session.portals.set(portal, cls)
    if (name === '' && session.unnamedNames !== null) {
      session.portalNames ??= new Map()
      session.portalNames.set(portal, session.unnamedNames)
    } else session.portalNames?.delete(portal)
  }
  segment.kinds.push(frontend.bind)
}

/** The server may have it all the same, from a PREPARE that a function ran. */
function absentClass({ pinReason }: ClientSession): StatementClass {
  return pinReason === null ? bareSyncClass : absentStatementClass
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
    noteName(segment, name)
    if (name === '') mergeClass(segment, useUnnamed(session, segment))
    const statement = session.statements.get(name)
    if (statement !== undefined) {
      need(segment, statement)
      mergeClass(segment, classOf(session, statement))
    }
    noteOwn(segment, name === '' ? session.unnamedClass : (statement?.cls ?? null))
    const serverName = statement?.serverName ?? foreignName(session, name)
    writer.begin(frontend.describe).byte(kind).string(serverName).end()
    appendWriter(segment)
    segment.kinds.push(frontend.describe)
  } else {
    if (name !== '') segment.isPlain = false
    noteOwn(segment, portalClass(session, name))
    appendToSegment(segment, cursor.buffer, start, cursor.end)
    segment.kinds.push(describePortal)
  }
}

/** What the portal runs; null: not known. */
export function portalClass(session: ClientSession, portal: string): StatementClass | null {
  return portal === '' ? session.unnamedPortalClass : (session.portals.get(portal) ?? null)
}

/** The message that comes next is answered in pgsplit's words, if this is a class of its own. */
function noteOwn(segment: Request, cls: StatementClass | null): OwnCommand | null {
  const command = cls === null || cls.effects.length === 0 ? null : ownCommandOf(cls)
  if (command === null) return null
  segment.own ??= new OwnAnswers()
  segment.own.add(segment.kinds.length, command)
  return command
}

function collectExecute(
  session: ClientSession,
  segment: Request,
  cursor: Cursor,
  start: number,
  refusal: ErrorFacts | null,
): void {
  const portal = cursor.string()
  const limit = cursor.int32()
  cursor.assertEnd()
  const cls = portalClass(session, portal)
  const command = noteOwn(segment, cls)
  if (portal !== '' || (command !== null && limit !== 0)) segment.isPlain = false
  const error =
    command === null ? null : (refusal ?? refusalOfOwn(session, command, segment.executed))
  if (cls !== null) {
    mergeClass(segment, cls)
    segment.executed.push(cls)
    if (cls.effects.length > 0) {
      segment.addEffects(cls.effects)
      segment.wantsTag = true
    }
    segment.pin = cls.pin ?? segment.pin
  }
  const names = portal === '' ? session.unnamedPortalNames : session.portalNames?.get(portal)
  if (names !== null && names !== undefined) stepInSegment(session, segment, names)
  if (error !== null) segment.own?.refuse(segment.kinds.length, error)
  if (error === null || command?.kind === 'set') {
    appendToSegment(segment, cursor.buffer, start, cursor.end)
  } else {
    // There is no such portal: the server's part of the refusal.
    writer.begin(frontend.execute).string(refusedName).int32(0).end()
    appendWriter(segment)
  }
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
      changeUnnamed(session, segment)
      segment.lastUnnamed = null
      session.unnamed = null
      session.unnamedClass = null
      session.unnamedNames = null
    } else session.portals.delete(name)
    appendToSegment(segment, cursor.buffer, start, cursor.end)
    segment.kinds.push(frontend.close)
    return
  }
  const { statements } = session
  const statement = statements.get(name)
  if (statement !== undefined) statements.forget(name, statement)
  if (statements.isOwn) {
    statements.ownConnection?.prepared.delete(name)
    appendToSegment(segment, cursor.buffer, start, cursor.end)
    segment.kinds.push(frontend.close)
    return
  }
  // The statement is shared: only the session's name for it goes. Unknown names succeed, too.
  if (statement !== undefined) {
    segment.steps ??= []
    segment.steps.push({ part: segment.kinds.length, kind: 'close', name, statement })
  }
  segment.kinds.push(inventedClose)
}
