import { type ErrorFacts, PgSplitError } from '../errors.ts'
import type { UseMode, Waiter } from '../pool/pooled.ts'
import { type ServerConnection, swallow } from '../server/server-connection.ts'
import { NO_CATALOG } from '../sql/classifier.ts'
import { errorResponse, readyForQuery } from '../wire/backend-messages.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import { flush, sync } from '../wire/frontend-messages.ts'
import { txStatus } from '../wire/message-types.ts'
import { applyEffects } from './effects.ts'
import { openSegmentClass } from './fixed-class.ts'
import { takeTrouble } from './local-answer.ts'
import { followOwnWrites } from './own-writes.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import { type Request, requestBit } from './request.ts'
import { judgeError } from './retry.ts'
import { sendSegment } from './segment.ts'
import type { ClientSession } from './session.ts'
import { mayShare, observe } from './sharing.ts'

const maxAttempts = 8

/** Routes a request and gets it on its way. The request may be a segment that was flushed before. */
export function dispatch(session: ClientSession, request: Request): void {
  if (session.waiting === request) return
  if (request.connection !== null) {
    goOn(session, request, request.connection)
    return
  }
  session.requestStartedAtMs = session.cluster.nowMs()
  if (session.lease !== null) {
    runOnLease(session, request, session.lease)
    return
  }
  route(session, request)
}

/** More of a segment that was flushed. */
function goOn(session: ClientSession, request: Request, connection: ServerConnection): void {
  if (request.refusal === null) request.refusal = refusalOf(session, request, connection)
  else if (request.refusal !== null) {
    // Refused already: the server skips up to Sync.
    if (request.isComplete) connection.send(sync)
    return
  }
  sendOn(session, request, connection)
}

/** Why the request must not run on the connection that the session has, or null. */
function refusalOf(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): ErrorFacts | null {
  const { verdict } = request.cls
  const isRead = verdict === 'replica' || verdict === 'either' || verdict === 'control'
  // SHOW tells what the transaction really has; and while the catalog is read anew, nothing is proved.
  const { keyword, reason } = request.cls
  const isHarmless = isRead || isPlainWrite(request) || keyword === 'show' || reason === NO_CATALOG
  if (isHarmless || !session.cluster.isReplica(connection.nodeIndex)) return null
  // On a standby such a statement may succeed silently and mean nothing (advisory locks …).
  return {
    sqlstate: '25006',
    message: `cannot run this in a READ ONLY transaction on replica ${connection.nodeId}: ${request.cls.reason}`,
    hint: 'Make it the first statement of the transaction, or BEGIN without READ ONLY; then it runs on the primary.',
  }
}

/** In a transaction or pinned: the node is given. */
function runOnLease(session: ClientSession, request: Request, lease: ServerConnection): void {
  request.refusal = refusalOf(session, request, lease)
  // After a RESET the connection has the server's default where the client has its startup value.
  const canSync = session.inFlight.length === 0 && lease.status !== txStatus.failed
  if (lease.state !== session.state && canSync) prepare(session, request, lease)
  else sendOn(session, request, lease)
}

/** Refused by a standby with 25006 exactly as a primary refuses it in a READ ONLY transaction. */
function isPlainWrite(request: Request): boolean {
  return /^(insert|update|delete|merge|truncate|create|drop|alter|vacuum|grant|revoke)$/.test(
    request.cls.keyword,
  )
}

function route(session: ClientSession, request: Request): void {
  const { cluster, facts } = session
  facts.pendingBegin = session.deferred?.modes ?? null
  // After a Flush the rest of the segment must run on the same node, whatever it will be.
  const isOpen = request.isFlushed && !request.isComplete && request.executed.length > 0
  const cls = isOpen && session.deferred === null ? openSegmentClass : request.cls
  const chosen = cluster.route(cls, facts, request.exclude)
  const { node } = chosen
  session.lastReason = chosen.reason
  if (node === null) {
    refuse(session, request, {
      sqlstate: '57P03',
      message: `no server for this statement: ${chosen.reason}`,
      hint: 'SHOW NODES in the admin database tells what is wrong with each node.',
    })
    return
  }
  session.lastNode = node.id
  const isRead = cls.verdict === 'replica' || cls.verdict === 'either'
  request.onReplica = node.role === 'replica'
  request.isRerunnable =
    isRead &&
    request.isComplete &&
    !request.isFlushed &&
    request.queryAt < 0 &&
    request.pin === null &&
    request.effects.length === 0 &&
    request.size <= cluster.limits.retryMaxBytes &&
    (session.deferred === null || request.onReplica)
  const canShare =
    request.isRerunnable && session.deferred === null && !keeps(session) && mayShare(cls)
  checkout(session, request, node.index, canShare ? 'shared' : 'lease')
}

function keeps(session: ClientSession): boolean {
  return session.cluster.limits.poolMode === 'session'
}

function checkout(
  session: ClientSession,
  request: Request,
  nodeIndex: number,
  mode: UseMode,
): void {
  const kept = session.kept.get(nodeIndex)
  const pool = session.scope.pool(nodeIndex)
  request.nodeIndex = nodeIndex
  if (kept !== undefined && !kept.isClosed) {
    session.lease = kept
    session.leasePool = pool
    prepare(session, request, kept)
    return
  }
  const connection = pool.take(mode, session.state)
  if (connection !== null) {
    begin(session, request, connection)
    return
  }
  const waiter: Waiter<ServerConnection> = {
    mode,
    stateKey: session.state,
    onConnection: (given) => {
      session.forgetWaiter = null
      session.waiting = null
      session.cluster.counters.waitMs += session.cluster.nowMs() - session.requestStartedAtMs
      begin(session, request, given)
      session.pump()
    },
    onError: (error) => {
      session.forgetWaiter = null
      session.waiting = null
      noConnection(session, request, error)
      session.pump()
    },
  }
  session.waiting = request
  session.forgetWaiter = () => pool.forget(waiter)
  pool.wait(waiter)
}

/** A connection was given: leased, or a place on a shared one. */
function begin(session: ClientSession, request: Request, connection: ServerConnection): void {
  const pool = session.scope.pool(connection.nodeIndex)
  if (pool.isLeased(connection)) {
    session.lease = connection
    session.leasePool = pool
    connection.holder = session
    if (keeps(session)) session.kept.set(connection.nodeIndex, connection)
  } else {
    request.isShared = true
    session.scope.watchShared()
  }
  prepare(session, request, connection)
}

/** Brings the session's settings to the connection, then sends. */
function prepare(session: ClientSession, request: Request, connection: ServerConnection): void {
  if (connection.state === session.state) {
    sendOn(session, request, connection)
    return
  }
  session.waiting = request
  connection.sync(session.state, (error) => {
    if (session.waiting === request) session.waiting = null
    if (session.isGone) {
      abandon(session)
      return
    }
    if (error === null) sendOn(session, request, connection)
    else settingRefused(session, request, error)
    session.pump()
  })
}

function settingRefused(session: ClientSession, request: Request, error: ErrorFields): void {
  dropLease(session)
  if (error.severity === 'FATAL') {
    noConnection(session, request, new PgSplitError({ sqlstate: '08006', message: error.message }))
    return
  }
  refuse(session, request, {
    sqlstate: error.sqlstate,
    message: `a setting of this session was refused on another server connection: ${error.message}`,
    hint: 'RESET the setting, or make it possible on every node.',
  })
}

function sendOn(session: ClientSession, request: Request, connection: ServerConnection): void {
  const isFirst = request.connection === null
  if (isFirst) {
    request.connection = connection
    request.nodeIndex = connection.nodeIndex
    session.inFlight.push(request)
    session.cluster.load.start(connection.nodeIndex)
    request.startedAtMs = session.cluster.nowMs()
    session.lastNode = connection.nodeId
    if (connection.queue.size === 0) connection.headSinceMs = request.startedAtMs
    // Until its own end DDL may become visible at any time: nothing is judged by the old catalog.
    if (request.effects.length > 0 && request.effects.some(({ kind }) => kind === 'ddl')) {
      session.cluster.noteDdl(session.scope.database)
    }
    if (session.deferred !== null) {
      request.begin = session.deferred
      session.deferred = null
    }
    if (request.begin !== null) {
      connection.unnamed = 0
      for (const message of request.begin.messages) {
        connection.request(message, 0, message.length, new BeginReceiver(connection))
      }
    }
  }
  if (request.refusal !== null) {
    request.override = errorResponse(request.refusal)
    if (request.kind === 'extended') {
      if (isFirst) connection.expect(request)
      connection.unnamed = 0
      connection.send(refusedParse)
      connection.send(request.isComplete ? sync : flush)
      return
    }
    const failing = refusedQuery
    request.bytes = failing
    request.size = failing.length
    connection.unnamed = 0
    connection.request(failing, 0, failing.length, request)
    return
  }
  if (request.kind === 'extended') {
    sendSegment(request, connection, session.cluster.limits.preparedStatements)
    if (request.isFlushed) request.inventPending()
    return
  }
  if (request.kind === 'simple') connection.unnamed = 0
  connection.request(request.bytes, 0, request.size, request)
}

/** Fails with 3B001 in a transaction block, and so aborts it; the client sees our own error. */
const refusedQuery = Buffer.from('Q\0\0\0\0ROLLBACK TO SAVEPOINT pgsplit_refused\0')
refusedQuery.writeInt32BE(refusedQuery.length - 1, 1)

/** The same for a segment, which ends with the client's Sync. */
const refusedParse = Buffer.from('P\0\0\0\x17\0pgsplit_refused\0\0\0')
refusedParse.writeInt32BE(refusedParse.length - 1, 1)

/** The deferred BEGIN can only fail with the connection; if it fails, nothing behind it may count. */
class BeginReceiver {
  #connection: ServerConnection
  constructor(connection: ServerConnection) {
    this.#connection = connection
  }
  onFrame(type: number): void {
    if (type === 0x45) this.#connection.destroy(new Error('BEGIN was refused'))
  }
  onPart(): void {}
  onChunkEnd(): void {}
  onReady(): void {}
  onLost(): void {}
}

/** ReadyForQuery has come. */
export function finishRequest(session: ClientSession, request: Request, status: number): void {
  const { cluster } = session
  const connection = request.connection as ServerConnection
  const nowMs = cluster.nowMs()
  cluster.load.finish(connection.nodeIndex, nowMs - request.startedAtMs)
  cluster.reportSuccess(connection.nodeIndex)
  connection.headSinceMs = nowMs
  takeOut(session, request)
  if (request.isShared) {
    // The connection is quiet or has room for another: the pool serves whoever waits.
    if (connection.queue.size > 0) session.scope.pool(connection.nodeIndex).roomy(connection)
  }
  // The failure may have come before the segment's Parse.
  if (request.error !== null && !request.isUnnamedKept) connection.unnamed = 0
  noteUnnamed(session, request)
  // PostgreSQL itself stumbles over what comes behind ("unexpected state STARTED").
  if (request.queryAt >= 0) connection.dirty ??= 'a Query came inside a segment'
  if (request.error !== null && request.scriptStatements.length > 0) {
    for (const statement of request.unconfirmedStatements()) {
      connection.prepared.delete(statement.serverName)
    }
  }
  // "cached plan must not change result type": a Parse is the client's cure, so it must be a real one.
  if (request.error?.routine === 'RevalidateCachedQuery') {
    for (const statement of request.needs) session.scope.statements.retire(statement)
  }
  if (request.isHealing) {
    leave(session, connection, request.isShared)
    rerun(session, request)
    return
  }
  count(session, request, connection)
  if (request.error === null) observe(request, nowMs - request.startedAtMs)
  else forgetNames(session, request)
  if (session.isGone) {
    if (!request.isShared) abandon(session)
    return
  }
  applyEffects(session, request, status)
  if (session.lease === connection) {
    connection.state = session.actual ?? session.state
    session.actual = null
  }
  // Portals die with their transaction.
  if (status === txStatus.idle && session.segment === null && session.inFlight.length === 0) {
    session.portals.clear()
  }
  if (!request.isShared) settle(session, connection)
  session.pump()
}

/** Forgets the unnamed statement where the server has none after this request. */
function noteUnnamed(session: ClientSession, request: Request): void {
  const { error, queryAt, scriptAt, scriptQueryAt } = request
  const isDropped = queryAt >= 0 && (error === null || scriptAt >= scriptQueryAt)
  const isRefused = error !== null && !request.isHealing && !request.isUnnamedConfirmed
  if (request.unnamedSerial !== 0 && session.unnamed?.serial !== request.unnamedSerial) return
  if (!isDropped && (request.unnamedSerial === 0 || !isRefused)) return
  session.unnamed = null
  session.unnamedClass = null
}

function takeOut(session: ClientSession, request: Request): void {
  if (session.inFlight[0] === request) session.inFlight.shift()
  else {
    const index = session.inFlight.indexOf(request)
    if (index >= 0) session.inFlight.splice(index, 1)
  }
}

/** Names whose Parse failed do not exist for the client either. */
function forgetNames(session: ClientSession, request: Request): void {
  if (request.parses.length === 0) return
  const failed = request.script === null ? [] : request.unconfirmedStatements()
  for (const { name, statement } of request.parses) {
    if (failed.includes(statement)) forgetName(session, name, statement)
  }
}

function forgetName(session: ClientSession, name: string, statement: PreparedStatement): void {
  if (session.statements.get(name) !== statement) return
  session.forgetName(name, statement)
}

function count(session: ClientSession, request: Request, connection: ServerConnection): void {
  const { counters, nowMs } = session.cluster
  const node = connection.nodeIndex
  counters.queries++
  counters.queryMs += nowMs() - request.startedAtMs
  counters.requests[node] = (counters.requests[node] ?? 0) + 1
  if (request.error !== null) counters.errors[node] = (counters.errors[node] ?? 0) + 1
  const { verdict } = request.cls
  if (verdict === 'replica' || verdict === 'either') {
    counters.reads++
    counters.readsByNode[node] = (counters.readsByNode[node] ?? 0) + 1
    if (request.onReplica) counters.readsReplica[node] = (counters.readsReplica[node] ?? 0) + 1
  } else counters.writes++
  if (connection.status === txStatus.idle) counters.transactions++
}

/** Gives the lease back as soon as nothing holds it. */
function settle(session: ClientSession, connection: ServerConnection): void {
  if (session.lease !== connection || session.inFlight.length > 0 || session.waiting !== null)
    return
  if (session.segment?.connection === connection) return
  if (connection.status !== txStatus.idle || session.pinReason !== null) {
    session.facts.pinned = session.pinReason
    return
  }
  session.facts.pinned = null
  leave(session, connection, false)
}

function leave(session: ClientSession, connection: ServerConnection, isShared: boolean): void {
  if (isShared || session.lease !== connection) return
  const pool = session.leasePool
  session.lease = null
  session.leasePool = null
  if (session.kept.get(connection.nodeIndex) === connection && connection.isClean) return
  session.kept.delete(connection.nodeIndex)
  connection.holder = null
  if (!connection.isClosed) pool?.release(connection)
}

/** Closes the connection that the session holds: nothing of it is handed on. */
export function dropLease(session: ClientSession): void {
  const { lease, leasePool } = session
  if (lease === null) return
  session.lease = null
  session.leasePool = null
  session.kept.delete(lease.nodeIndex)
  if (lease.isClosed) return
  lease.holder = null
  lease.dirty ??= 'dropped'
  leasePool?.release(lease)
}

/** Runs a read again, elsewhere. */
function rerun(session: ClientSession, request: Request): void {
  if (session.isGone) return
  session.cluster.counters.retries++
  request.attempts++
  session.deferred = request.begin
  request.begin = null
  request.resetForRerun()
  request.isShared = false
  session.requestStartedAtMs = session.cluster.nowMs()
  route(session, request)
  session.pump()
}

/** Is the error one that another node would not give? Then nothing of it reaches the client. */
export function mayHeal(session: ClientSession, request: Request, fields: ErrorFields): boolean {
  if (!request.isRerunnable || request.attempts >= maxAttempts || session.isGone) return false
  const connection = request.connection as ServerConnection
  const verdict = judgeError(fields, {
    onReplica: request.onReplica,
    usesNames: request.needs.length > 0,
    isCancelled: request.isCancelled,
    isCancelNear: connection.isCancelNear,
    isReadOnlySession: session.facts.defaultReadOnly,
  })
  if (verdict === null) return false
  const { cluster } = session
  switch (verdict) {
    case 'node-down':
      request.exclude |= requestBit(connection.nodeIndex)
      cluster.reportFailure(connection.nodeIndex, 'shutdown', fields.message)
      break
    case 'other-node':
      request.exclude |= requestBit(connection.nodeIndex)
      break
    case 'misrouted':
      cluster.counters.misroutes++
      session.scope.classifier.learnPrimary(
        request.cls,
        `a replica refused it (${fields.sqlstate}: ${fields.message})`,
      )
      request.exclude = 0x7fffffff
      break
    case 'primary':
      request.exclude = 0x7fffffff
      break
    case 'same':
      for (const statement of request.needs) connection.prepared.delete(statement.serverName)
      break
    default:
      verdict satisfies never
  }
  return true
}

/** The connection went before the answer was complete. */
export function loseRequest(session: ClientSession, request: Request, error: Error): void {
  const { cluster } = session
  const connection = request.connection as ServerConnection
  cluster.load.finish(connection.nodeIndex, Number.NaN)
  takeOut(session, request)
  if (session.lease === connection) {
    session.lease = null
    session.leasePool = null
    session.kept.delete(connection.nodeIndex)
  }
  if (session.isGone) return
  if (request.isRerunnable && !request.isForwarded && request.attempts < maxAttempts) {
    request.exclude |= requestBit(connection.nodeIndex)
    rerun(session, request)
    return
  }
  session.pins.clear()
  session.facts.pinned = null
  answerLost(session, request, connection, error)
  session.pump()
}

function answerLost(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
  error: Error,
): void {
  if (request.isMidFrame) {
    // Half a row is out: no message can be placed any more.
    session.link.end()
    session.close()
    return
  }
  const facts = session.isBroken
    ? takeTrouble(session)
    : lossOf(session, request, connection, error)
  const ends = request.effects.some(({ kind }) => kind === 'commit' || kind === 'rollback')
  const wasInBlock = session.transaction !== null || session.isBroken
  if (session.transaction !== null) session.state = session.transaction.before
  session.transaction = null
  session.isBroken = wasInBlock && !ends
  for (const { name, statement } of request.parses) forgetName(session, name, statement)
  session.say(errorResponse(facts))
  if (request.isComplete) session.say(readyForQuery(session.localStatus))
  else {
    session.isSkipping = true
    session.segment = null
  }
}

/** What the client of a lost request is told. */
function lossOf(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
  error: Error,
): ErrorFacts {
  const { verdict } = request.cls
  const isCommit = request.effects.some(({ kind }) => kind === 'commit')
  const isRead = verdict === 'replica' || verdict === 'either'
  const why = connection.fatal?.message ?? error.message
  const mayHaveWritten = !session.cluster.isReplica(connection.nodeIndex)
  const isAlone = !isRead && session.transaction === null && request.begin === null
  // Without BEGIN, PostgreSQL commits on its own before it answers.
  if (mayHaveWritten && (isCommit || isAlone)) {
    followOwnWrites(session)
    return {
      sqlstate: '08007',
      message: `connection to node ${connection.nodeId} was lost (${why}): transaction resolution unknown`,
      hint: 'Read back whether the statement took effect before you run it again.',
    }
  }
  return {
    sqlstate: '08006',
    message: `connection to node ${connection.nodeId} was lost: ${why}`,
    hint: 'Nothing of an open transaction was kept; run it again.',
  }
}

/** The server connection of an open transaction or a pin went while nothing ran on it. */
export function loseLease(session: ClientSession, connection: ServerConnection): void {
  if (session.lease !== connection) return
  session.lease = null
  session.leasePool = null
  session.kept.delete(connection.nodeIndex)
  const { pinReason, transaction } = session
  if (session.isGone || (transaction === null && pinReason === null)) return
  const what = transaction === null ? `what pinned it (${pinReason})` : 'the open transaction'
  session.pendingError = {
    sqlstate: '08006',
    message: `connection to node ${connection.nodeId} was lost, and ${what} with it`,
    hint: 'Run it again from the start.',
  }
  if (pinReason !== null) session.pins.clear()
  session.facts.pinned = null
  if (transaction === null) return
  session.state = transaction.before
  session.transaction = null
  session.isBroken = true
}

/** No connection could be had: another node for a read, a clear error otherwise. */
function noConnection(session: ClientSession, request: Request, error: Error): void {
  if (session.isGone) return
  const isRead = request.isRerunnable && request.attempts < maxAttempts
  const isNodeTrouble = !(error instanceof PgSplitError) || /^(08|57P|53)/.test(error.sqlstate)
  if (isRead && isNodeTrouble && (request.exclude & requestBit(request.nodeIndex)) === 0) {
    request.exclude |= requestBit(request.nodeIndex)
    rerun(session, request)
    return
  }
  refuse(
    session,
    request,
    error instanceof PgSplitError
      ? error.facts('ERROR')
      : {
          sqlstate: '08006',
          message: `no connection to node ${session.lastNode}: ${error.message}`,
          hint: 'SHOW NODES in the admin database tells what is wrong with each node.',
        },
  )
}

/** Answers a request with an error of ours; nothing was sent for it. */
function refuse(session: ClientSession, request: Request, facts: ErrorFacts): void {
  if (session.isGone) return
  const wasInBlock = session.deferred !== null || request.begin !== null
  if (wasInBlock) {
    session.deferred = null
    session.isBroken = true
    if (session.transaction !== null) session.state = session.transaction.before
    session.transaction = null
  }
  for (const { name, statement } of request.parses) forgetName(session, name, statement)
  session.say(errorResponse({ ...facts, severity: 'ERROR' }))
  if (request.isComplete) session.say(readyForQuery(session.localStatus))
  else {
    session.isSkipping = true
    session.segment = null
  }
}

/** CancelRequest: only while the request runs, and to the node that runs it. */
export function cancelCurrent(session: ClientSession): void {
  const { waiting } = session
  if (waiting !== null && session.forgetWaiter !== null) {
    session.forgetWaiter()
    session.forgetWaiter = null
    session.waiting = null
    refuse(session, waiting, {
      sqlstate: '57014',
      message: 'canceling statement due to user request',
    })
    session.pump()
    return
  }
  const request = session.inFlight[0]
  const connection = request?.connection
  if (request === undefined || connection === null || connection === undefined) return
  request.isCancelled = true
  if (connection.queue.peek() !== request) return
  connection.cancelsPending++
  // Requests of others behind this one may be hit instead: they are reads and run again.
  if (request.isShared) {
    connection.isCancelNear = true
    session.scope.pool(connection.nodeIndex).stall(connection)
  }
  void session.cluster.cancel(connection).then(() => {
    connection.cancelsPending--
    if (connection.isCancelNear) connection.dirty ??= 'a cancel request was sent to it'
    if (connection.queue.size === 0) session.scope.pool(connection.nodeIndex).quiet(connection)
  })
}

/** The client has gone: what it holds is cleaned or closed. */
export function abandon(session: ClientSession): void {
  session.forgetWaiter?.()
  session.forgetWaiter = null
  const { lease, leasePool } = session
  const isSyncing = session.waiting !== null
  for (const request of session.inFlight) {
    if (request.connection !== null && !request.isShared) {
      session.cluster.load.finish(request.connection.nodeIndex, Number.NaN)
    }
  }
  if (lease !== null && !isSyncing) {
    lease.holder = null
    session.lease = null
    session.leasePool = null
    session.kept.delete(lease.nodeIndex)
    if (session.inFlight.length > 0 || lease.status !== txStatus.idle) {
      // Cancel what still runs, then close: the server rolls back.
      const isRunning = lease.queue.size > 0
      if (isRunning) void session.cluster.cancel(lease)
      lease.dirty ??= 'client left in mid-request'
    } else if (session.pinReason !== null) lease.dirty ??= 'client left while pinned'
    if (!lease.isClosed) leasePool?.release(lease)
  }
  for (const [node, connection] of session.kept) {
    session.kept.delete(node)
    if (!connection.isClosed) session.scope.pool(node).release(connection)
  }
  session.waiting = null
}

/** The request was taken off a slow connection. */
export function moved(session: ClientSession, request: Request): void {
  const connection = request.connection as ServerConnection
  session.cluster.load.finish(connection.nodeIndex, Number.NaN)
  takeOut(session, request)
  rerun(session, request)
}

/** Moves the requests behind a slow one to other connections; their answers here are swallowed. */
export function moveWaiting(connection: ServerConnection, from = 1): void {
  for (let i = from; i < connection.queue.size; i++) {
    const request = connection.queue.at(i) as Request
    if (request.owner === undefined || !request.isShared || request.isForwarded) continue
    connection.queue.replaceAt(i, swallow)
    request.moveElsewhere()
  }
}
