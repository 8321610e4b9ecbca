import { type ErrorFacts, PgSplitError, ProtocolError } from '../errors.ts'
import type { Link } from '../net/link.ts'
import type { NodePool } from '../pool/node-pool.ts'
import type { SessionFacts } from '../routing/requirement.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { SessionState } from '../server/session-state.ts'
import type { LexMode } from '../sql/lexer.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import { errorResponse, readyForQuery } from '../wire/backend-messages.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import { Framer, type FrameSink } from '../wire/framer.ts'
import { frontend, txStatus } from '../wire/message-types.ts'
import { cancelCurrent } from './cancel-current.ts'
import type { ClusterAccess, SessionScope } from './cluster-access.ts'
import { collect, finishSegment, flushSegment, reopen } from './extended.ts'
import { finishRequest } from './finish-request.ts'
import { abandon } from './leave-connection.ts'
import { loseLease, loseRequest } from './lost-request.ts'
import { Pins } from './pins.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import { reportedToClient } from './reported.ts'
import type { Request, RequestOwner } from './request.ts'
import { mayHeal, moved } from './rerun-request.ts'
import { dispatch } from './route-request.ts'
import type { UnnamedStatement } from './segment.ts'
import { handleFunctionCall, handleQuery } from './simple.ts'
import type { DeferredBegin, Transaction } from './transaction.ts'

/** More than this waiting for a client stops reading from its server, bytes. */
const highWaterBytes = 256 * 1024
/** More than this of a client's input waiting stops reading from the client, bytes. */
const maxInputBytes = 64 * 1024
/** A CopyData frame up to this size is handled whole. */
const maxCopyFrameBytes = 64 * 1024

/** So many names that were given up are remembered for errors that still name them. */
const maxDroppedNames = 16

interface HeldInput {
  readonly type: number
  readonly bytes: Buffer
}

export interface SessionSetup {
  readonly id: number
  readonly link: Link
  readonly cluster: ClusterAccess
  readonly scope: SessionScope
  readonly startup: SessionState
  readonly facts: SessionFacts
  readonly applicationName: string
  readonly onClose: (session: ClientSession) => void
}

/**
 * One client that has logged in. Frames come in order; what can't be handled yet waits in `#input`.
 * The rooms beside this file do the work on its fields: `simple`, `extended`, `dispatch`,
 * `effects`, `local-answer`.
 */
export class ClientSession implements FrameSink, RequestOwner {
  readonly id: number
  readonly link: Link
  readonly cluster: ClusterAccess
  readonly scope: SessionScope
  readonly facts: SessionFacts
  readonly applicationName: string
  readonly connectedAtMs: number
  /** Settings from the startup packet: what RESET goes back to. */
  readonly startup: SessionState
  /** Settings now. */
  state: SessionState
  lexMode: LexMode = 'standard'
  #hasEscapes = false
  #encoding = 'UTF8'
  #pins: Pins | null = null
  transaction: Transaction | null = null
  deferred: DeferredBegin | null = null
  /** The transaction was lost with its server; 25P02 until it is ended. */
  isBroken = false
  /** What the next statement is told: something was lost while the client was quiet. */
  pendingError: ErrorFacts | null = null
  /** The server connection that is this session's alone, and the pool it goes back to. */
  lease: ServerConnection | null = null
  leasePool: NodePool<ServerConnection> | null = null
  /** `poolMode: session`: connections kept until the client leaves, by node. */
  readonly kept = new Map<number, ServerConnection>()
  /** Requests handed to server connections and not answered yet, in order. */
  readonly inFlight: Request[] = []
  /** A request waits for a server connection or for a setting to be confirmed. */
  waiting: Request | null = null
  /** What takes `waiting` out of its pool's queue. */
  forgetWaiter: (() => void) | null = null
  /** The extended request that is being collected. */
  segment: Request | null = null
  /** An error of ours inside a segment: everything up to Sync is dropped (protocol-flow). */
  isSkipping = false
  isCopyIn = false
  readonly statements = new Map<string, PreparedStatement>()
  /** Statements of named portals, by portal name. */
  readonly portals = new Map<string, Request['cls']>()
  unnamed: UnnamedStatement | null = null
  unnamedClass: Request['cls'] | null = null
  unnamedPortalClass: Request['cls'] | null = null
  /** A statement of the open transaction may have changed the catalog. */
  hasDdl = false
  /**
   * Settings that the leased connection really has, while they differ from `state`: RESET goes back
   * to the server's defaults there, and to the startup packet's values for the client.
   */
  actual: SessionState | null = null
  /** The state that `facts` were read from. */
  factsState: SessionState | null = null
  /** `pgsplit.*` settings as they were at log-in: what RESET goes back to. */
  readonly ownDefaults: Pick<SessionFacts, 'routeSetting' | 'consistency' | 'maxLagMs'>
  /** Something of the open transaction may have written. */
  hasWritten = false
  /** Counts transactions that may have written: an answer for an older one is of no use. */
  writes = 0
  /** SET LOCAL synchronous_commit was seen: this session's commits may not be flushed yet. */
  isAsynchronous = false
  lastNode = ''
  lastReason = 'nothing has run yet'
  requestStartedAtMs = 0
  queries = 0
  isGone = false

  /** Names that the client has given up lately, by the server's. */
  readonly #dropped = new Map<string, string>()
  #framer: Framer
  #input: HeldInput[] = []
  #inputBytes = 0
  #isPumping = false
  #pausedServer: ServerConnection | null = null
  #onClose: (session: ClientSession) => void

  constructor(setup: SessionSetup) {
    this.id = setup.id
    this.link = setup.link
    this.cluster = setup.cluster
    this.scope = setup.scope
    this.facts = setup.facts
    const { routeSetting, consistency, maxLagMs } = setup.facts
    this.ownDefaults = { routeSetting, consistency, maxLagMs }
    this.applicationName = setup.applicationName
    this.startup = setup.startup
    this.state = setup.startup
    this.connectedAtMs = setup.cluster.nowMs()
    this.#onClose = setup.onClose
    this.#framer = new Framer(this, setup.cluster.limits.maxFrameBytes)
  }

  /** Starts to read; `leftover` is what came in behind the log-in. */
  start(leftover: Buffer | null): void {
    this.link.onChunk = this.#onChunk
    this.link.onDrain = this.#onDrain
    this.link.onClose = () => this.close()
    if (leftover !== null && leftover.length > 0) this.#onChunk(leftover)
  }

  /** Made when first asked for: most sessions never pin. */
  get pins(): Pins {
    this.#pins ??= new Pins()
    return this.#pins
  }

  get pinReason(): string | null {
    return this.#pins === null ? null : this.#pins.reason
  }

  // ---- frames of the client

  isWhole(type: number, frameBytes: number): boolean {
    if (type === frontend.copyData) return frameBytes <= maxCopyFrameBytes
    // Not only when it is complete: a second StartupMessage looks like a long frame of type 0.
    if (!requestTypes.has(type)) throw new ProtocolError(`invalid frontend message type ${type}`)
    const { maxRequestBytes } = this.cluster.limits
    if (frameBytes <= maxRequestBytes) return true
    throw new PgSplitError({
      sqlstate: '54000',
      message: `a message of ${frameBytes} bytes is longer than this proxy takes (${maxRequestBytes})`,
      hint: 'Raise limits.maxBufferedRequest, or send the data by COPY.',
      severity: 'FATAL',
    })
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    // Behind Terminate, or behind what broke the session, nothing is looked at.
    if (this.isGone) return
    if (this.#input.length > 0 || !this.#handle(type, buffer, start, end)) {
      this.#hold(type, buffer, start, end)
    }
  }

  onPart(type: number, buffer: Buffer, start: number, end: number): void {
    this.onFrame(type, buffer, start, end)
  }

  #onChunk = (chunk: Buffer): void => {
    if (this.isGone) return
    this.cluster.counters.received += chunk.length
    try {
      this.#framer.push(chunk)
    } catch (error) {
      this.#fail(error)
    }
  }

  #fail(error: unknown): void {
    const facts: PgSplitError =
      error instanceof PgSplitError
        ? error
        : new ProtocolError(`internal error: ${error instanceof Error ? error.message : error}`)
    this.say(errorResponse(facts.facts('FATAL')))
    this.link.end()
    this.close()
  }

  #hold(type: number, buffer: Buffer, start: number, end: number): void {
    this.#input.push({ type, bytes: Buffer.from(buffer.subarray(start, end)) })
    this.#inputBytes += end - start
    if (this.#inputBytes > maxInputBytes) this.link.pause()
  }

  /** Goes on with held input; call it whenever something was answered or a connection was given. */
  pump(): void {
    if (this.#isPumping || this.#input.length === 0 || this.isGone) return
    this.#isPumping = true
    let used = 0
    try {
      while (used < this.#input.length && !this.isGone) {
        const { type, bytes } = this.#input[used] as HeldInput
        if (!this.#handle(type, bytes, 0, bytes.length)) break
        this.#inputBytes -= bytes.length
        used++
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#input.splice(0, used)
      this.#isPumping = false
    }
    if (this.#inputBytes <= maxInputBytes && this.#pausedForServer === false) this.link.resume()
  }

  /** Handles one frame, or says false: not now. */
  #handle(type: number, buffer: Buffer, start: number, end: number): boolean {
    if (this.isCopyIn && !copyTypes.has(type)) {
      throw new ProtocolError(`unexpected message type ${type} during COPY FROM STDIN`)
    }
    switch (type) {
      case frontend.query:
        return this.isSkipping || (this.#mayEnd() && handleQuery(this, buffer, start, end))
      case frontend.parse:
      case frontend.bind:
      case frontend.describe:
      case frontend.execute:
      case frontend.close:
        if (this.isSkipping) return true
        if (this.segment === null && !this.#mayStart()) return false
        return collect(this, type, buffer, start, end)
      case frontend.sync:
        return this.#handleSync(buffer, start, end)
      case frontend.flush:
        return this.isSkipping || this.#handleFlush(type, buffer, start, end)
      case frontend.copyData:
      case frontend.copyDone:
      case frontend.copyFail:
        return this.#handleCopy(type, buffer, start, end)
      case frontend.functionCall:
        return this.isSkipping || (this.#mayEnd() && handleFunctionCall(this, buffer, start, end))
      case frontend.terminate:
        if (this.waiting !== null || (this.inFlight.length > 0 && !this.isCopyIn)) return false
        this.link.end()
        this.close()
        return true
      default:
        throw new ProtocolError(`invalid frontend message type ${type}`)
    }
  }

  /**
   * A new request may start when nothing is in flight, or when the session has a server connection
   * of its own: there it queues as it would on a direct connection.
   */
  #mayStart(): boolean {
    if (this.waiting !== null) return false
    // A client that sends requests and reads no answers: it goes on when it has read.
    if (this.link.pendingBytes > highWaterBytes) return false
    if (this.inFlight.length === 0) return true
    // Behind a COMMIT on a replica the next request may belong to the primary.
    if (this.lease === null || this.cluster.isReplica(this.lease.nodeIndex)) return false
    // Which part of a segment with a Query in it gets ReadyForQuery is known when it has run.
    if (this.inFlight.at(-1)?.queryAt !== -1) return false
    if (this.lease.link.pendingBytes <= highWaterBytes) return true
    this.#pauseForServer(this.lease)
    return false
  }

  /** A Query or FunctionCall starts a request, or ends the segment that is being collected. */
  #mayEnd(): boolean {
    return this.segment !== null || this.#mayStart()
  }

  #handleSync(buffer: Buffer, start: number, end: number): boolean {
    if (this.isSkipping) {
      this.isSkipping = false
      // The server skips, too: this Sync is its.
      if (this.segment !== null && this.segment.connection !== null) {
        return finishSegment(this, buffer, start, end)
      }
      this.segment = null
      this.say(readyForQuery(this.localStatus))
      return true
    }
    if (this.isCopyIn && this.lease !== null) {
      // The server ignores it while it copies (protocol-flow, "COPY Operations"); after an error
      // that is still on its way it ends the segment.
      if (this.inFlight[0]?.endsWithSync === true) this.lease.send(buffer, start, end)
      return true
    }
    if (this.segment === null && !this.#mayStart()) return false
    return finishSegment(this, buffer, start, end)
  }

  #handleFlush(type: number, buffer: Buffer, start: number, end: number): boolean {
    if (end - start === 5) return flushSegment(this)
    if (this.segment === null && !this.#mayStart()) return false
    return collect(this, type, buffer, start, end)
  }

  #handleCopy(type: number, buffer: Buffer, start: number, end: number): boolean {
    if (this.waiting !== null) return false
    const { segment } = this
    if (segment !== null && segment.kinds.length > segment.sentKinds && !this.isSkipping) {
      // Data of a client that doesn't wait for CopyInResponse: what asks for it goes first.
      flushSegment(this)
      if (segment.connection === null) return this.segment === null
    }
    // Outside COPY the server ignores these, and so do we (protocol-flow, "COPY Operations").
    if (this.lease === null || !(this.isCopyIn || this.inFlight.some(copiesIn))) return true
    this.lease.send(buffer, start, end)
    if (type !== frontend.copyData) {
      if (!this.isCopyIn) this.#endCopyEarly()
      this.isCopyIn = false
    }
    if (this.lease.link.pendingBytes > highWaterBytes) this.#pauseForServer(this.lease)
    return true
  }

  /** CopyDone and CopyFail messages that were sent before their CopyInResponse came. */
  #earlyCopyEnds = 0
  /** The segment of such a COPY had its Sync in front of the data, where COPY IN swallows it. */
  #isSyncSwallowed = false

  #endCopyEarly(): void {
    this.#earlyCopyEnds++
    const request = this.inFlight.find(copiesIn)
    if (request?.isComplete === true && request.endsWithSync) this.#isSyncSwallowed = true
  }
  #pausedForServer = false

  #pauseForServer(connection: ServerConnection): void {
    if (this.#pausedForServer) return
    this.#pausedForServer = true
    this.link.pause()
    connection.link.onDrain = () => {
      connection.link.onDrain = () => {}
      this.#goOnReading()
      this.pump()
    }
  }

  /** The server connection has room again, or is gone. */
  #goOnReading(): void {
    if (!this.#pausedForServer) return
    this.#pausedForServer = false
    if (this.#inputBytes <= maxInputBytes) this.link.resume()
  }

  // ---- answers to the client

  /** Transaction status as the client sees it while nothing is in flight. */
  get localStatus(): number {
    if (this.isBroken) return txStatus.failed
    if (this.deferred !== null) return txStatus.block
    return this.lease === null ? txStatus.idle : this.lease.status
  }

  /** Sends a message of our own. */
  say(message: Uint8Array): void {
    this.cluster.counters.sent += message.length
    this.link.write(message)
  }

  forward(request: Request, buffer: Uint8Array, start: number, end: number): void {
    if (this.isGone) return
    this.cluster.counters.sent += end - start
    this.link.write(buffer, start, end)
    if (this.link.pendingBytes > highWaterBytes) this.#pauseServer(request.connection)
  }

  /** A client that reads slowly stops its server, not our memory. */
  #pauseServer(connection: ServerConnection | null): void {
    if (connection === null || this.#pausedServer === connection) return
    this.#pausedServer = connection
    connection.link.pause()
    connection.isReaderSlow = true
  }

  #onDrain = (): void => {
    this.#resumeServer()
    this.pump()
  }

  /** The client has read, or its answer is complete: the next user's must not wait for it. */
  #resumeServer(): void {
    const connection = this.#pausedServer
    if (connection === null) return
    this.#pausedServer = null
    connection.isReaderSlow = false
    connection.link.resume()
  }

  // ---- what requests tell

  heal(request: Request, fields: ErrorFields): boolean {
    return mayHeal(this, request, fields)
  }

  onCopyIn(request: Request): void {
    if (this.#earlyCopyEnds > 0) {
      this.#earlyCopyEnds--
      if (this.#isSyncSwallowed) this.#replaceSync(request)
      return
    }
    this.isCopyIn = true
    const connection = request.connection
    if (connection === null) return
    // Bare Syncs that were sent before the server entered COPY IN have been swallowed by it …
    for (;;) {
      const next = connection.queue.at(1)
      if (next === null || this.inFlight[1] !== next || this.inFlight[1].kinds.length > 0) break
      if (this.inFlight[1].kind !== 'extended') break
      connection.queue.removeSecond()
      this.inFlight.splice(1, 1)
      this.cluster.load.finish(connection.nodeIndex, 0)
    }
    if (!request.endsWithSync) {
      this.pump()
      return
    }
    // … and so has the segment's own: it goes on behind the data, up to the next Sync.
    if (request.isComplete && this.segment !== null) {
      this.#fail(new ProtocolError('a request was sent behind COPY FROM STDIN instead of data'))
      return
    }
    if (request.isComplete) reopen(this, request)
    this.pump()
  }

  /** COPY IN has swallowed the segment's Sync: the first one behind the data ends it. */
  #replaceSync(request: Request): void {
    this.#isSyncSwallowed = false
    const next = this.inFlight[1]
    const connection = request.connection
    if (next !== undefined && connection !== null) {
      const isBareSync = next.kind === 'extended' && next.kinds.length === 0
      if (isBareSync && connection.queue.at(1) === next) {
        connection.queue.removeSecond()
        this.inFlight.splice(1, 1)
        this.cluster.load.finish(connection.nodeIndex, 0)
        return
      }
    } else if (this.segment === null) {
      reopen(this, request)
      this.pump()
      return
    }
    this.#fail(new ProtocolError('a request was sent behind COPY FROM STDIN without a Sync'))
  }

  onSkipped(request: Request): void {
    this.isSkipping = true
    reopen(this, request)
    this.pump()
  }

  onDone(request: Request, status: number): void {
    this.isCopyIn = false
    this.#earlyCopyEnds = 0
    this.#isSyncSwallowed = false
    if (this.segment === request) this.segment = null
    this.#resumeServer()
    finishRequest(this, request, status)
  }

  onRequestLost(request: Request, error: Error): void {
    this.isCopyIn = false
    this.#resumeServer()
    this.#goOnReading()
    loseRequest(this, request, error)
  }

  /** Drops the client's name for a statement; errors about it may still be on their way. */
  forgetName(name: string, statement: PreparedStatement): void {
    this.statements.delete(name)
    this.#dropped.set(statement.serverName, name)
    if (this.#dropped.size > maxDroppedNames) {
      const [oldest] = this.#dropped.keys()
      if (oldest !== undefined) this.#dropped.delete(oldest)
    }
    this.scope.statements.release(statement)
  }

  clientName(serverName: string): string | null {
    for (const [name, statement] of this.statements) {
      if (statement.serverName === serverName) return name
    }
    return this.#dropped.get(serverName) ?? null
  }

  parameterFor(request: Request, frame: Buffer): Buffer | null {
    return reportedToClient(this, request, frame)
  }

  onMoved(request: Request): void {
    moved(this, request)
  }

  onConnectionLost(connection: ServerConnection): void {
    loseLease(this, connection)
  }

  /** Runs a request: routes it, gets a connection, sends it. */
  run(request: Request): void {
    dispatch(this, request)
  }

  /** CancelRequest with this session's key. */
  cancel(): void {
    cancelCurrent(this)
  }

  /** Where a statement of this class would go now: node, class, reason. */
  explain(cls: StatementClass): string[] {
    const { node, reason } = this.cluster.route(cls, this.facts, 0)
    return [
      node?.id ?? 'none',
      cls.verdict,
      this.pinReason === null ? reason : `pinned: ${this.pinReason}`,
    ]
  }

  noteParameter(name: string, value: string): void {
    if (name === 'standard_conforming_strings') this.#hasEscapes = value !== 'on'
    else if (name === 'client_encoding') this.#encoding = value.toUpperCase()
    else return
    this.lexMode = unsafeEncodings.has(this.#encoding)
      ? 'unsafe-encoding'
      : this.#hasEscapes
        ? 'escape'
        : this.#encoding === 'UTF8'
          ? 'standard'
          : 'foreign-encoding'
  }

  /** Nothing runs and nothing is open: the client may be sent away without loss. */
  get isIdle(): boolean {
    return (
      this.inFlight.length === 0 &&
      this.waiting === null &&
      this.segment === null &&
      this.transaction === null &&
      !this.isBroken
    )
  }

  /** Tells the client that pgsplit ends, and closes. */
  shutDown(): void {
    if (this.isGone) return
    this.say(
      errorResponse({
        sqlstate: '57P01',
        message: 'terminating connection because pgsplit is shutting down',
        severity: 'FATAL',
      }),
    )
    this.link.end()
    this.close()
  }

  /** The client is gone or is sent away: nothing of it stays on a server connection. */
  close(): void {
    if (this.isGone) return
    this.isGone = true
    this.#input.length = 0
    const paused = this.#pausedServer
    this.#pausedServer = null
    if (paused !== null) {
      paused.isReaderSlow = false
      paused.link.resume()
    }
    abandon(this)
    for (const statement of this.statements.values()) this.scope.statements.release(statement)
    this.statements.clear()
    this.#onClose(this)
  }
}

/** Will the server ask for data? Only what is sent behind such a request can be data for it. */
function copiesIn({ effects }: Request): boolean {
  return effects.some((effect) => effect.kind === 'copy' && effect.direction === 'in')
}

const copyTypes: ReadonlySet<number> = new Set([
  frontend.copyData,
  frontend.copyDone,
  frontend.copyFail,
  frontend.flush,
  frontend.sync,
  frontend.terminate,
])

const requestTypes: ReadonlySet<number> = new Set(Object.values(frontend))

/** Encodings whose second byte may be a backslash or a quote: the server converts before lexing. */
const unsafeEncodings = new Set([
  'SJIS',
  'SHIFT_JIS_2004',
  'BIG5',
  'GBK',
  'UHC',
  'GB18030',
  'JOHAB',
])
