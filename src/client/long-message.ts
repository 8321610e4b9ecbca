import { PgSplitError } from '../errors.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { errorResponse, readyForQuery } from '../wire/backend-messages.ts'
import { Cursor } from '../wire/cursor.ts'
import { frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { collectFrame } from './collect-messages.ts'
import { bareSyncClass, functionCallClass, longTextClass } from './fixed-class.ts'
import { highWaterBytes } from './flow.ts'
import { Request } from './request.ts'
import { appendToSegment, mergeClass } from './segment-parts.ts'
import type { ClientSession } from './session.ts'
import { mayBegin } from './take-frame.ts'

/** A Bind longer than this goes to its server as it comes in, bytes. */
export const longBindBytes = 1024 * 1024

/** The names in front of a Bind or Parse must end within so many bytes. */
const maxHeadBytes = 16 * 1024

/** Stands for the text of an unnamed statement that was not kept: prepared again, it is refused. */
const notKept = 'pgsplit has not kept this statement: it is too long'

const writer = new Writer(512)

/** May a message of this type go to its server without having been seen whole? */
export function mayStream(type: number): boolean {
  return (
    type === frontend.query ||
    type === frontend.parse ||
    type === frontend.bind ||
    type === frontend.functionCall
  )
}

/**
 * One long message of a client on its way: values of up to 1 GB, and texts too long to be read. The
 * names in front are put right, the rest goes to the server as it comes in, with backpressure. What
 * a text does that was not read is not known: it runs on the primary and pins the session.
 */
export class LongMessage {
  readonly #session: ClientSession
  #state: 'head' | 'body' | 'dropped' = 'dropped'
  #head: Buffer = Buffer.alloc(0)
  #request: Request | null = null

  constructor(session: ClientSession) {
    this.#session = session
  }

  /** A part of the message; false: not now. Throws PgSplitError when it has no place here. */
  take(
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
    isFirst: boolean,
    isLast: boolean,
  ): boolean {
    if (isFirst) {
      if (!mayBegin(this.#session, type)) return false
      this.#state = this.#session.isSkipping ? 'dropped' : 'head'
      this.#head = Buffer.alloc(0)
      this.#request = null
    }
    if (this.#state === 'dropped') return true
    if (this.#state === 'body') return this.#pass(buffer, start, end)
    this.#head = Buffer.concat([this.#head, buffer.subarray(start, end)])
    const bodyAt = behindNames(type, this.#head)
    if (bodyAt < 0 && !isLast && this.#head.length < maxHeadBytes) return true
    if (bodyAt < 0) throw tooLong('names of more than 16 kB')
    this.#state = 'body'
    this.#begin(type, this.#head, bodyAt)
    this.#head = Buffer.alloc(0)
    return true
  }

  #begin(type: number, head: Buffer, bodyAt: number): void {
    const session = this.#session
    if (session.block.isInTrouble) {
      this.#refuse(type)
      return
    }
    session.queries++
    if (type === frontend.bind || type === frontend.parse) this.#beginInSegment(type, head, bodyAt)
    else this.#beginAlone(type, head)
  }

  /** A session that has lost its transaction: the error at once, the message goes nowhere. */
  #refuse(type: number): void {
    const session = this.#session
    this.#state = 'dropped'
    session.say(errorResponse(session.block.takeTrouble()))
    if (type === frontend.query || type === frontend.functionCall) {
      session.say(readyForQuery(session.localStatus))
    } else session.collecting.fail()
  }

  #beginAlone(type: number, head: Buffer): void {
    const session = this.#session
    if (session.segment !== null) {
      if (session.segment.error === null) throw tooLong('no place inside an extended segment')
      // It has failed at a Flush, and the server skips to Sync.
      session.collecting.skip()
      this.#state = 'dropped'
      return
    }
    const isQuery = type === frontend.query
    const cls = isQuery ? longTextClass : functionCallClass
    const request = new Request(session, isQuery ? 'simple' : 'function', cls, head)
    request.size = head.length
    request.isComplete = true
    request.pin = cls.pin
    request.effects = cls.effects
    if (isQuery) session.unnamed.drop()
    this.#run(request)
  }

  #beginInSegment(type: number, head: Buffer, bodyAt: number): void {
    const session = this.#session
    const segment =
      session.segment ??
      session.collecting.begin(
        new Request(session, 'extended', bareSyncClass, Buffer.allocUnsafe(256)),
      )
    const from = segment.size
    if (type === frontend.bind) collectBindHead(session, segment, head, bodyAt)
    else collectParseHead(session, segment, head, bodyAt)
    // Its length counts the rest, which is still to come.
    const whole = head.readUInt32BE(1) + 1
    segment.bytes.writeUInt32BE(segment.size - from - 1 + (whole - bodyAt), from + 1)
    appendToSegment(segment, head, bodyAt, head.length)
    segment.isPlain = false
    segment.isFlushed = true
    segment.isForwarded = true
    segment.isLong = true
    this.#run(segment)
  }

  #run(request: Request): void {
    this.#request = request
    this.#session.run(request)
  }

  #pass(buffer: Buffer, start: number, end: number): boolean {
    const session = this.#session
    const request = this.#request
    if (request === null || session.waiting.isFor(request) || request.isMoving) {
      return request === null
    }
    const { connection } = request
    const isOn = connection !== null && request.refusal === null
    if (!isOn || !session.inFlight.some((one) => one === request)) {
      this.#state = 'dropped'
      return true
    }
    request.isStreamed = true
    connection.send(buffer, start, end)
    this.#press(connection)
    return true
  }

  #press(connection: ServerConnection): void {
    if (connection.link.hasBacklog(highWaterBytes)) this.#session.waitForServer(connection)
  }
}

/** Where the names of the message end, or -1: not yet. */
function behindNames(type: number, head: Buffer): number {
  if (head.length < 5) return -1
  let at = 5
  const names = type === frontend.bind ? 2 : type === frontend.parse ? 1 : 0
  for (let i = 0; i < names; i++) {
    const zero = head.indexOf(0, at)
    if (zero < 0) return -1
    at = zero + 1
  }
  return at
}

/** As a Bind without values, whose end is cut off again. */
function collectBindHead(
  session: ClientSession,
  segment: Request,
  head: Buffer,
  bodyAt: number,
): void {
  writer.begin(frontend.bind).bytes(head, 5, bodyAt).int16(0).int16(0).int16(0).end()
  collectStandIn(session, segment, frontend.bind, writer.take())
  segment.size -= 6
}

function collectParseHead(
  session: ClientSession,
  segment: Request,
  head: Buffer,
  bodyAt: number,
): void {
  const name = new Cursor(head, 5, bodyAt).string()
  if (name === '' || session.statements.has(name)) {
    writer.begin(frontend.parse).bytes(head, 5, bodyAt).string(notKept).int16(0).end()
    collectStandIn(session, segment, frontend.parse, writer.take())
    segment.size -= notKept.length + 3
    if (name === '') session.unnamed.judge(longTextClass)
  } else {
    // No other server connection will have it: the session stays where it is.
    writer.begin(frontend.parse).string(outsideName(name)).end()
    const bytes = writer.take()
    appendToSegment(segment, bytes, 0, bytes.length)
    segment.kinds.push(frontend.parse)
  }
  mergeClass(segment, longTextClass)
  segment.pin = longTextClass.pin
}

/** Names that look like ours must not reach one of ours. */
function outsideName(name: string): string {
  return name.startsWith('pgsplit_') ? `?${name}` : name
}

function collectStandIn(
  session: ClientSession,
  segment: Request,
  type: number,
  message: Buffer,
): void {
  collectFrame(session, segment, type, new Cursor(message, 5, message.length), 0)
}

function tooLong(what: string): PgSplitError {
  return new PgSplitError({
    sqlstate: '54000',
    message: `a message that is too long to be collected has ${what}`,
    hint: 'Raise limits.maxBufferedRequest.',
    severity: 'FATAL',
  })
}
