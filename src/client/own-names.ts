import { tell } from '../server/ask.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { query } from '../wire/frontend-messages.ts'
import { frontend, txStatus } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { type AnswerScript, scriptOp } from './answer-script.ts'
import { openSegmentClass } from './fixed-class.ts'
import { flushSegment } from './flush-segment.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import type { Request } from './request.ts'
import { resolveAgain } from './resolve-again.ts'
import { mergeClass } from './segment-parts.ts'
import type { ClientSession } from './session.ts'
import type { StatementNames } from './statement-names.ts'
import { ownPortal, writeClose, writePreparation } from './write-preparation.ts'

const writer = new Writer(1024)
const deallocateAll = query('DEALLOCATE ALL')

/**
 * From here on the session has a server connection of its own where its prepared statements, and no
 * others, exist under the names that the client gave them: pg_prepared_statements shows them.
 */
export function takeOwnNames(session: ClientSession): void {
  const { lease, cluster, statements } = session
  if (statements.isOwn) return
  // What may not leave the replica where its transaction is gets its refusal there.
  const isOnReplica = lease !== null && cluster.isReplica(lease.nodeIndex)
  if (isOnReplica && (session.pinReason !== null || !mayLeave(session, lease))) return
  statements.own()
  session.pins.add('own names')
  session.notePin()
}

/**
 * The same for the message that comes next in a segment. What came before it must be done under our
 * names, and on the primary; false: not yet, or it will never be.
 */
export function takeOwnNamesIn(session: ClientSession, segment: Request): boolean {
  const { statements } = session
  if (statements.isOwn) return true
  if (session.inFlight.some((other) => other !== segment)) return false
  if (segment.kinds.length === 0) {
    takeOwnNames(session)
    return true
  }
  if (!isDoneOnPrimary(session, segment)) {
    // It goes on there, whatever it was so far.
    mergeClass(segment, openSegmentClass)
    if (session.waiting.request === null && !segment.isMoving) flushSegment(session)
    if (session.segment !== segment) return false
    if (!isDoneOnPrimary(session, segment)) {
      if (!staysOnReplica(session, segment)) return false
      // Our names are not for the client to see.
      if (session.transaction !== null) mergeClass(segment, openSegmentClass, true)
      return true
    }
  }
  if (segment.error !== null || segment.refusal !== null) return true
  takeOwnNames(session)
  segment.bringsNames = statements.isOwn
  if (!statements.isOwn) return true
  if (session.unnamed.names !== null) {
    resolveAgain(session, session.unnamed.names)
    const { statement } = session.unnamed
    const isThere = statement !== null && segment.connection?.hasUnnamed(statement.serial) === true
    segment.bringsUnnamed = isThere ? null : statement
  }
  return true
}

/** A READ ONLY transaction that has only read goes on at the primary; see `mayMove`. */
function mayLeave({ transaction, inFlight }: ClientSession, lease: ServerConnection): boolean {
  const hasOnlyRead = transaction !== null && transaction.begin !== null && transaction.hasOnlyRead
  return hasOnlyRead && inFlight.length === 0 && lease.status !== txStatus.failed
}

/** All of it that was sent is answered, and it could not be moved: it is refused, or fails, there. */
function staysOnReplica({ cluster, waiting }: ClientSession, segment: Request): boolean {
  const { connection, isMoving, kinds, sentKinds } = segment
  if (connection === null || waiting.request !== null || isMoving) return false
  const isDone = sentKinds === kinds.length && segment.isAnswered
  return isDone && cluster.isReplica(connection.nodeIndex)
}

function isDoneOnPrimary({ cluster, waiting }: ClientSession, segment: Request): boolean {
  const { connection, isMoving, kinds, sentKinds } = segment
  if (segment.error !== null || segment.refusal !== null) return true
  if (connection === null || waiting.request !== null || isMoving) return false
  if (cluster.isReplica(connection.nodeIndex)) return false
  return sentKinds === kinds.length && segment.isAnswered
}

/** Brings them to the connection; in a failed transaction that must wait. */
export function bringOwnNames(
  { statements }: ClientSession,
  connection: ServerConnection,
  request: Request,
): void {
  if (statements.ownConnection === connection || connection.status === txStatus.failed) return
  if (connection.status !== txStatus.idle && request.kind === 'extended') {
    // A Query would end the unnamed portal of its transaction.
    request.bringsNames = true
    return
  }
  statements.ownConnection = connection
  connection.prepared.clear()
  tell(connection, deallocateAll)
  for (const [name, { body, spots }] of namesInFront(statements, request)) {
    if (spots === null) {
      writer.begin(frontend.parse).string(name).bytes(body).end()
      writer.begin(frontend.sync).end()
    } else writer.begin(frontend.query).bytes(body).byte(0).end()
    tell(connection, writer.take())
    connection.prepared.set(name, true)
  }
}

/**
 * The same among the messages of a segment, part of which the connection may have: what is brought
 * has its place there, and the server may skip it.
 */
export function bringInSegment(
  { statements }: ClientSession,
  connection: ServerConnection,
  request: Request,
  script: AnswerScript,
): void {
  request.bringsNames = false
  request.hasBroughtNames = true
  statements.ownConnection = connection
  const brought = namesInFront(statements, request)
  // One that failed has left it.
  writeClose(writer, 0x53, ownPortal)
  script.push(scriptOp.swallow, null)
  // Whether one of them is there may not be known.
  for (const name of new Set([...connection.prepared.keys(), ...brought.map(([name]) => name)])) {
    connection.prepared.delete(name)
    writeClose(writer, 0x53, name)
    script.pushName(name, false)
  }
  for (const [name, statement] of brought) {
    for (let left = writePreparation(writer, statement); left > 0; left--) {
      script.push(scriptOp.swallow, statement)
    }
    connection.prepared.set(name, true)
  }
  const unnamed = request.bringsUnnamed
  request.bringsUnnamed = null
  if (unnamed !== null) {
    writer.begin(frontend.parse).byte(0).bytes(unnamed.body, 0, unnamed.bodyBytes).end()
    connection.noteUnnamed(unnamed.serial)
    script.pushUnnamed()
  }
  if (writer.length > 0) connection.send(writer.take())
}

/** The session's statements as they are in front of what the request has not sent. */
function namesInFront(
  statements: StatementNames,
  { parses, sentKinds, steps }: Request,
): [string, PreparedStatement][] {
  const unsent = (steps ?? []).filter(({ part }) => part >= sentKinds)
  const isMade = (statement: PreparedStatement): boolean =>
    parses.some((range) => range.statement === statement && range.unit >= sentKinds) ||
    unsent.some((step) => step.kind === 'prepare' && step.statement === statement)
  const found = [...statements].filter(([, statement]) => !isMade(statement))
  for (const { kind, name, statement } of unsent) {
    if (kind === 'drop' && statement !== null && !isMade(statement)) found.push([name, statement])
  }
  return found
}

/** The request has failed: names that it was to give or drop may be there or not. */
export function doubtOwnNames({ statements }: ClientSession, request: Request): void {
  const { hasBroughtNames, kind, parses, steps } = request
  if (hasBroughtNames || (kind === 'extended' && (steps !== null || parses.length > 0))) {
    statements.ownConnection = null
  }
}

/** The last of the names is gone: nothing tells the connection from others any more. */
export function leaveOwnNames(session: ClientSession): void {
  const { statements } = session
  if (statements.size > 0) return
  // What is on its way, or being collected, was given its names, or may bring them back.
  if (session.segment !== null || session.inFlight.length > 0 || session.waiting.request !== null)
    return
  statements.ownConnection?.prepared.clear()
  statements.share()
  session.pins.drop('own names')
}

/** Most prepared statements on a connection of the session; its own names must stay. */
export function statementLimit({ statements, cluster }: ClientSession): number {
  return statements.isOwn ? Number.POSITIVE_INFINITY : cluster.limits.preparedStatements
}
