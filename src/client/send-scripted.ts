import type { ServerConnection } from '../server/server-connection.ts'
import { frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { type AnswerScript, scriptOp } from './answer-script.ts'
import type { OwnAnswers } from './own-answers.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import type { NeededStatement, Request } from './request.ts'
import type { UnnamedStatement } from './unnamed.ts'
import { writePreparation } from './write-preparation.ts'

const writer = new Writer(1024)

/**
 * Sends the rest of the segment, leaving out each Parse that the connection has already and adding
 * what it lacks in front of the first message that uses it. Not earlier: a Parse takes a snapshot, in
 * front of which a BEGIN or SET TRANSACTION of the segment may have to come.
 */
export function sendScripted(
  request: Request,
  connection: ServerConnection,
  script: AnswerScript,
  missing: readonly NeededStatement[],
  unnamed: UnnamedStatement | null,
): void {
  let at = request.sentBytes
  let parse = request.sentParses
  let lacking = 0
  let isInjected = unnamed === null
  const sendUpTo = (end: number): void => {
    if (end > at) connection.send(request.bytes, at, end)
    at = Math.max(at, end)
  }
  for (let unit = request.sentKinds; unit < request.kinds.length; unit++) {
    const kind = request.kinds[unit]
    const range = request.parses[parse]
    const isSettled = unit < request.settledKinds
    for (let need = missing[lacking]; need?.unit === unit; ) {
      sendUpTo(need.start)
      prepareMissing(connection, need.statement, script)
      need = missing[++lacking]
    }
    if (!isInjected && unnamed !== null && request.unnamed.earlierUnit <= unit) {
      isInjected = true
      sendUpTo(request.unnamed.earlierStart)
      writer.begin(frontend.parse).byte(0).bytes(unnamed.body, 0, unnamed.bodyBytes).end()
      flushWriter(connection)
      connection.noteUnnamed(unnamed.serial)
      script.pushUnnamed()
    }
    if (range !== undefined && range.unit === unit) {
      parse++
      // Under the client's own name it is another one each time.
      const isShared = range.statement.shared === null
      if (isShared && connection.prepared.has(range.statement.serverName)) {
        sendUpTo(range.start)
        at = range.end
        script.pushUnit(isSettled ? scriptOp.settled : scriptOp.inventParse, null)
      } else {
        connection.prepared.set(range.statement.serverName, true)
        script.pushUnit(isSettled ? scriptOp.swallow : scriptOp.forward, range.statement)
        if (hasUnknownShape(range.statement)) {
          sendUpTo(range.end)
          askShape(connection, script, range.statement)
        }
      }
    } else {
      const isQuery = unit === request.queryAt
      if (isQuery) script.queryAt = script.length
      const isInvented = kind === 0
      if (isSettled) script.pushUnit(isInvented ? scriptOp.settled : scriptOp.swallow, null)
      else {
        script.pushUnit(isInvented ? scriptOp.inventClose : scriptOp.forward, null)
        if (request.own !== null)
          noteOwn(script, request.own, unit, isQuery ? request.queryParts : 1)
      }
    }
  }
  sendUpTo(request.size)
}

/** The statements of a Query at the end are entries of their own. */
function noteOwn(script: AnswerScript, own: OwnAnswers, unit: number, parts: number): void {
  for (let i = 0; i < parts; i++) if (own.has(unit + i)) script.own(unit + i, i)
}

function prepareMissing(
  connection: ServerConnection,
  statement: PreparedStatement,
  script: AnswerScript,
): void {
  connection.prepared.set(statement.serverName, true)
  for (let left = writePreparation(writer, statement); left > 0; left--) {
    script.push(scriptOp.swallow, statement)
  }
  flushWriter(connection)
  if (hasUnknownShape(statement)) askShape(connection, script, statement)
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

function flushWriter(connection: ServerConnection): void {
  const bytes = writer.take()
  connection.send(bytes)
}
