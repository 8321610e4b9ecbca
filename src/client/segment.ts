import type { ServerConnection } from '../server/server-connection.ts'
import { close } from '../wire/frontend-messages.ts'
import { frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { AnswerScript, scriptOp } from './answer-script.ts'
import { expectSteps } from './name-steps.ts'
import { type PreparedStatement, takenName } from './prepared-statement.ts'
import type { NeededStatement, Request } from './request.ts'
import { sendScripted } from './send-scripted.ts'

const writer = new Writer(1024)

/**
 * Sends what a segment holds and has not been sent. Statements that the server connection lacks are
 * prepared where they are first used, Parse messages of those it has are left out, and the request's
 * script says how the answers are put right. In the common case the bytes go out as they are.
 *
 * `limit`: most named statements on one server connection; the least recently used are closed.
 *
 * `bring`: adds what has to come in front of it.
 *
 * False: nothing was sent; what a statement gives may not be what the client was told of it.
 */
export function sendSegment(
  request: Request,
  connection: ServerConnection,
  limit: number,
  catalogVersion: number,
  bring: ((script: AnswerScript) => void) | null,
): boolean {
  const from = request.sentBytes
  const isFirst = request.sentKinds === 0 && from === 0
  const { unnamed } = request
  if (bring !== null) bring(startScript(request))
  const missing = missingStatements(request, connection)
  const isKnown = bring !== null || request.isShapeChecked
  if (missing !== null && !isKnown && mayBeStale(missing, catalogVersion)) return false
  if (isFirst) connection.expect(request)
  const injected = unnamed.mustSend(connection) ? unnamed.earlier : null
  const mustClear = unnamed.mustClear(connection)
  const isAsIs =
    missing === null &&
    injected === null &&
    !mustClear &&
    request.takenName === null &&
    request.queryAt < 0 &&
    request.names === null &&
    request.own === null &&
    request.parses.length === request.sentParses &&
    request.script === null &&
    !request.isFlushed &&
    !request.kinds.includes(0, request.sentKinds)
  if (isAsIs) connection.send(request.bytes, from, request.size)
  else {
    const script = startScript(request)
    if (request.absent !== null) closeAbsent(request, connection, request.absent, script)
    if (request.takenName !== null && !connection.prepared.has(takenName)) {
      writer.begin(frontend.parse).string(takenName).byte(0).int16(0).end()
      connection.send(writer.take())
      connection.prepared.set(takenName, true)
      script.pushName(takenName, true)
    }
    const added = request.parses.length - request.sentParses + (missing?.length ?? 0)
    evict(request, connection, limit - added, script)
    if (mustClear) {
      connection.send(close('S', ''))
      connection.noteUnnamed(null)
      script.pushUnnamed()
    }
    sendScripted(request, connection, script, missing ?? [], injected)
  }
  if (request.steps !== null) expectSteps(connection, request)
  unnamed.noteSent()
  // A Query drops the unnamed statement (protocol-flow, "Extended Query").
  if (request.queryAt >= 0) connection.forgetUnnamed()
  else if (unnamed.serial !== null) connection.noteUnnamed(unnamed.serial)
  // What can't run elsewhere any more need not be kept.
  const isKept = request.onReplica && !request.isStreamed && request.executed.length === 0
  if (request.isFlushed && !isKept) request.size = 0
  request.sentExecutes = request.executed.length
  request.sentBytes = request.size
  request.sentKinds = request.kinds.length
  request.sentParses = request.parses.length
  return true
}

function mayBeStale(missing: readonly NeededStatement[], version: number): boolean {
  return missing.some(({ statement: { isStale, shape, shapeVersion } }) => {
    return isStale || (shape !== null && shapeVersion !== version)
  })
}

function missingStatements(
  { needs, sentKinds }: Request,
  { prepared }: ServerConnection,
): NeededStatement[] | null {
  let missing: NeededStatement[] | null = null
  for (const need of needs) {
    // What an earlier part of the segment used has been there, and may be dropped since.
    if (need.unit < sentKinds || prepared.has(need.statement.serverName)) continue
    missing ??= []
    missing.push(need)
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
    script.pushName(serverName, false)
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
    if (request.needs.some(({ statement }) => statement.serverName === name)) continue
    if (request.parses.some((range) => range.statement.serverName === name)) continue
    // A shared connection may have this name in a request that is queued: only quiet ones evict.
    if (connection.queue.size > 1) return
    connection.prepared.delete(name)
    connection.send(close('S', name))
    script.pushName(name, false)
  }
}
