import { type ErrorFacts, PgSplitError, ProtocolError } from '../errors.ts'
import type { Effect, StatementClass } from '../sql/statement-class.ts'
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
import { takeOwnNamesIn } from './own-names.ts'
import { boundOwn, ownClass, standInBody } from './own-parse.ts'
import { type PreparedStatement, takenName } from './prepared-statement.ts'
import type { Request } from './request.ts'
import { isOutdated, resolveAgain } from './resolve-again.ts'
import {
  appendToSegment,
  appendWriter,
  describePortal,
  inventedClose,
  mergeClass,
  writer,
} from './segment-parts.ts'
import type { ClientSession } from './session.ts'

/**
 * Takes one well-formed message into the segment, or says false: not now. `refusal`: what an Execute
 * must fail with. Throws ProtocolError for one that is not well-formed, and PgSplitError 54000 for
 * one too many.
 */
export function collectFrame(
  session: ClientSession,
  segment: Request,
  type: number,
  cursor: Cursor,
  start: number,
  refusal: ErrorFacts | null = null,
): boolean {
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
      return collectParse(session, segment, cursor, start)
    case frontend.bind:
      return collectBind(session, segment, cursor, start)
    case frontend.describe:
      return collectDescribe(session, segment, cursor, start)
    case frontend.execute:
      collectExecute(session, segment, cursor, start, refusal)
      return true
    case frontend.close:
      collectClose(session, segment, cursor, start)
      return true
    default:
      throw new ProtocolError('invalid message format')
  }
}

function collectParse(
  session: ClientSession,
  segment: Request,
  cursor: Cursor,
  start: number,
): boolean {
  const name = cursor.string()
  const bodyStart = cursor.at
  const textEnd = cursor.skipString()
  const count = cursor.uint16()
  cursor.skip(count * 4)
  cursor.assertEnd()
  const { buffer, end } = cursor
  if (name === '') {
    const cls = judge(session, buffer, bodyStart, textEnd, end)
    const isNaming = cls.effects.length > 0 && namesStatements(cls)
    if (isNaming && needsOwnNames(session, cls) && !takeOwnNamesIn(session, segment)) return false
    session.queries++
    segment.guard?.note(cls)
    noteName(segment, name)
    const own = cls.effects.length > 0 ? ownClass(session, cls, buffer, bodyStart, textEnd) : null
    if (own !== null) {
      collectOwn(session, segment, own, standInBody(session, own, buffer, bodyStart, textEnd, end))
      return true
    }
    if (isNaming) {
      const names = resolveNames(session, cls, Buffer.from(buffer.subarray(bodyStart, textEnd)))
      collectUnnamed(session, segment, names, renamedParse(names, buffer, textEnd, end))
      return true
    }
    keepUnnamed(session, segment, buffer, bodyStart, end, cls)
    mergeClass(segment, cls)
    appendToSegment(segment, buffer, start, end)
    segment.kinds.push(frontend.parse)
    return true
  }
  // A statement with a name may run when other statements have the names that it tells.
  const outer = session.scope.classifier.classify(buffer, bodyStart, textEnd, session.lexMode)
  const isNaming = outer.effects.length > 0 && namesStatements(outer)
  if (isNaming && !takeOwnNamesIn(session, segment)) return false
  session.queries++
  segment.guard?.note(outer)
  noteName(segment, name)
  const own = outer.effects.length > 0 ? ownClass(session, outer, buffer, bodyStart, textEnd) : null
  const standIn = own === null ? null : standInBody(session, own, buffer, bodyStart, textEnd, end)
  if (session.statements.has(name)) {
    collectTaken(session, segment, name, standIn ?? buffer.subarray(bodyStart, end))
    return true
  }
  if (isInFailedBlock(session, segment)) {
    const { effects, parts } = judge(session, buffer, bodyStart, textEnd, end)
    // An empty text is no statement to be refused.
    if (parts.length > 0 && !effects.some(({ kind }) => blockEnds.has(kind))) {
      writer.begin(frontend.parse).string(takenName).bytes(buffer, bodyStart, end).end()
      appendWriter(segment)
      segment.kinds.push(frontend.parse)
      return true
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
  return true
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
  // What it replaces comes back if the segment fails in front of it; the one before that does not.
  const mayReuse = !segment.unnamed.isChanged && session.inFlight.length === 0
  changeUnnamed(session, segment)
  const statement = session.unnamed.parse(buffer, bodyStart, end, mayReuse, cls, names, own)
  segment.unnamed.noteParse(segment.kinds.length, statement)
}

/** The next message of the segment replaces or closes the unnamed statement. */
function changeUnnamed({ unnamed }: ClientSession, segment: Request): void {
  const { statement, cls, names } = unnamed
  segment.unnamed.noteChange(segment.kinds.length, statement, cls, names)
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

/**
 * Its class; null: not now. A text that names others was judged by what they were at its Parse: what
 * the same segment has made of them since the server knows if it has the names.
 */
function useUnnamed(session: ClientSession, segment: Request): StatementClass | null {
  const { unnamed } = session
  const parsed = segment.unnamed.isChanged ? unnamed.names : null
  if (!session.statements.isOwn && parsed !== null && isOutdated(session, parsed)) {
    if (!takeOwnNamesIn(session, segment)) return null
  }
  const isFirstUse = !segment.unnamed.isChanged && segment.unnamed.earlier === null
  if (isFirstUse && unnamed.names !== null) resolveAgain(session, unnamed.names)
  // What it names was not there at its Parse, and tells nothing of what it gives.
  const isAhead = isFirstUse && unnamed.names?.hasUnknown === true && isUnsent(session, segment)
  if (isAhead) segment.unnamed.use(unnamed.statement, 0, 0)
  else segment.unnamed.use(unnamed.statement, segment.kinds.length, segment.size)
  const { statement, names } = unnamed
  if (statement === null || unnamed.cls === null) return bareSyncClass
  if (names !== null) {
    for (const needed of names.needs) need(segment, needed)
    segment.names = names
  } else if (statement.own === null && !segment.unnamed.isParsed) {
    // Judged anew: the catalog may have changed since its Parse.
    const zero = statement.body.indexOf(0)
    unnamed.judge(judge(session, statement.body, 0, zero, statement.bodyBytes))
  }
  return unnamed.cls ?? bareSyncClass
}

function isUnsent({ localStatus }: ClientSession, { sentKinds }: Request): boolean {
  return sentKinds === 0 && localStatus !== txStatus.failed
}

function collectBind(
  session: ClientSession,
  segment: Request,
  cursor: Cursor,
  start: number,
): boolean {
  const portal = cursor.string()
  const name = cursor.string()
  const restStart = cursor.at
  const formats = cursor.uint16()
  cursor.skip(formats * 2)
  const values = cursor.uint16()
  const { buffer, end } = cursor
  let cls: StatementClass
  let statement: PreparedStatement | undefined
  let names: NamedText | null = null
  if (name === '') {
    const found = useUnnamed(session, segment)
    if (found === null) return false
    cls = found
  } else {
    statement = session.statements.get(name)
    cls = statement === undefined ? absentClass(session) : classOf(session, statement)
    if (cls.effects.length > 0 && needsOwnNames(session, cls)) {
      if (!takeOwnNamesIn(session, segment)) return false
      statement = session.statements.get(name)
    }
    if (statement !== undefined && cls.effects.length > 0 && namesStatements(cls)) {
      names = namesOf(session, cls, statement)
      cls = names.cls
      for (const named of names.needs) need(segment, named)
    }
  }
  segment.binds++
  noteName(segment, name)
  if (portal !== '' || formats > 1 || values > 0) segment.isPlain = false
  let own: Buffer | null = null
  if (cls.effects.length > 0) {
    const parse = name === '' ? session.unnamed.statement?.body : statement?.body
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
  if (name === '') names = session.unnamed.names
  session.portals.bind(portal, cls, names)
  segment.kinds.push(frontend.bind)
  return true
}

/** What a statement with a name, which tells those of others, does to them when it is run. */
function namesOf(
  session: ClientSession,
  cls: StatementClass,
  { body, textBytes }: PreparedStatement,
): NamedText {
  const names = resolveNames(session, cls, body.subarray(0, textBytes))
  undoNames(session, names)
  return names
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
): boolean {
  const kind = cursor.byte()
  const name = cursor.string()
  cursor.assertEnd()
  if (kind === 0x53) {
    if (name === '') {
      const cls = useUnnamed(session, segment)
      if (cls === null) return false
      mergeClass(segment, cls)
    }
    noteName(segment, name)
    const statement = session.statements.get(name)
    if (statement !== undefined) {
      need(segment, statement)
      mergeClass(segment, classOf(session, statement))
    }
    noteOwn(segment, name === '' ? session.unnamed.cls : (statement?.cls ?? null))
    const serverName = statement?.serverName ?? foreignName(session, name)
    writer.begin(frontend.describe).byte(kind).string(serverName).end()
    appendWriter(segment)
    segment.kinds.push(frontend.describe)
  } else {
    if (name !== '') segment.isPlain = false
    noteOwn(segment, session.portals.classOf(name))
    appendToSegment(segment, cursor.buffer, start, cursor.end)
    segment.kinds.push(describePortal)
  }
  return true
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
  const cls = session.portals.classOf(portal)
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
  const names = session.portals.namesOf(portal)
  if (names !== null) stepInSegment(session, segment, names)
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
      segment.unnamed.noteClose()
      session.unnamed.drop()
    } else session.portals.close(name)
    appendToSegment(segment, cursor.buffer, start, cursor.end)
    segment.kinds.push(frontend.close)
    return
  }
  const { statements } = session
  const statement = statements.get(name)
  if (statement !== undefined) statements.forget(name, statement)
  if (statements.isOwn) {
    if (statement !== undefined) {
      segment.steps ??= []
      segment.steps.push({ part: segment.kinds.length, kind: 'drop', name, statement })
    }
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
