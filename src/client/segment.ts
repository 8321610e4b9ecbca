import type { ServerConnection } from '../server/server-connection.ts'
import { close } from '../wire/frontend-messages.ts'
import { frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { AnswerScript, scriptOp } from './answer-script.ts'
import { expectSteps } from './name-steps.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import { type Request, takenName } from './request.ts'
import { writePreparation } from './write-preparation.ts'

const writer = new Writer(1024)

/** `ServerConnection.unnamed` while it surely has no unnamed statement. */
const noUnnamed = -1

/** The unnamed statement of a session: its Parse body and what tells one from the next. */
export interface UnnamedStatement {
  readonly serial: number
  readonly body: Buffer
  readonly bodyBytes: number
}

/**
 * Sends what a segment holds and has not been sent. Statements that the server connection lacks are
 * prepared in front, Parse messages of those it has are left out, and the request's script says how
 * the answers are put right. In the common case the bytes go out as they are.
 *
 * `limit`: most named statements on one server connection; the least recently used are closed.
 *
 * False: nothing was sent; what a statement gives may not be what the client was told of it.
 */
export function sendSegment(
  request: Request,
  connection: ServerConnection,
  limit: number,
  catalogVersion: number,
): boolean {
  const from = request.sentBytes
  const isFirst = request.sentKinds === 0 && from === 0
  const unnamed = request.earlierUnnamed
  const missing = missingStatements(request, connection)
  const isDoubtful = missing?.some((statement) => mayBeStale(statement, catalogVersion)) === true
  if (isDoubtful && !request.isShapeChecked) return false
  if (isFirst) connection.expect(request)
  const mustInject =
    unnamed !== null && !request.hasEarlierUnnamed && connection.unnamed !== unnamed.serial
  const mustClear = request.lacksUnnamed && connection.unnamed !== noUnnamed
  const hasEdits =
    missing !== null ||
    mustInject ||
    mustClear ||
    request.takenName !== null ||
    request.queryAt >= 0 ||
    request.names !== null ||
    request.parses.length > request.sentParses ||
    request.kinds.includes(0, request.sentKinds)
  if (!hasEdits && request.script === null && !request.isFlushed) {
    connection.send(request.bytes, from, request.size)
  } else {
    const script = startScript(request)
    if (request.absent !== null) closeAbsent(request, connection, request.absent, script)
    if (missing !== null) prepareMissing(connection, missing, script)
    if (request.takenName !== null && !connection.prepared.has(takenName)) {
      writer.begin(frontend.parse).string(takenName).byte(0).int16(0).end()
      flushWriter(connection)
      connection.prepared.set(takenName, true)
      script.push(scriptOp.swallow, null)
    }
    evict(request, connection, limit - (request.parses.length - request.sentParses), script)
    if (mustInject && unnamed !== null) {
      writer.begin(frontend.parse).byte(0).bytes(unnamed.body, 0, unnamed.bodyBytes).end()
      flushWriter(connection)
      connection.unnamed = unnamed.serial
      script.push(scriptOp.swallow, null)
    } else if (mustClear) {
      connection.send(close('S', ''))
      connection.unnamed = noUnnamed
      script.push(scriptOp.swallow, null)
    }
    sendScripted(request, connection, script)
  }
  if (request.steps !== null) expectSteps(connection, request)
  request.hasEarlierUnnamed = unnamed !== null
  // A Query drops the unnamed statement (protocol-flow, "Extended Query").
  if (request.queryAt >= 0) connection.unnamed = 0
  else if (request.unnamedSerial !== 0) connection.unnamed = request.unnamedSerial
  // What can't run elsewhere any more need not be kept.
  const isKept = request.onReplica && !request.isStreamed && request.executed.length === 0
  if (request.isFlushed && !isKept) request.size = 0
  request.sentExecutes = request.executed.length
  request.sentBytes = request.size
  request.sentKinds = request.kinds.length
  request.sentParses = request.parses.length
  return true
}

function mayBeStale({ isStale, shape, shapeVersion }: PreparedStatement, version: number): boolean {
  return isStale || (shape !== null && shapeVersion !== version)
}

function missingStatements(
  request: Request,
  connection: ServerConnection,
): PreparedStatement[] | null {
  let missing: PreparedStatement[] | null = null
  for (const statement of request.needs) {
    if (connection.prepared.has(statement.serverName)) continue
    missing ??= []
    if (!missing.includes(statement)) missing.push(statement)
  }
  return missing
}

function startScript(request: Request): AnswerScript {
  if (request.script === null) {
    request.script = new AnswerScript()
    for (let i = 0; i < request.sentKinds; i++) request.script.pushUnit(scriptOp.forward, null)
  }
  return request.script
}

function prepareMissing(
  connection: ServerConnection,
  missing: readonly PreparedStatement[],
  script: AnswerScript,
): void {
  for (const statement of missing) {
    connection.prepared.set(statement.serverName, true)
    for (let left = writePreparation(writer, statement); left > 0; left--) {
      script.push(scriptOp.swallow, statement)
    }
    if (!hasUnknownShape(statement)) continue
    flushWriter(connection)
    askShape(connection, script, statement)
  }
  flushWriter(connection)
}

/** Plans keep what they give; what FETCH or EXECUTE gives depends on what they find. */
const planned = /^(?:|select|with|values|table|insert|update|delete|merge)$/

function hasUnknownShape({ shape, spots, shared, cls }: PreparedStatement): boolean {
  return shape === null && spots === null && shared === null && planned.test(cls.keyword)
}

/** The first server connection that has the statement tells what it gives. */
function askShape(
  connection: ServerConnection,
  script: AnswerScript,
  statement: PreparedStatement,
): void {
  writer.begin(frontend.describe).byte(0x53).string(statement.serverName).end()
  flushWriter(connection)
  script.push(scriptOp.shape, statement)
}

/** What the segment's own PREPARE makes must not be there. */
function closeAbsent(
  request: Request,
  connection: ServerConnection,
  absent: readonly PreparedStatement[],
  script: AnswerScript,
): void {
  for (const { serverName } of absent) {
    if (!connection.prepared.delete(serverName)) continue
    connection.send(close('S', serverName))
    script.push(scriptOp.swallow, null)
  }
  request.absent = null
}

/** Closes the least recently prepared statements beyond `limit`, but none that this segment uses. */
function evict(
  request: Request,
  connection: ServerConnection,
  limit: number,
  script: AnswerScript,
): void {
  if (connection.prepared.size <= limit) return
  for (const name of connection.prepared.keys()) {
    if (connection.prepared.size <= limit) return
    if (request.needs.some((statement) => statement.serverName === name)) continue
    if (request.parses.some((range) => range.statement.serverName === name)) continue
    // A shared connection may have this name in a request that is queued: only quiet ones evict.
    if (connection.queue.size > 1) return
    connection.prepared.delete(name)
    connection.send(close('S', name))
    script.push(scriptOp.swallow, null)
  }
}

function flushWriter(connection: ServerConnection): void {
  const bytes = writer.take()
  connection.send(bytes)
}

/** Sends the rest of the segment, leaving out each Parse that the connection has already. */
function sendScripted(request: Request, connection: ServerConnection, script: AnswerScript): void {
  let at = request.sentBytes
  let parse = request.sentParses
  for (let unit = request.sentKinds; unit < request.kinds.length; unit++) {
    const kind = request.kinds[unit]
    const range = request.parses[parse]
    const isSettled = unit < request.settledKinds
    if (range !== undefined && range.unit === unit) {
      parse++
      if (connection.prepared.has(range.statement.serverName)) {
        if (range.start > at) connection.send(request.bytes, at, range.start)
        at = range.end
        script.pushUnit(isSettled ? scriptOp.settled : scriptOp.inventParse, null)
      } else {
        connection.prepared.set(range.statement.serverName, true)
        script.pushUnit(isSettled ? scriptOp.swallow : scriptOp.forward, range.statement)
        if (hasUnknownShape(range.statement)) {
          connection.send(request.bytes, at, range.end)
          at = range.end
          askShape(connection, script, range.statement)
        }
      }
    } else {
      if (unit === request.queryAt) script.queryAt = script.length
      const isInvented = kind === 0
      if (isSettled) script.pushUnit(isInvented ? scriptOp.settled : scriptOp.swallow, null)
      else script.pushUnit(isInvented ? scriptOp.inventClose : scriptOp.forward, null)
    }
  }
  if (request.size > at) connection.send(request.bytes, at, request.size)
}
