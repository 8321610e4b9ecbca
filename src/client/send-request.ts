import { type Asker, ask } from '../server/ask.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { isProvedRead } from '../sql/statement-class.ts'
import { errorResponse } from '../wire/backend-messages.ts'
import { flush, sync } from '../wire/frontend-messages.ts'
import { txStatus } from '../wire/message-types.ts'
import type { AnswerScript } from './answer-script.ts'
import { checkShapes } from './check-shapes.ts'
import { bringChannels, noteChannelUse } from './hear-first.ts'
import { onlyAsks } from './own-command.ts'
import { bringInSegment, bringOwnNames, statementLimit } from './own-names.ts'
import { prepareInFront } from './prepare-in-front.ts'
import type { Request } from './request.ts'
import { sendSegment } from './segment.ts'
import { claimSequences } from './sequences.ts'
import type { ClientSession } from './session.ts'
import { failsBlock } from './transaction.ts'

export function sendOn(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): void {
  const isFirst = request.connection === null
  let isPrepared = false
  // Not in the middle of a segment, which a failure may have the server skip.
  if (isFirst && session.statements.isOwn && !session.cluster.isReplica(connection.nodeIndex)) {
    bringOwnNames(session, connection, request)
  }
  if (connection.status !== txStatus.failed) {
    session.transaction?.noteSent(request, session.portals.hasNamed)
  }
  if (isFirst) {
    session.holdUntilMs = null
    request.connection = connection
    request.nodeIndex = connection.nodeIndex
    session.inFlight.push(request)
    session.guard?.follow()
    session.cluster.load.start(connection.nodeIndex, request.isShared)
    request.startedAtMs = session.cluster.nowMs()
    if (!onlyAsks(request)) session.route.goTo(connection.nodeId)
    if (connection.queue.size === 0) connection.noteHead(request.startedAtMs)
    // Until its own end DDL may become visible at any time: nothing is judged by the old catalog.
    for (const effect of request.effects) {
      if (effect.kind === 'ddl') session.cluster.noteDdl(session.scope.database, effect.touches)
      else if (effect.kind === 'vacate') session.cluster.vacate(effect.database)
    }
    request.begin = session.block.takeDeferred(request.onReplica) ?? request.begin
    if (session.listener !== null) bringChannels(session, request, connection)
    if (request.begin !== null) {
      // What is prepared behind a BEGIN takes the transaction's snapshot, and so fixes its modes.
      if (request.names !== null && request.kind === 'simple' && request.refusal === null) {
        prepareInFront(request, request.names, connection, statementLimit(session))
        isPrepared = true
      }
      for (const message of request.begin.messages) ask(connection, message, beginning)
      for (const mark of request.begin.marks) {
        ask(connection, mark, mark === failsBlock ? failing : beginning)
      }
    }
  }
  // Only what the hot path isn't made of: a plain read neither calls nextval() nor sees its values.
  if (!isProvedRead(request.cls) || !request.isComplete) {
    claimSequences(session, request, connection, isFirst)
    noteChannelUse(session, request, connection)
  }
  if (request.refusal !== null) {
    request.override = errorResponse(request.refusal)
    if (request.kind === 'extended') {
      failSegment(request, connection, isFirst)
      return
    }
    request.bytes = failsBlock
    request.size = failsBlock.length
    connection.request(failsBlock, 0, failsBlock.length, request)
    return
  }
  if (request.kind === 'extended') {
    const { catalogVersion } = session.scope.classifier
    const bring = request.bringsNames
      ? (script: AnswerScript) => bringInSegment(session, connection, request, script)
      : null
    if (!sendSegment(request, connection, statementLimit(session), catalogVersion, bring)) {
      checkShapes(session, request, connection)
    } else if (request.isFlushed && session.inFlight.first === request) request.inventPending()
    return
  }
  if (request.names !== null && !isPrepared) {
    prepareInFront(request, request.names, connection, statementLimit(session))
  }
  connection.request(request.bytes, 0, request.size, request)
}

/** Answers as the server would if it had the stale statement that the segment uses. */
export function refuseStale(
  { scope }: ClientSession,
  request: Request,
  connection: ServerConnection,
): void {
  request.refusal = staleness
  if (request.errorInFront === null) request.override = scope.statements.staleness
  failSegment(request, connection, request.sentKinds === 0 && request.sentBytes === 0)
}

/** Has the server fail in its place, which aborts the transaction as the client is told. */
function failSegment(request: Request, connection: ServerConnection, isFirst: boolean): void {
  if (isFirst) connection.expect(request)
  connection.forgetUnnamed()
  connection.send(refusedParse)
  connection.send(request.isComplete ? sync : flush)
}

const staleness = { sqlstate: '0A000', message: 'cached plan must not change result type' }

/** What `failsBlock` is to a Query, for a segment, which ends with the client's Sync. */
const refusedParse = Buffer.from('P\0\0\0\x17\0pgsplit_refused\0\0\0')
refusedParse.writeInt32BE(refusedParse.length - 1, 1)

/** The deferred BEGIN can only fail with the connection; if it fails, nothing behind it may count. */
const beginning: Asker = {
  answered({ error }, connection) {
    if (error !== null) connection.destroy(new Error('BEGIN was refused'))
  },
  lost() {},
}

/** The transaction had failed where it was, and has to have failed here. */
const failing: Asker = { answered() {}, lost() {} }
