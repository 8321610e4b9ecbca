import type { ServerConnection } from '../server/server-connection.ts'
import { close } from '../wire/frontend-messages.ts'
import { frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import { type Request, scriptOp, takenName } from './request.ts'

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
 */
export function sendSegment(request: Request, connection: ServerConnection, limit: number): void {
  const from = request.sentBytes
  const isFirst = request.sentKinds === 0 && from === 0
  const unnamed = request.earlierUnnamed
  if (isFirst) connection.expect(request)
  const missing = missingStatements(request, connection)
  const mustInject =
    unnamed !== null && !request.hasEarlierUnnamed && connection.unnamed !== unnamed.serial
  const mustClear = request.lacksUnnamed && connection.unnamed !== noUnnamed
  const hasEdits =
    missing !== null ||
    mustInject ||
    mustClear ||
    request.takenName !== null ||
    request.queryAt >= 0 ||
    request.parses.length > request.sentParses ||
    request.kinds.includes(0, request.sentKinds)
  if (!hasEdits && request.script === null && !request.isFlushed) {
    connection.send(request.bytes, from, request.size)
  } else {
    const script = startScript(request)
    if (missing !== null) prepareMissing(request, connection, missing, script)
    if (request.takenName !== null && !connection.prepared.has(takenName)) {
      writer.begin(frontend.parse).string(takenName).byte(0).int16(0).end()
      flushWriter(connection)
      connection.prepared.set(takenName, true)
      push(request, script, scriptOp.swallow, null)
    }
    evict(request, connection, limit - (request.parses.length - request.sentParses), script)
    if (mustInject && unnamed !== null) {
      writer.begin(frontend.parse).byte(0).bytes(unnamed.body, 0, unnamed.bodyBytes).end()
      flushWriter(connection)
      connection.unnamed = unnamed.serial
      push(request, script, scriptOp.swallow, null)
    } else if (mustClear) {
      connection.send(close('S', ''))
      connection.unnamed = noUnnamed
      push(request, script, scriptOp.swallow, null)
    }
    sendScripted(request, connection, script)
  }
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

function startScript(request: Request): number[] {
  if (request.script === null) {
    request.script = []
    for (let i = 0; i < request.sentKinds; i++)
      push(request, request.script, scriptOp.forward, null)
  }
  return request.script
}

function push(
  request: Request,
  script: number[],
  op: number,
  statement: PreparedStatement | null,
): void {
  script.push(op)
  request.scriptStatements.push(statement)
}

function prepareMissing(
  request: Request,
  connection: ServerConnection,
  missing: readonly PreparedStatement[],
  script: number[],
): void {
  for (const statement of missing) {
    writer.begin(frontend.parse).string(statement.serverName).bytes(statement.body).end()
    connection.prepared.set(statement.serverName, true)
    push(request, script, scriptOp.swallow, statement)
  }
  flushWriter(connection)
}

/** Closes the least recently prepared statements beyond `limit`, but none that this segment uses. */
function evict(
  request: Request,
  connection: ServerConnection,
  limit: number,
  script: number[],
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
    push(request, script, scriptOp.swallow, null)
  }
}

function flushWriter(connection: ServerConnection): void {
  const bytes = writer.take()
  connection.send(bytes)
}

/** Sends the rest of the segment, leaving out each Parse that the connection has already. */
function sendScripted(request: Request, connection: ServerConnection, script: number[]): void {
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
        push(request, script, isSettled ? scriptOp.settled : scriptOp.inventParse, null)
      } else {
        connection.prepared.set(range.statement.serverName, true)
        push(request, script, isSettled ? scriptOp.swallow : scriptOp.forward, range.statement)
      }
    } else {
      if (unit === request.queryAt) request.scriptQueryAt = script.length
      const isInvented = kind === 0
      if (isSettled) push(request, script, isInvented ? scriptOp.settled : scriptOp.swallow, null)
      else push(request, script, isInvented ? scriptOp.inventClose : scriptOp.forward, null)
    }
  }
  if (request.size > at) connection.send(request.bytes, at, request.size)
}
