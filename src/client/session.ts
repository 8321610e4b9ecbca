import { type ErrorFacts, PgSplitError, ProtocolError } from '../errors.ts'
import type { Link } from '../net/link.ts'
import type { TurnShare } from '../net/turn-share.ts'
import type { DatabaseTally } from '../routing/database-tally.ts'
import type { Patience } from '../routing/patience.ts'
import type { SessionFacts } from '../routing/requirement.ts'
import { defaultVisibleWaitMs, type Visibility } from '../routing/visible-commits.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { SessionState } from '../server/session-state.ts'
import { unreadNote } from '../sql/hints.ts'
import type { LexMode } from '../sql/lexer.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import { errorResponse } from '../wire/backend-messages.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import { Framer, type FrameSink } from '../wire/framer.ts'
import { terminate } from '../wire/frontend-messages.ts'
import { backend, frontend, txStatus } from '../wire/message-types.ts'
import { Block } from './block.ts'
import { cancelCurrent } from './cancel-current.ts'
import type { ClusterAccess, PoolMode, SessionScope } from './cluster-access.ts'
import { collected } from './collected.ts'
import { Collecting } from './collecting.ts'
import { CommitGate } from './commit-gate.ts'
import { CopyIn } from './copy-in.ts'
import { reopen } from './extended.ts'
import { finishRequest } from './finish-request.ts'
import { Flow, highWaterBytes } from './flow.ts'
import type { GrantUse } from './grant-use.ts'
import { type Grants, isGuarded, noGrants } from './grants.ts'
import { HalfClosed } from './half-closed.ts'
import { HeldConnections } from './held-connections.ts'
import { InFlight } from './in-flight.ts'
import { LastRoute } from './last-route.ts'
import { abandon } from './leave-connection.ts'
import { LexModes } from './lex-mode.ts'
import type { Listener } from './listener.ts'
import { LongMessage, longBindBytes, mayStream } from './long-message.ts'
import { loseLease, loseRequest } from './lost-request.ts'
import { noteBegin } from './note-begin.ts'
import { holdCommit } from './note-seen.ts'
import { inOwnWords } from './own-answers.ts'
import type { OwnCommand } from './own-command.ts'
import { unparkIfDone } from './parked.ts'
import { Pins, type PinWord } from './pins.ts'
import { Portals } from './portals.ts'
import { reportedAtEnd, reportedToClient } from './reported.ts'
import type { Request, RequestOwner } from './request.ts'
import { mayHeal, moved } from './rerun-request.ts'
import { dispatch, goOn } from './route-request.ts'
import { SessionGuard } from './session-guard.ts'
import { SessionSettings } from './session-settings.ts'
import type { SessionsByProcess } from './signal-backend.ts'
import { StatementNames } from './statement-names.ts'
import { takeFrame } from './take-frame.ts'
import type { DeferredBegin, Transaction } from './transaction.ts'
import { Unnamed } from './unnamed.ts'
import { Waiting } from './waiting.ts'

/** What a client's message takes of its share of a turn: judging it costs more than passing on a row. */
const stepsPerFrame = 4

/** A CopyData frame up to this size is handled whole. */
const maxCopyFrameBytes = 64 * 1024

interface HeldInput {
  readonly type: number
  readonly bytes: Buffer
  /** Of a message that is not collected: which part it is; null: it is whole (or COPY data). */
  readonly part: 'first' | 'mid' | 'last' | null
}

export interface SessionSetup {
  readonly id: number
  readonly link: Link
  readonly cluster: ClusterAccess
  readonly scope: SessionScope
  readonly startup: SessionState
  readonly facts: SessionFacts
  readonly applicationName: string
  readonly peers: SessionsByProcess
  readonly onClose: (session: ClientSession) => void
  /** What the configuration says of it, and who counts that; absent: nothing. */
  readonly grant?: { readonly grants: Grants; readonly use: GrantUse }
}

/**
 * One client that has logged in. Frames come in order; what can't be handled yet waits in `#input`.
 * The rooms beside this file do the work on its fields: `simple`, `extended`, `dispatch`,
 * `effects`, `local-answer`.
 */
export class ClientSession implements FrameSink, RequestOwner, Patience {
  readonly id: number
  readonly link: Link
  readonly cluster: ClusterAccess
  readonly scope: SessionScope
  readonly tally: DatabaseTally
  readonly facts: SessionFacts
  readonly applicationName: string
  readonly connectedAtMs: number
  readonly peers: SessionsByProcess
  readonly grants: Grants
  readonly guard: SessionGuard | null
  /** The process id that the client was given for CancelRequest; 0 before that. */
  processId = 0
  readonly settings: SessionSettings
  lexMode: LexMode = 'standard'
  readonly #lexModes = new LexModes()
  #pins: Pins | null = null
  readonly block = new Block()
  readonly held = new HeldConnections()
  /** When server connections are given back: `pool.mode`, or the client's own `pgsplit.pool_mode`. */
  poolMode: PoolMode
  /** The server of the lease has been asked for all that the session may have left there. */
  isAsking = false
  /** What has run and has to be judged again by the catalog, before the server is asked. */
  readonly blind = new Set<Request['cls']>()
  waitsForCatalog = false
  /** Requests handed to server connections and not answered yet, in order. */
  readonly inFlight = new InFlight()
  readonly waiting = new Waiting()
  /** Cancel requests for it that are under way. */
  cancelling = 0
  readonly collecting = new Collecting()
  readonly copyIn = new CopyIn(this)
  readonly statements: StatementNames
  readonly unnamed = new Unnamed()
  readonly portals = new Portals()
  /** What it was told at log-in, if its startup packet has settings. */
  reported: ReadonlyMap<string, string> | null = null
  /** See `reported.ts`. */
  told: Map<string, string> | null = null
  /** The state that `facts` were read from. */
  factsState: SessionState | null = null
  /** `pgsplit.*` settings as they were at log-in: what RESET goes back to. */
  readonly ownDefaults: Pick<
    SessionFacts,
    'routeSetting' | 'consistency' | 'maxLagMs' | 'causalWaitMs' | 'transactions'
  > & { readonly poolMode: PoolMode; readonly visibility: Visibility }
  /** Where the last thing ran that may have called nextval(); see `sequences.ts`. */
  sequenceConnection: ServerConnection | null = null
  /** What it hears by the hub; null: it never listened, or has stopped to. */
  listener: Listener | null = null
  /** What the open transaction has done on the primary. */
  onPrimary: 'nothing' | 'read' | 'written' = 'nothing'
  /** It has ever written, or was told what another one has. */
  hasWritten = false
  /** When a replica was last chosen for its reads. */
  choseAtMs = 0
  /** Its last request was a read that no replica was far enough for. */
  wasBehind = false
  /** Since when that has been so, or since its last long wait in vain. */
  behindSinceMs = 0
  /** How long its read may wait for a replica in all, ms, and until when; null = none waits. */
  catchUpLimitMs = 0
  catchUpUntilMs: number | null = null
  /** Until when its request may wait for a primary; null = none does. */
  holdUntilMs: number | null = null
  /** Until when SHOW pgsplit.causal_token waits for a position; null = none is asked for. */
  tokenDeadlineMs: number | null = null
  readonly route = new LastRoute()
  requestStartedAtMs = 0
  queries = 0
  isGone = false

  #gate: CommitGate | null = null
  #framer: Framer
  readonly #flow: Flow
  /** What it holds of `collected`, bytes. */
  #claimedBytes = 0
  /** Of the turn in which a chunk is gone through. */
  #share: TurnShare | null = null
  #input: HeldInput[] = []
  #isPumping = false
  #long: LongMessage | null = null
  #halfClosed: HalfClosed | null = null
  #onClose: (session: ClientSession) => void

  constructor(setup: SessionSetup) {
    this.id = setup.id
    this.link = setup.link
    this.cluster = setup.cluster
    this.scope = setup.scope
    this.tally = setup.cluster.tallyOf(setup.scope.database)
    this.peers = setup.peers
    this.grants = setup.grant?.grants ?? noGrants
    this.guard =
      setup.grant !== undefined && isGuarded(this.grants)
        ? new SessionGuard(this, this.grants, setup.grant.use, setup.scope.classifier)
        : null
    this.statements = new StatementNames(setup.scope.statements)
    this.#flow = new Flow(setup.link)
    this.facts = setup.facts
    const { routeSetting, consistency, maxLagMs, causalWaitMs, transactions } = setup.facts
    const poolMode = this.grants.poolMode ?? setup.cluster.limits.poolMode
    this.ownDefaults = {
      routeSetting,
      consistency,
      maxLagMs,
      causalWaitMs,
      transactions,
      poolMode,
      visibility: noVisibility,
    }
    this.poolMode = poolMode
    this.applicationName = setup.applicationName
    this.settings = new SessionSettings(setup.startup)
    this.connectedAtMs = setup.cluster.nowMs()
    this.#onClose = setup.onClose
    this.#framer = new Framer(this, setup.cluster.limits.maxFrameBytes, stepsPerFrame)
  }

  /** Starts to read; `leftover` is what came in behind the log-in. */
  start(leftover: Buffer | null): void {
    this.link.onChunk = this.#onChunk
    this.link.onDrain = this.#onDrain
    this.link.onClose = () => this.close()
    this.link.onEnd = () => this.#endInput()
    if (leftover !== null) this.link.offer(leftover)
  }

  /** The extended request that is being collected. */
  get segment(): Request | null {
    return this.collecting.segment
  }

  get isSkipping(): boolean {
    return this.collecting.isSkipping
  }

  get state(): SessionState {
    return this.settings.state
  }

  get startup(): SessionState {
    return this.settings.startup
  }

  get actual(): SessionState | null {
    return this.settings.actual
  }

  get transaction(): Transaction | null {
    return this.block.transaction
  }

  /** A BEGIN that was answered and not sent yet. */
  get deferred(): DeferredBegin | null {
    return this.block.deferred
  }

  /** The transaction was lost with its server; 25P02 until it is ended. */
  get isBroken(): boolean {
    return this.block.stage === 'lost'
  }

  /** The server connection that it has for itself now. */
  get lease(): ServerConnection | null {
    return this.held.lease
  }

  /** Made when first asked for: most sessions never pin. */
  get pins(): Pins {
    this.#pins ??= new Pins()
    return this.#pins
  }

  /** Why the session must keep its lease; null: it need not, or what it must keep is parked. */
  get pinReason(): string | null {
    return this.#pins === null || this.held.parked !== null ? null : this.#pins.reason
  }

  /** Routing goes by its present pin from here on. */
  notePin(): void {
    this.facts.pinned = this.pinReason
  }

  /** The same without the names of what it is. */
  get pinKind(): string | null {
    return this.#pins === null ? null : this.#pins.kind
  }

  /** The same as one word; null also while what it must keep is parked. */
  get pinWord(): PinWord | null {
    return this.#pins === null || this.held.parked !== null ? null : this.#pins.word
  }

  // ---- frames of the client

  isWhole(type: number, frameBytes: number): boolean {
    if (type === frontend.copyData) return frameBytes <= maxCopyFrameBytes
    // Not only when it is complete: a second StartupMessage looks like a long frame of type 0.
    if (!requestTypes.has(type) && !this.copyIn.isActive)
      throw new ProtocolError(`invalid frontend message type ${type}`)
    const { maxRequestBytes } = this.cluster.limits
    if (type === frontend.bind && frameBytes > longBindBytes) return false
    if (frameBytes <= maxRequestBytes) {
      if (!collected.isCounted(frameBytes) || !mayStream(type)) return true
      if (!collected.claim(frameBytes)) return false
      this.#claimedBytes += frameBytes
      return true
    }
    if (mayStream(type)) return false
    throw new PgSplitError({
      sqlstate: '54000',
      message: `a message of ${frameBytes} bytes is longer than this proxy takes (${maxRequestBytes})`,
      hint: 'Raise limits.maxBufferedRequest.',
      severity: 'FATAL',
    })
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    // Behind Terminate, or behind what broke the session, nothing is looked at.
    if (this.isGone) return
    if (this.#input.length > 0 || !takeFrame(this, type, buffer, start, end)) {
      this.#hold(type, buffer, start, end)
    }
    if (this.guard !== null) this.guard.settle()
    if (this.#claimedBytes > 0) this.#releaseClaim()
  }

  /** Its long statements are done with: others have room for theirs. */
  #releaseClaim(): void {
    if (!this.isGone && !(this.isIdle && this.#input.length === 0)) return
    collected.release(this.#claimedBytes)
    this.#claimedBytes = 0
  }

  onPart(
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
    isFirst: boolean,
    isLast: boolean,
  ): void {
    if (type === frontend.copyData) this.onFrame(type, buffer, start, end)
    else if (!this.isGone) {
      this.#long ??= new LongMessage(this)
      const taken =
        this.#input.length === 0 && this.#long.take(type, buffer, start, end, isFirst, isLast)
      if (!taken) this.#hold(type, buffer, start, end, isFirst ? 'first' : isLast ? 'last' : 'mid')
    }
  }

  #onChunk = (chunk: Buffer, share: TurnShare): number => {
    if (this.isGone) return chunk.length
    let taken = chunk.length
    this.#share = share
    try {
      taken = this.#framer.push(chunk, share)
    } catch (error) {
      this.fail(error)
    } finally {
      this.#share = null
    }
    this.tally.received(taken)
    return taken
  }

  /** The session can't go on: says why and closes. */
  fail(error: unknown): void {
    const facts: PgSplitError =
      error instanceof PgSplitError
        ? error
        : new ProtocolError(`internal error: ${error instanceof Error ? error.message : error}`)
    this.say(errorResponse(facts.facts('FATAL')))
    this.link.end()
    this.close()
  }

  #hold(
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
    part: HeldInput['part'] = null,
  ): void {
    this.#input.push({ type, bytes: Buffer.from(buffer.subarray(start, end)), part })
    this.#flow.addInput(end - start)
    // What comes behind it is left where it is.
    this.#share?.stop()
  }

  /** Goes on with held input; call it whenever something was answered or a connection was given. */
  pump(): void {
    unparkIfDone(this)
    const { waiting } = this
    if (waiting.isUntilAlone && !this.inFlight.some((one) => !waiting.isFor(one))) {
      waiting.noteAlone()
    }
    if (this.#isPumping || this.#input.length === 0 || this.isGone) return
    this.#isPumping = true
    let used = 0
    try {
      while (used < this.#input.length && !this.isGone) {
        const { type, bytes, part } = this.#input[used] as HeldInput
        const taken =
          part === null || this.#long === null
            ? takeFrame(this, type, bytes, 0, bytes.length)
            : this.#long.take(type, bytes, 0, bytes.length, part === 'first', part === 'last')
        if (!taken) break
        this.#flow.addInput(-bytes.length)
        used++
      }
    } catch (error) {
      this.fail(error)
    } finally {
      this.#input.splice(0, used)
      this.#isPumping = false
    }
    this.guard?.settle()
    this.#flow.resumeClient()
    if (this.#input.length === 0) this.link.goOn()
  }

  /**
   * The client has closed its side. Like PostgreSQL, which reads to the end of what was sent, this
   * does what is asked already and answers it, as if Terminate had come last.
   */
  #endInput(): void {
    if (this.isGone) return
    this.#halfClosed = new HalfClosed(this)
    this.link.whenTaken(() => {
      // What a server has half of never ends: it goes with the client, as PostgreSQL lets it go.
      if (this.#framer.isInPart) this.link.destroy()
      else this.onFrame(frontend.terminate, terminate, 0, terminate.length)
    })
  }

  /** The server doesn't read: nothing more is taken from the client until it does. */
  waitForServer(connection: ServerConnection): void {
    this.#flow.pauseForServer(connection, this.#goOn)
  }

  #goOn = (): void => this.pump()

  // ---- answers to the client

  /** Transaction status as the client sees it while nothing is in flight. */
  get localStatus(): number {
    if (this.isBroken) return txStatus.failed
    if (this.deferred !== null) return txStatus.block
    return this.lease === null ? txStatus.idle : this.lease.status
  }

  /** Sends a message of our own. */
  say(message: Uint8Array): void {
    if (this.listener !== null) {
      if (message[0] === backend.readyForQuery) this.listener.holdReady(message[5] ?? 0)
      if (this.listener.hold(message, 0, message.length)) return
    }
    this.write(message, 0, message.length)
  }

  /** What goes to the client goes through here. */
  write(bytes: Uint8Array, start: number, end: number): void {
    if (this.#gate?.hold(bytes, start, end) === true) return
    this.tally.sent(end - start)
    this.link.write(bytes, start, end)
  }

  /** Made when the session first asks for commits that replicas show. */
  get gate(): CommitGate {
    const straight = (bytes: Uint8Array): void => {
      this.tally.sent(bytes.length)
      this.link.write(bytes)
    }
    this.#gate ??= new CommitGate(this.cluster.visible, straight)
    return this.#gate
  }

  /** How many replicas are to show a commit, by the session's own setting. */
  get visibility(): Visibility {
    return this.#gate?.visibility ?? noVisibility
  }

  /** A commit is waited for: nothing begins before its end has gone out. */
  get isHoldingCommit(): boolean {
    return this.#gate?.isHolding === true
  }

  holdCommit(request: Request, status: number): void {
    holdCommit(this, request, status)
  }

  forward(request: Request, buffer: Uint8Array, start: number, end: number): void {
    if (this.isGone) return
    if (this.listener?.hold(buffer, start, end) === true) return
    this.write(buffer, start, end)
    if (this.link.hasBacklog(highWaterBytes)) this.#flow.pauseServer(request.connection)
  }

  #onDrain = (): void => {
    this.#flow.resumeServer()
    this.pump()
  }

  // ---- what requests tell

  heal(request: Request, fields: ErrorFields): boolean {
    return mayHeal(this, request, fields)
  }

  onAnswered(request: Request): void {
    if (request.isMoving && request.connection !== null) goOn(this, request, request.connection)
    this.pump()
  }

  onCopyIn(request: Request): void {
    this.copyIn.begin(request)
  }

  endCopyIn(request: Request, error: ErrorFields): 'refused' | 'skips' | null {
    return this.copyIn.end(request, error)
  }

  leaveCopyIn(frame: Buffer, error: ErrorFields): void {
    this.copyIn.leave(frame, error)
  }

  onSkipped(request: Request): void {
    this.collecting.skip()
    reopen(this, request)
    this.pump()
  }

  onDone(request: Request, status: number): void {
    this.copyIn.reset()
    this.collecting.endOf(request)
    this.#flow.resumeServer()
    finishRequest(this, request, status)
    if (this.guard !== null) {
      this.guard.follow()
      this.guard.settle()
    }
    if (this.#claimedBytes > 0) this.#releaseClaim()
  }

  onRequestLost(request: Request, error: Error): void {
    this.copyIn.reset()
    this.#flow.resumeServer()
    this.#flow.serverHasRoom()
    loseRequest(this, request, error)
    this.guard?.follow()
    this.guard?.settle()
  }

  get isUtf8(): boolean {
    return this.lexMode !== 'foreign-encoding' && this.lexMode !== 'unsafe-encoding'
  }

  clientName(serverName: string): string | null {
    return this.statements.clientName(serverName)
  }

  parameterFor(request: Request, frame: Buffer): Buffer | null {
    return reportedToClient(this, request, frame)
  }

  inOwnWords(command: OwnCommand, type: number, frame: Buffer): Buffer | null {
    return inOwnWords(this, command, type, frame)
  }

  parametersAtEnd(request: Request): readonly Buffer[] {
    return reportedAtEnd(this, request)
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

  /** CancelRequest with this session's key, or `why`; resolves when the signal has been sent. */
  cancel(why?: ErrorFacts): Promise<void> {
    return cancelCurrent(this, why)
  }

  cut(facts: ErrorFacts): void {
    this.leaveWith(errorResponse(facts))
  }

  /** Where a statement of this class would go now: node, class, reason. */
  explain(cls: StatementClass): string[] {
    noteBegin(this, null)
    const { node, reason } = this.cluster.route(cls, this.facts, 0)
    const why = this.pinReason === null ? reason : `pinned: ${this.pinReason}`
    return [node?.id ?? 'none', cls.verdict, why + unreadNote(cls.hint)]
  }

  noteParameter(name: string, value: string): void {
    this.lexMode = this.#lexModes.note(name, value) ?? this.lexMode
  }

  /** A notification on a channel that the server connection listens to. */
  notify(frame: Buffer): void {
    const channel = this.listener === null ? '' : frame.toString('utf8', 9, frame.indexOf(0, 9))
    if (this.listener?.hears(channel) === true) return
    const from = this.scope.hub?.clientOf(frame.readInt32BE(5)) ?? null
    // The frame's bytes are the reader's.
    const own = from === null ? frame : Buffer.from(frame)
    if (from !== null) own.writeInt32BE(from, 5)
    this.say(own)
  }

  /** Is the client told when it may go on? Notifications come in front of that. */
  get isListening(): boolean {
    return this.listener !== null
  }

  holdReady(status: number): void {
    this.listener?.holdReady(status)
  }

  /** Changes of what it listens to that wait for their COMMIT. */
  get pending(): number {
    return this.listener === null ? 0 : this.listener.pending
  }

  /** A server process would be between two requests, and in no transaction. */
  get isQuiet(): boolean {
    return this.isIdle && this.deferred === null && this.localStatus === txStatus.idle
  }

  /** Nothing runs and nothing is open: the client may be sent away without loss. */
  get isIdle(): boolean {
    return (
      this.inFlight.length === 0 &&
      this.waiting.request === null &&
      this.segment === null &&
      this.transaction === null &&
      !this.isBroken
    )
  }

  /** Tells the client that pgsplit ends, and closes. */
  shutDown(): void {
    this.sendAway('57P01', 'terminating connection because pgsplit is shutting down')
  }

  /** As pg_terminate_backend() ends a server process: its client hears the same. */
  terminate(): void {
    this.sendAway('57P01', 'terminating connection due to administrator command')
  }

  /** Says why the session ends, and closes. */
  sendAway(sqlstate: string, message: string, hint?: string): void {
    this.leaveWith(errorResponse({ sqlstate, message, ...(hint && { hint }), severity: 'FATAL' }))
  }

  /** Closes with this last message. */
  leaveWith(farewell: Uint8Array): void {
    if (this.isGone) return
    this.listener?.release()
    this.#gate?.open()
    // Half a row is out: no message can be placed any more.
    if (this.inFlight.first?.isMidFrame !== true) this.say(farewell)
    this.link.end()
    this.close()
  }

  /** The client is gone or is sent away: nothing of it stays on a server connection. */
  close(): void {
    if (this.isGone) return
    this.isGone = true
    this.#halfClosed?.stop()
    this.#input.length = 0
    this.#framer.abandon()
    if (this.#claimedBytes > 0) this.#releaseClaim()
    this.#flow.resumeServer()
    this.listener?.close()
    this.guard?.close()
    this.#gate?.drop()
    abandon(this)
    this.statements.releaseAll()
    this.#onClose(this)
  }
}

/** Of a session that asks for none. */
const noVisibility: Visibility = { replicas: 0, waitMs: defaultVisibleWaitMs }

const requestTypes: ReadonlySet<number> = new Set(Object.values(frontend))
