import type { ErrorFacts } from '../errors.ts'
import { RequestTrace } from '../metrics/request-meter.ts'
import { isStaleness } from '../routing/judge-error.ts'
import type { RouteWord } from '../routing/route-word.ts'
import type { Visibility } from '../routing/visible-commits.ts'
import type { ReplyReceiver } from '../server/reply-queue.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { Pin } from '../sql/pin.ts'
import type { Effect, StatementClass } from '../sql/statement-class.ts'
import { closeComplete, parseComplete, rowDescription } from '../wire/backend-messages.ts'
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts'
import { backend } from '../wire/message-types.ts'
import { encodeText } from '../wire/raw-text.ts'
import { renameInError } from '../wire/rename-in-error.ts'
import { type AnswerScript, endsUnit, scriptOp } from './answer-script.ts'
import { originalPlace } from './error-places.ts'
import type { NamedText, NameStep } from './named-text.ts'
import type { OwnAnswers } from './own-answers.ts'
import { type OwnCommand, refusedName } from './own-command.ts'
import { type PreparedStatement, takenName } from './prepared-statement.ts'
import { RequestGuard } from './request-guard.ts'
import { resultShape } from './result-shape.ts'
import { noSegmentUnnamed, type ReplacedUnnamed, SegmentUnnamed } from './segment-unnamed.ts'
import type { SessionGuard } from './session-guard.ts'
import type { DeferredBegin } from './transaction.ts'
import type { UnnamedStatement } from './unnamed.ts'

/** A Parse of a named statement inside `Request.bytes`, which is left out where it is prepared. */
export interface ParseRange {
  readonly start: number
  readonly end: number
  readonly statement: PreparedStatement
  /** Index of its entry in `Request.kinds`. */
  readonly unit: number
  /** The client's name for it. */
  readonly name: string
}

/** A named statement that the server connection must have where the segment first uses it. */
export interface NeededStatement {
  readonly statement: PreparedStatement
  /** Index in `Request.kinds` of the message that uses it first, and where that starts in `bytes`. */
  readonly unit: number
  readonly start: number
}

/** A replica's refusal. */
export interface Refused {
  /** Class of what was refused. */
  readonly cls: StatementClass
  readonly error: ErrorFields
  readonly nodeIndex: number
}

/** What a request tells its session. */
export interface RequestOwner {
  /** Null: nothing that it asks must be looked at for limits of its own. */
  readonly guard: SessionGuard | null
  /** No more of an answer may go out: the session ends with this. */
  cut(facts: ErrorFacts): void
  /** Copies bytes to the client. */
  forward(request: Request, buffer: Uint8Array, start: number, end: number): void
  /** May the error be healed by running the request again? True: nothing more is forwarded. */
  heal(request: Request, fields: ErrorFields): boolean
  /** What was flushed has been answered, or has failed. */
  onAnswered(request: Request): void
  /** COPY … FROM STDIN has begun. */
  onCopyIn(request: Request): void
  /** An error has come; what it is to a COPY … FROM STDIN that has begun (see `CopyIn.end`). */
  endCopyIn(request: Request, error: ErrorFields): 'refused' | 'skips' | null
  /** The client goes: this error tells of what has no place in a COPY. */
  leaveCopyIn(frame: Buffer, error: ErrorFields): void
  /** An error in front of the segment's Query: server and client now wait for Sync. */
  onSkipped(request: Request): void
  onDone(request: Request, status: number): void
  onRequestLost(request: Request, error: Error): void
  onMoved(request: Request): void
  /** Does the client hear notifications that come in front of ReadyForQuery? */
  readonly isListening: boolean
  holdReady(status: number): void
  /** Is the end of a commit of its held back until replicas show it? */
  holdCommit(request: Request, status: number): void
  readonly visibility: Visibility
  /** The server's message in the answer to what stands in for this command; null: as it is. */
  inOwnWords(command: OwnCommand, type: number, frame: Buffer): Buffer | null
  /** Are the characters of its texts UTF-8? */
  readonly isUtf8: boolean
  /** The client's name for one of our statements, or null. */
  clientName(serverName: string): string | null
  /** What the client gets in place of this ParameterStatus; null: nothing. */
  parameterFor(request: Request, frame: Buffer): Buffer | null
  /** ParameterStatus messages that go in front of ReadyForQuery. */
  parametersAtEnd(request: Request): readonly Buffer[]
}

/** The description of one text column that has no name. */
const oneColumn = rowDescription([{ name: '', typeOid: 25 }])

/** Most requests have nothing of some kinds: they share this, and make no array. */
const none: readonly never[] = []

/** Bit of a node in `Request.exclude`. */
export function requestBit(nodeIndex: number): number {
  return 1 << nodeIndex
}

/**
 * One request of a client, a Query or an extended sequence up to Sync, on its way: its bytes, its
 * class, where it runs, and how much of the answer has been passed on.
 *
 * The first messages of an answer are held until a row, a completion or an error follows: until then
 * the request can be run again elsewhere and the client notices nothing.
 */
export class Request implements ReplyReceiver {
  readonly owner: RequestOwner
  readonly guard: RequestGuard | null
  readonly kind: 'simple' | 'extended' | 'function'
  cls: StatementClass
  bytes: Buffer
  size = 0
  /** Of what runs in this request, in order. */
  effects: readonly Effect[] = none
  #ownEffects: Effect[] | null = null
  pin: Pin | null = null
  /** Its text (or the last one that a segment parses) names prepared statements. */
  names: NamedText | null = null
  /** So many of its effects were prepared for at the hub; see `hear-first.ts`. */
  heardEffects = 0
  /** Its LISTENs are heard by the hub. */
  isHeard = false
  /** What its statements do to the session's names; `part` is an index in `kinds` if it has them. */
  steps: NameStep[] | null = null
  /** Statements that the server connection must not have in front of it. */
  absent: readonly PreparedStatement[] | null = null

  /** What of its answer is pgsplit's own. */
  own: OwnAnswers | null = null
  /** The frame that is being answered is of this one of them. */
  #ownUnit = -1

  // Extended protocol only.
  /** The session's own names are to be brought in front of what is sent next, and have been. */
  bringsNames = false
  hasBroughtNames = false
  /** The unnamed statement that they change, if that is sent already. */
  bringsUnnamed: UnnamedStatement | null = null
  /** Message types in `bytes` and Close messages that only the session answers, in order. */
  kinds: number[] = []
  /** Named statements of earlier requests that the segment uses, in the order of first use. */
  needs: readonly NeededStatement[] = none
  parses: readonly ParseRange[] = none
  readonly unnamed: SegmentUnnamed
  /** Nothing but one statement without parameters, each message of it once: may be answered here. */
  isPlain = true
  binds = 0
  /** The statement's name in the first of them; null: none has come. */
  usedName: string | null = null
  /** Classes of what Execute messages run, in order. */
  executed: StatementClass[] = []
  /** A name that the session has, of the first Parse that wants it again. */
  takenName: string | null = null
  /** Index in `kinds` of a Query or FunctionCall that ended the segment in place of Sync, or -1. */
  queryAt = -1
  queryClass: StatementClass | null = null
  /** How many statements are in that. */
  get queryParts(): number {
    return this.queryClass?.parts.length ?? 1
  }

  /** Sync (or the Query itself) was seen: nothing is added any more. */
  isComplete = false
  /** Bytes of the segment have been sent on a Flush: it can't run elsewhere. */
  isFlushed = false
  /** It holds a message whose end has not come yet. */
  isLong = false
  /** A part of it was passed on as it came in: nobody has it to send it again. */
  isStreamed = false
  /** It goes to the primary as soon as what was flushed has been answered. */
  isMoving = false
  /** Entries of `kinds` that another server connection has answered. */
  settledKinds = 0
  /** How far `bytes`, `kinds`, `parses` and `executed` were sent. */
  sentBytes = 0
  sentKinds = 0
  sentParses = 0
  sentExecutes = 0
  script: AnswerScript | null = null
  /** What its statements give was compared with what the client knows of them. */
  isShapeChecked = false

  /** Why a replica has refused it: it runs on the primary, which tells whether that is a lesson. */
  refused: Refused | null = null

  // Where it runs.
  nodeIndex = 0
  /** A deferred BEGIN that goes in front. */
  begin: DeferredBegin | null = null
  /** The request must not run where the session is: the client gets this error. */
  refusal: ErrorFacts | null = null
  /** Stands for any error that the server gives. */
  override: Buffer | null = null
  connection: ServerConnection | null = null
  isShared = false
  onReplica = false
  /** Its route was a choice: another node may serve it as well, the primary in the end. */
  hasChoice = false
  /** Something in the segment may look at custom parameters. */
  seesCustoms = false
  /** A proved read outside a transaction, its bytes kept: may run again elsewhere. */
  isRerunnable = false
  attempts = 0
  /** The primary is asked whether the error may come of what the replica's catalog lacks. */
  isDoubted = false
  /** … and it does not: the error stands. */
  isUndoubted = false
  /** Bit per node index that has failed this request. */
  exclude = 0
  startedAtMs = 0
  /** What is measured of it. */
  readonly trace = new RequestTrace<RouteWord>('other')

  // The answer.
  isForwarded = false
  /** The client has got a part of a frame: it can't be told anything but the rest. */
  isMidFrame = false
  isHealing = false
  isCancelled = false
  error: ErrorFields | null = null
  /** The error, if it is that a prepared statement gives something else by now. */
  staleness: Buffer | null = null
  /** What a round in front of the request met; the request can't but fail of it. */
  errorInFront: Buffer | null = null
  /** Statements that could not be prepared there. */
  unprepared: readonly string[] | null = null
  /** So many statements have been completed. */
  completed = 0
  /** Tags of the completed ones, by number; only kept when `wantsTag`. */
  tags: string[] | null = null
  wantsTag = false
  /** Parameters that were reported and that the client is told of at the end, if at all. */
  statuses: Map<string, string> | null = null
  answerBytes = 0
  /** Messages of a segment without a script that have been answered. */
  #unitsDone = 0
  #held: Buffer[] | null = null
  /** The new statement that is being described, and its description so far. */
  #shape: PreparedStatement | null = null
  #shapeParts: Buffer[] | null = null
  #rangeBuffer: Buffer | null = null
  #rangeStart = 0
  #rangeEnd = 0

  constructor(
    owner: RequestOwner,
    kind: 'simple' | 'extended' | 'function',
    cls: StatementClass,
    bytes: Buffer,
  ) {
    this.owner = owner
    this.guard = owner.guard === null ? null : new RequestGuard(owner.guard)
    this.kind = kind
    this.cls = cls
    this.bytes = bytes
    this.unnamed = kind === 'extended' ? new SegmentUnnamed() : noSegmentUnnamed
  }

  addEffects(effects: readonly Effect[]): void {
    if (this.effects.length === 0) {
      // Those of a class are nobody's to change.
      this.effects = effects
      return
    }
    if (this.#ownEffects === null || this.effects !== this.#ownEffects) {
      this.#ownEffects = [...this.effects]
      this.effects = this.#ownEffects
    }
    this.#ownEffects.push(...effects)
  }

  /** After an error: the unnamed statement as the last message that ran has left it; null: as is. */
  get keptUnnamed(): ReplacedUnnamed | null {
    return this.unnamed.kept(this.kinds, (unit) => this.isUnitDone(unit))
  }

  addNeed(need: NeededStatement): void {
    this.needs = added(this.needs, need)
  }

  addParse(range: ParseRange): void {
    this.parses = added(this.parses, range)
  }

  /** ReadyForQuery answers a Sync, not a Query or FunctionCall. */
  get endsWithSync(): boolean {
    return this.kind === 'extended' && this.queryAt < 0
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    if (this.isHealing) return
    if (this.script !== null && this.#isSwallowed(this.script, type, true)) {
      if (this.#shape !== null) this.#noteShape(type, buffer.subarray(start + 5, end), true)
      return
    }
    if (this.own !== null) {
      const message = this.#ownMessage(this.own, type, buffer, start, end)
      if (message !== null) {
        this.#take(type, message, 0, message.length)
        return
      }
    }
    this.#take(type, buffer, start, end)
  }

  #take(type: number, buffer: Buffer, start: number, end: number): void {
    if (type === backend.errorResponse) {
      this.#onError(this.errorInFront ?? buffer.subarray(start, end))
      return
    }
    if (type === backend.parameterStatus) {
      this.#passParameter(buffer.subarray(start, end))
      return
    }
    if (this.names !== null && type === backend.noticeResponse) {
      this.#passInstead(this.#inClientsWords(buffer.subarray(start, end), true))
      return
    }
    if (!this.isForwarded && !isHeldType(type) && !isFarewell(type, buffer, start, end)) {
      this.#release()
    }
    if (type === backend.commandComplete) {
      if (this.wantsTag) {
        this.tags ??= []
        this.tags[this.completed] = buffer.toString('latin1', start + 5, end - 1)
      }
      this.completed++
    } else if (type === backend.emptyQueryResponse || type === backend.portalSuspended) {
      this.completed++
    } else if (type === backend.copyInResponse || type === backend.copyBothResponse) {
      this.#release()
      this.#extend(buffer, start, end)
      this.owner.onCopyIn(this)
      return
    }
    if (this.guard !== null && this.#isCut(this.guard, type, end - start)) return
    if (type === backend.dataRow) this.trace.countRow()
    else if (endsUnit(type)) this.#unitsDone++
    this.#extend(buffer, start, end)
  }

  /** Is the row that comes, of so many bytes, one more than the client may take? */
  #isCut(guard: RequestGuard, type: number, bytes: number): boolean {
    if (type !== backend.dataRow && type !== backend.copyData) return false
    const pending = this.#rangeBuffer === null ? 0 : this.#rangeEnd - this.#rangeStart
    const excess = guard.excessOf(this.answerBytes + pending + bytes)
    if (excess === null) return false
    this.#passOn()
    this.owner.cut(excess)
    return true
  }

  /** What the client gets in place of a server's message; null: that. */
  #ownMessage(
    own: OwnAnswers,
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): Buffer | null {
    if (this.script === null) this.#ownUnit = this.completed
    const command = own.command(this.#ownUnit)
    return command === null
      ? null
      : this.owner.inOwnWords(command, type, buffer.subarray(start, end))
  }

  /** What the client hears of a statement that was made to fail. */
  #ownError(own: OwnAnswers): Buffer | null {
    if (this.error?.message.includes(refusedName) !== true) return null
    const { script } = this
    return own.refusal(script === null ? this.completed : script.ownUnit)
  }

  /** After an error: does the server connection have the unnamed statement it is thought to have? */
  get isUnnamedKept(): boolean {
    const isParsed = this.unnamed.isParseDone((unit) => this.isUnitDone(unit))
    return isParsed ?? (this.script === null || this.script.hasUnnamed)
  }

  #onError(frame: Buffer): void {
    this.error = decodeErrorFields(frame, 5, frame.length)
    const copyEnd = this.owner.endCopyIn(this, this.error)
    if (copyEnd === 'refused') {
      this.passHeld()
      this.owner.leaveCopyIn(frame, this.error)
      return
    }
    if (isStaleness(this.error)) this.staleness = Buffer.from(frame)
    if (!this.isForwarded && this.owner.heal(this, this.error)) {
      this.isHealing = true
      this.#held = null
      this.#rangeBuffer = null
      return
    }
    // What the client asked in front of the failure has been done.
    if (this.script !== null) this.#invent(this.script, false)
    const { message } = this.error
    const hasNames =
      this.names !== null || message.includes('"pgsplit_') || message.includes('"?pgsplit_')
    const own = this.own === null ? null : this.#ownError(this.own)
    this.#passInstead(
      this.override ??
        this.guard?.errorFor(this.error) ??
        own ??
        this.#inClientsWords(frame, hasNames),
    )
    const isBeforeQuery = this.script !== null && this.script.at < this.script.queryAt
    if (isBeforeQuery || copyEnd === 'skips') this.owner.onSkipped(this)
  }

  /** Has the server answered this entry of `kinds`? */
  isUnitDone(unit: number): boolean {
    if (this.script === null) return this.error === null || this.#unitsDone > unit
    return this.script.isDone(unit)
  }

  #passParameter(frame: Buffer): void {
    const own = this.owner.parameterFor(this, frame)
    if (own !== null) this.#passInstead(own)
  }

  /** Passes on a message of ours, or one that was changed. */
  #passInstead(message: Buffer): void {
    this.#release()
    this.#passOn()
    this.owner.forward(this, message, 0, message.length)
  }

  /** The message with the client's names in place of ours, and the places in its text. */
  #inClientsWords(frame: Buffer, hasNames: boolean): Buffer {
    if (!hasNames) return frame
    const { names, owner } = this
    const isInFront = frame === this.errorInFront
    const nameOf = (name: string): string | null => {
      if (name === takenName) return latin1(this.takenName ?? names?.takenName ?? takenName)
      if (name.startsWith('?')) return name.slice(1)
      const own = owner.clientName(name)
      return own === null ? null : latin1(own)
    }
    const placeOf =
      names === null
        ? null
        : (place: number) => originalPlace(names, place, owner.isUtf8, isInFront)
    return renameInError(frame, nameOf, placeOf)
  }

  onPart(
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
    isFirst: boolean,
    isLast: boolean,
  ): void {
    if (this.isHealing) return
    if (this.script !== null && this.#isSwallowed(this.script, type, isLast)) {
      const from = isFirst ? start + 5 : start
      if (this.#shape !== null) this.#noteShape(type, buffer.subarray(from, end), isLast)
      return
    }
    if (this.own !== null && (type === backend.dataRow || type === backend.rowDescription)) {
      // Long only where PostgreSQL explains in our place: nothing of that is passed on.
      const command = this.own.command(this.script === null ? this.completed : this.#ownUnit)
      const message = command === null ? null : this.owner.inOwnWords(command, type, oneColumn)
      if (message !== null) {
        if (isLast) this.#take(type, message, 0, message.length)
        return
      }
    }
    if (isFirst && !this.isForwarded && !isHeldType(type)) this.#release()
    if (isFirst && this.guard !== null) {
      if (this.#isCut(this.guard, type, buffer.readUInt32BE(start + 1) + 1)) return
    }
    if (isLast && type === backend.dataRow) this.trace.countRow()
    if (isLast && endsUnit(type)) this.#unitsDone++
    this.isMidFrame = this.isForwarded && !isLast
    this.#extend(buffer, start, end)
  }

  onChunkEnd(): void {
    this.#passOn()
    if (this.isFlushed) this.#afterFlush()
  }

  /** All that was sent has been answered. */
  get isAnswered(): boolean {
    return this.error !== null || this.script === null || this.script.at >= this.script.length
  }

  /** What the server was not asked must not wait for what is sent later. */
  #afterFlush(): void {
    if (this.script === null || this.isHealing) return
    if (this.error === null) this.#invent(this.script, false)
    if (this.isAnswered) this.owner.onAnswered(this)
  }

  #passOn(): void {
    const buffer = this.#rangeBuffer
    if (buffer === null) return
    this.#rangeBuffer = null
    if (this.isForwarded) {
      this.answerBytes += this.#rangeEnd - this.#rangeStart
      this.owner.forward(this, buffer, this.#rangeStart, this.#rangeEnd)
    } else {
      this.#hold(Buffer.from(buffer.subarray(this.#rangeStart, this.#rangeEnd)))
    }
  }

  onReady(status: number, buffer: Buffer, start: number, end: number): void {
    if (this.isHealing) {
      this.owner.onDone(this, status)
      return
    }
    if (this.script !== null && this.error === null) this.#invent(this.script, true)
    this.#release()
    if (this.wantsTag) {
      for (const message of this.owner.parametersAtEnd(this)) this.#say(message)
    }
    if (this.owner.isListening) {
      this.#passOn()
      this.owner.holdReady(status)
    }
    if (this.owner.visibility.replicas > 0 || this.cls.hint?.commitVisible != null) {
      this.#passOn()
      this.owner.holdCommit(this, status)
    }
    this.#extend(buffer, start, end)
    this.#passOn()
    this.owner.onDone(this, status)
  }

  onLost(error: Error): void {
    this.#rangeBuffer = null
    this.owner.onRequestLost(this, error)
  }

  /** After a Flush: what only the session answers must not wait for the server. */
  inventPending(): void {
    if (this.script === null || this.error !== null) return
    this.#invent(this.script, false)
    this.#passOn()
  }

  /** It will not be run again: what was held of its answer goes out. */
  passHeld(): void {
    this.#release()
    this.#passOn()
  }

  /** Forgets what was collected and not sent, a Query at its end. */
  dropUnsent(): void {
    this.size = this.sentBytes
    this.kinds.length = this.sentKinds
    this.executed.length = this.sentExecutes
    this.queryAt = -1
  }

  /** Makes the request as new, to be sent to another connection. */
  resetForRerun(): void {
    this.connection = null
    this.isHealing = false
    this.isForwarded = false
    this.error = null
    this.staleness = null
    this.errorInFront = null
    this.unprepared = null
    this.completed = 0
    this.tags = null
    this.sentBytes = 0
    this.sentKinds = 0
    this.sentParses = 0
    this.sentExecutes = 0
    this.bringsNames = false
    this.hasBroughtNames = false
    this.script = null
    this.isShapeChecked = false
    this.unnamed.forgetSent()
    this.answerBytes = 0
    this.trace.dropRows()
    this.guard?.dropRows()
    this.#unitsDone = 0
    this.#held = null
    this.#rangeBuffer = null
  }

  /** The server connection is slow: run on another one; what comes from this one is swallowed. */
  moveElsewhere(): void {
    this.owner.onMoved(this)
  }

  /** From here on the answer goes out as it comes in. */
  #release(): void {
    if (this.isForwarded) return
    this.isForwarded = true
    if (this.#held === null) return
    for (const held of this.#held) {
      this.answerBytes += held.length
      this.owner.forward(this, held, 0, held.length)
    }
    this.#held = null
  }

  #hold(message: Buffer): void {
    if (this.#held === null) this.#held = [message]
    else this.#held.push(message)
  }

  #extend(buffer: Buffer, start: number, end: number): void {
    if (this.#rangeBuffer === buffer && this.#rangeEnd === start) {
      this.#rangeEnd = end
      return
    }
    this.#passOn()
    this.#rangeBuffer = buffer
    this.#rangeStart = start
    this.#rangeEnd = end
  }

  #isSwallowed(script: AnswerScript, type: number, isLast: boolean): boolean {
    if (
      type === backend.noticeResponse ||
      type === backend.parameterStatus ||
      type === backend.errorResponse
    ) {
      return false
    }
    this.#invent(script, false)
    this.#ownUnit = script.ownUnit
    this.#shape = script.op === scriptOp.shape ? script.statement : null
    return script.take(type, isLast)
  }

  /** What a statement that has just been prepared gives. */
  #noteShape(type: number, body: Buffer, isLast: boolean): void {
    if (type !== backend.rowDescription && type !== backend.noData) return
    if (!isLast || this.#shapeParts !== null) {
      this.#shapeParts ??= []
      this.#shapeParts.push(Buffer.from(body))
    }
    if (!isLast || this.#shape === null) return
    const parts = this.#shapeParts
    this.#shape.shape ??= resultShape(parts === null ? body : Buffer.concat(parts))
    this.#shapeParts = null
  }

  /** Says what the server was not asked, up to the next message that it was asked. */
  #invent(script: AnswerScript, isEnd: boolean): void {
    for (; script.at < script.length; script.at++) {
      const { op } = script
      if (op === scriptOp.inventParse) this.#say(parseComplete)
      else if (op === scriptOp.inventClose) this.#say(closeComplete)
      else if (op !== scriptOp.settled && !isEnd) return
    }
  }

  #say(message: Buffer): void {
    this.#passOn()
    if (this.isForwarded) this.owner.forward(this, message, 0, message.length)
    else this.#hold(message)
  }
}

/** The first entry makes an array of one; the others go to it. */
function added<T>(list: readonly T[], entry: T): readonly T[] {
  if (list.length === 0) return [entry]
  ;(list as T[]).push(entry)
  return list
}

function latin1(name: string): string {
  return encodeText(name).toString('latin1')
}

/** Sent in front of the first row or completion; they commit to nothing. */
function isHeldType(type: number): boolean {
  return (
    type === backend.parseComplete ||
    type === backend.bindComplete ||
    type === backend.closeComplete ||
    type === backend.rowDescription ||
    type === backend.parameterDescription ||
    type === backend.noData
  )
}

/** A server that is stopped at once says so in a WARNING (57P01, 57P02) and closes: no answer. */
function isFarewell(type: number, buffer: Buffer, start: number, end: number): boolean {
  if (type !== backend.noticeResponse) return false
  return decodeErrorFields(buffer, start + 5, end).sqlstate.startsWith('57P')
}
