import { ProtocolError } from '../errors.ts'
import type { Link } from '../net/link.ts'
import type { TurnShare } from '../net/turn-share.ts'
import { Cursor } from '../wire/cursor.ts'
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts'
import { Framer, type FrameSink } from '../wire/framer.ts'
import { terminate } from '../wire/frontend-messages.ts'
import { backend, frontend, txStatus } from '../wire/message-types.ts'
import { ask, errorOf } from './ask.ts'
import { ChannelUse } from './channel-use.ts'
import { ReplyQueue, type ReplyReceiver } from './reply-queue.ts'
import { ReportedParameters } from './reported-parameters.ts'
import { SessionState, type StateChange, stateChanges } from './session-state.ts'
import { stateSyncMessages } from './state-sync.ts'

/** What a log-in at a server has found out. */
export interface ServerConnectionFacts {
  readonly link: Link
  readonly nodeIndex: number
  readonly nodeId: string
  readonly processId: number
  readonly secretKey: Buffer
  readonly parameters: Map<string, string>
}

/** Who has a connection for himself: gets what the server says unasked. */
export interface ConnectionHolder {
  /** What the client was told at log-in. */
  readonly processId: number
  say(message: Uint8Array): void
  noteParameter(name: string, value: string): void
  /** A NotificationResponse; its bytes are only valid during the call. */
  notify(frame: Buffer): void
  /** The connection went; called after those who wait for its answers were told. */
  onConnectionLost(connection: ServerConnection): void
}

export interface ServerConnectionEvents {
  /** After every ReadyForQuery that leaves nothing in flight. */
  onQuiet(connection: ServerConnection): void
  /** Once. `fatal` is the server's own last word, if it said one. */
  onLost(connection: ServerConnection, error: Error, fatal: ErrorFields | null): void
  /** A notice while nobody is being answered. */
  onStrayNotice(connection: ServerConnection, fields: ErrorFields): void
}

/** Why a connection must not be handed on. */
export type Condemnation =
  | 'lost'
  /** The server has said its last word, and nobody was being answered. */
  | 'ended by the server'
  | 'setting refused'
  | 'UNLISTEN refused'
  /**
   * The server has half an implicit transaction: a Query came inside a segment. The next thing that
   * it is asked is refused, which is the client's to hear, and nobody's else.
   */
  | 'stumbled'
  /** A cancel request that was meant for another request may still come. */
  | 'cancel near'
  | 'client left'
  | 'dropped'
  /** It has what DISCARD ALL leaves. */
  | 'outlives DISCARD ALL'
  /** An error has left custom parameters that nobody knows. */
  | 'customs unknown'
  | 'node demoted'

/** Whose values `currval()` and `lastval()` would give: a session's id, if it is one's. */
type SequenceUser = number | 'nobody' | 'several'

let nextId = 1

/** Largest control message of a server that is collected in memory (errors, notices, statuses). */
const maxControlBytes = 1 << 20

/**
 * One connection to a PostgreSQL server. It knows what is in flight (the reply queue) and what state
 * the server's session has; it does not know clients.
 */
export class ServerConnection implements FrameSink {
  readonly id: number = nextId++
  readonly nodeIndex: number
  readonly nodeId: string
  readonly processId: number
  readonly secretKey: Buffer
  readonly link: Link
  /** Reported by ParameterStatus. */
  readonly parameters: Map<string, string>
  readonly queue = new ReplyQueue()
  /** Server-side names of prepared statements that exist here, in order of use (oldest first). */
  readonly prepared = new Map<string, true>()
  readonly channels = new ChannelUse()
  /** When opening it began. */
  readonly createdAtMs: number
  /** The pool's notes: since when it is idle, and what it was given for. */
  idleSinceMs = 0
  claim: 'work' | 'read' | 'hold' | null = null

  #state: SessionState = SessionState.empty
  #status: number = txStatus.idle
  #holder: ConnectionHolder | null = null
  #condemnation: Condemnation | null = null
  #unnamed: number | 'none' | 'unknown' = 'unknown'
  #sequenceUser: SequenceUser = 'nobody'
  #hasTemporarySchema = false
  #isSyncing = false
  #cancelsPending = 0
  #isCancelNear = false
  #isReaderSlow = false
  #headSinceMs: number | null = null
  #lastWord: Buffer | null = null
  #events: ServerConnectionEvents
  #framer: Framer
  #isClosed = false
  #fatal: ErrorFields | null = null
  #touched: ReplyReceiver | null = null
  /** Made when the server first reports another value than at log-in. */
  #reported: ReportedParameters | null = null
  #hasNews = false

  constructor(facts: ServerConnectionFacts, events: ServerConnectionEvents, nowMs: number) {
    this.nodeIndex = facts.nodeIndex
    this.nodeId = facts.nodeId
    this.processId = facts.processId
    this.secretKey = facts.secretKey
    this.parameters = facts.parameters
    this.link = facts.link
    this.createdAtMs = nowMs
    this.idleSinceMs = nowMs
    this.#events = events
    this.#framer = new Framer(this, 0x7fffffff)
    this.link.onChunk = this.#onChunk
    this.link.onClose = (error) => this.#lose(error ?? new Error('server closed the connection'))
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get depth(): number {
    return this.queue.size
  }

  /** Settings the server's session will have when all that is queued has run. */
  get state(): SessionState {
    return this.#state
  }

  get stateKey(): object {
    return this.#state
  }

  /** Transaction status of the last ReadyForQuery. */
  get status(): number {
    return this.#status
  }

  get isSyncing(): boolean {
    return this.#isSyncing
  }

  /** A statement has changed settings: they are these, beside the custom ones that are known here. */
  adoptState(state: SessionState): void {
    this.#state = state.knowing(this.#state.customs)
  }

  /** From here on `holder` gets what the server says unasked. */
  hold(holder: ConnectionHolder): void {
    this.#holder = holder
  }

  letGo(): void {
    this.#holder = null
  }

  get holder(): ConnectionHolder | null {
    return this.#holder
  }

  /** It must not be handed on any more; the first cause stays. */
  condemn(cause: Condemnation): void {
    this.#condemnation ??= cause
  }

  /** Why it must not be handed on; null: it may. */
  get condemnation(): Condemnation | null {
    return this.#condemnation
  }

  /** Is this what its unnamed statement holds? For `serial` see `UnnamedStatement`. */
  hasUnnamed(serial: number): boolean {
    return this.#unnamed === serial
  }

  /** Has it surely no unnamed statement? */
  get lacksUnnamed(): boolean {
    return this.#unnamed === 'none'
  }

  /** What its unnamed statement will be when all that is queued has run; null: none. */
  noteUnnamed(serial: number | null): void {
    this.#unnamed = serial ?? 'none'
  }

  /** Nobody knows what its unnamed statement is. */
  forgetUnnamed(): void {
    this.#unnamed = 'unknown'
  }

  /** Has this session called nextval() here, as far as is known, and nobody else since? */
  hasSequencesOf(sessionId: number): boolean {
    return this.#sequenceUser === sessionId
  }

  /** Has nobody called nextval() here, as far as is known? */
  get lacksSequences(): boolean {
    return this.#sequenceUser === 'nobody'
  }

  noteSequences(sessionId: number): void {
    this.#sequenceUser = sessionId
  }

  /** Values may be there that are not one session's. */
  mixSequences(): void {
    this.#sequenceUser = 'several'
  }

  /** DISCARD SEQUENCES has run. */
  forgetSequences(): void {
    this.#sequenceUser = 'nobody'
  }

  /** A temporary schema may have been made here, which stays, and shows to who creates in it. */
  noteTemporarySchema(): void {
    this.#hasTemporarySchema = true
  }

  /** Are cancel requests on their way to its server process? */
  get isBeingCancelled(): boolean {
    return this.#cancelsPending > 0
  }

  /** A cancel meant for the current request may hit the next ones, which are run again then. */
  get isCancelNear(): boolean {
    return this.#isCancelNear
  }

  /** A cancel request is sent; `hasOthers`: what others have queued here may be hit. */
  beginCancel(hasOthers: boolean): void {
    this.#cancelsPending++
    if (hasOthers) this.#isCancelNear = true
  }

  endCancel(): void {
    this.#cancelsPending--
    if (this.#isCancelNear) this.condemn('cancel near')
  }

  /** Is the client that reads the current answer slower than the server? */
  get isReaderSlow(): boolean {
    return this.#isReaderSlow
  }

  /** Reads no further until `resume`: the client doesn't. */
  pause(): void {
    this.#isReaderSlow = true
    this.link.pause()
  }

  resume(): void {
    this.#isReaderSlow = false
    this.link.resume()
  }

  /** When the request at the head of the queue was sent or reached the head, ms; null: there was none. */
  get headSinceMs(): number | null {
    return this.#headSinceMs
  }

  noteHead(nowMs: number): void {
    this.#headSinceMs = nowMs
  }

  /** The server's last FATAL as it came. */
  get lastWord(): Buffer | null {
    return this.#lastWord
  }

  /**
   * Who knows custom parameters gets a connection that knows them, so that others stay without. Who
   * creates in the temporary schema gets one that has none: `current_schema()` makes it, and marks
   * the transaction as one that can't be prepared. A key that is no state is as near as any.
   */
  nearness(stateKey: object): number {
    if (!(stateKey instanceof SessionState)) return 0
    if (this.#hasTemporarySchema && stateKey.namesTemporarySchema) return -1
    return this.#state.canBecome(stateKey) ? this.#state.customs.length : -1
  }

  /** Nothing in flight, no open transaction, nothing that forbids the next user. */
  get isClean(): boolean {
    return (
      !this.#isClosed &&
      this.queue.size === 0 &&
      this.#status === txStatus.idle &&
      this.#condemnation === null &&
      !this.channels.listens &&
      this.#cancelsPending === 0 &&
      this.unexplained === null
    )
  }

  /** A parameter that the server has reported, and that the connection's state does not explain. */
  get unexplained(): string | null {
    if (!this.#hasNews || this.#reported === null) return null
    const name = this.#reported.unexplained(this.#state)
    if (name === null) this.#hasNews = false
    return name
  }

  /** The server was asked for all of its session's settings, and `state` has them. */
  explainParameters(): void {
    this.#reported?.explain(this.#state)
    this.#hasNews = false
  }

  /** Sends bytes that complete one Query, FunctionCall or Sync, whose answer goes to `receiver`. */
  request(bytes: Uint8Array, start: number, end: number, receiver: ReplyReceiver): void {
    // Whoever says it: a Query drops the unnamed statement (protocol-flow, "Extended Query").
    if (bytes[start] === frontend.query) this.forgetUnnamed()
    this.queue.push(receiver)
    this.link.write(bytes, start, end)
  }

  /** Sends bytes that belong to an answer that is expected already (or to none). */
  send(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.link.write(bytes, start, end)
  }

  expect(receiver: ReplyReceiver): void {
    this.queue.push(receiver)
  }

  /**
   * Brings the server's settings to `target`. Calls `done(null)` when the server has confirmed them,
   * or with its error; then the connection is condemned. Nothing may be sent before `done`: a request
   * behind a refused setting would run with the wrong one. Custom parameters that the target lacks
   * stay known.
   */
  sync(target: SessionState, done: (error: ErrorFields | null) => void): void {
    const before = this.#state
    const changes = stateChanges(before, target)
    this.#state = target.knowing(before.customs)
    if (changes.length === 0) {
      done(null)
      return
    }
    this.#change(changes, (error) => {
      // Nothing of it has happened: the batch is one transaction.
      const other =
        error?.sqlstate === '42501' ? stateChanges(before, target, 'identity first') : []
      if (other.length === 0 || this.#isClosed) this.#endSync(error, done)
      else this.#change(other, (last) => this.#endSync(last, done))
    })
  }

  #change(changes: readonly StateChange[], done: (error: ErrorFields | null) => void): void {
    const bytes = stateSyncMessages(changes)
    this.#isSyncing = true
    this.forgetUnnamed()
    ask(this, bytes, {
      answered: (answer) => done(errorOf(answer)),
      lost: ({ message }) => done({ ...connectionFailure, message }),
    })
  }

  #endSync(error: ErrorFields | null, done: (error: ErrorFields | null) => void): void {
    this.#isSyncing = false
    if (error !== null) this.condemn('setting refused')
    done(error)
  }

  /** Closes in order; `onLost` does not follow. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.link.onClose = () => {}
    this.link.onChunk = (chunk) => chunk.length
    this.queue.abandon()
    this.link.write(terminate)
    this.link.end()
  }

  /** Closes at once, as if the connection had been lost. */
  destroy(error: Error): void {
    this.#lose(error)
  }

  isWhole(type: number, frameBytes: number): boolean {
    if (frameBytes <= 256) return true
    return frameBytes <= maxControlBytes && (type === backend.errorResponse || isOwnMatter(type))
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    if (this.#isClosed) return
    if (type === backend.readyForQuery) {
      if (end - start !== 6) throw new ProtocolError('ReadyForQuery of the server has no status')
      const receiver = this.queue.shift()
      this.#status = buffer[start + 5] as number
      if (receiver === null) throw new ProtocolError('server is ready without having been asked')
      if (this.#touched === receiver) this.#touched = null
      receiver.onReady(this.#status, buffer, start, end)
      if (this.queue.size === 0 && !this.#isClosed) this.#events.onQuiet(this)
      return
    }
    const receiver = this.queue.peek()
    if (type === backend.parameterStatus) {
      this.#noteParameter(buffer, start, end)
      if (receiver === null) this.#holder?.say(buffer.subarray(start, end))
    } else if (type === backend.notificationResponse) {
      // Between two messages: what came before it must leave before it.
      this.#touched?.onChunkEnd()
      this.#notify(buffer, start, end)
      return
    } else if (receiver === null) {
      this.#onStray(type, buffer, start, end)
      return
    } else if (type === backend.errorResponse) {
      const fields = decodeErrorFields(buffer, start + 5, end)
      if (fields.severity === 'FATAL' || fields.severity === 'PANIC') {
        // Its last word: who waits for an answer is told of the loss, or served elsewhere.
        this.#fatal = fields
        this.#lastWord = Buffer.from(buffer.subarray(start, end))
        this.#lose(new Error(fields.message))
        return
      }
    }
    if (receiver === null) return
    this.#touched = receiver
    receiver.onFrame(type, buffer, start, end)
  }

  onPart(
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
    isFirst: boolean,
    isLast: boolean,
  ): void {
    if (this.#isClosed) return
    const receiver = this.queue.peek()
    if (receiver === null) throw new ProtocolError('server sent data without having been asked')
    this.#touched = receiver
    receiver.onPart(type, buffer, start, end, isFirst, isLast)
  }

  #onChunk = (chunk: Buffer, share: TurnShare): number => {
    if (this.#isClosed) return chunk.length
    let taken: number
    // Its last words: whoever is answered by them leaves it, and nobody comes.
    if (this.link.hasEnded) this.condemn('lost')
    try {
      taken = this.#framer.push(chunk, share)
    } catch (error) {
      this.#lose(error instanceof Error ? error : new Error(String(error)))
      return chunk.length
    }
    const touched = this.#touched
    if (touched !== null) {
      this.#touched = null
      touched.onChunkEnd()
    }
    return taken
  }

  #noteParameter(buffer: Buffer, start: number, end: number): void {
    const cursor = new Cursor(buffer, start + 5, end)
    const name = cursor.string()
    const value = cursor.string()
    this.#reported ??= new ReportedParameters(this.parameters)
    this.#reported.note(name, value, this.#isSyncing ? this.#state : null)
    if (!this.#isSyncing) this.#hasNews = true
    this.parameters.set(name, value)
    // While settings are being replayed the client knows them already.
    if (!this.#isSyncing) this.#holder?.noteParameter(name, value)
  }

  /** A client's own notification bears the process id that the client knows as its own. */
  #notify(buffer: Buffer, start: number, end: number): void {
    const holder = this.#holder
    if (holder === null) return
    const isOwn = end - start >= 9 && buffer.readInt32BE(start + 5) === this.processId
    const frame = isOwn ? Buffer.from(buffer.subarray(start, end)) : buffer.subarray(start, end)
    if (isOwn) frame.writeInt32BE(holder.processId, 5)
    holder.notify(frame)
  }

  #onStray(type: number, buffer: Buffer, start: number, end: number): void {
    if (type !== backend.errorResponse && type !== backend.noticeResponse) {
      throw new ProtocolError(`server sent a message of type ${type} without having been asked`)
    }
    const fields = decodeErrorFields(buffer, start + 5, end)
    if (type === backend.errorResponse) {
      this.#fatal = fields
      this.#lastWord = Buffer.from(buffer.subarray(start, end))
      this.condemn('ended by the server')
    } else this.#events.onStrayNotice(this, fields)
  }

  #lose(error: Error): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.condemn('lost')
    const touched = this.#touched
    this.#touched = null
    touched?.onChunkEnd()
    this.link.destroy()
    this.#events.onLost(this, error, this.#fatal)
    for (let receiver = this.queue.shift(); receiver !== null; receiver = this.queue.shift()) {
      receiver.onLost(error)
    }
    this.#holder?.onConnectionLost(this)
  }

  /** The server's last FATAL, once the connection is lost. */
  get fatal(): ErrorFields | null {
    return this.#fatal
  }
}

function isOwnMatter(type: number): boolean {
  return (
    type === backend.noticeResponse ||
    type === backend.parameterStatus ||
    type === backend.notificationResponse ||
    type === backend.commandComplete
  )
}

/** What is said of settings whose connection was lost under them. */
const connectionFailure = { severity: 'FATAL', sqlstate: '08006', detail: '', routine: '' }
