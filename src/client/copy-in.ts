import { errorResponse } from '../wire/backend-messages.ts'
import { replaceFields } from '../wire/change-fields.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import { copyFail } from '../wire/frontend-messages.ts'
import { frontend } from '../wire/message-types.ts'
import { reopen } from './extended.ts'
import { highWaterBytes } from './flow.ts'
import { flushSegment } from './flush-segment.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/** Why the server is told to give up a COPY, by which its error is known again. */
const ourFailure = 'pgsplit: a message came that has no place in a COPY'
const failOfOurs: Buffer = copyFail(ourFailure)

/**
 * COPY … FROM STDIN of one session (protocol-flow, "COPY Operations"): the server swallows Sync and
 * Flush while it copies, and clients may send data, even all of it, before they are asked to.
 */
export class CopyIn {
  readonly #session: ClientSession
  /** The server has asked for data and has not been told of its end. */
  isActive = false
  /** Type of a message that has no place in a COPY; the server has been told to fail. */
  #refused: number | null = null
  /** A Sync has gone to the server while it was thought to copy. */
  #hasSentSync = false
  /** CopyDone and CopyFail messages that were sent before their CopyInResponse came. */
  #earlyEnds = 0
  /** The segment of such a COPY had its Sync in front of the data, where COPY IN swallows it. */
  #isSyncSwallowed = false

  constructor(session: ClientSession) {
    this.#session = session
  }

  /**
   * The last request may ask for data and has not said yet whether it does. What comes behind it
   * waits: a Sync may be swallowed, and a request would stand in the place of data.
   */
  get isAwaited(): boolean {
    const { last } = this.#session.inFlight
    return last !== null && copiesIn(last)
  }

  /** The request has ended, and with it any COPY. */
  reset(): void {
    this.isActive = false
    this.#refused = null
    this.#hasSentSync = false
    this.#earlyEnds = 0
    this.#isSyncSwallowed = false
  }

  /** CopyData, CopyDone or CopyFail of the client; false: not now. */
  take(type: number, buffer: Buffer, start: number, end: number): boolean {
    const session = this.#session
    if (session.waiting.request !== null) return false
    const { segment } = session
    if (segment !== null && segment.kinds.length > segment.sentKinds && !session.isSkipping) {
      // Data of a client that doesn't wait for CopyInResponse: what asks for it goes first.
      flushSegment(session)
      if (segment.connection === null) return session.segment === null
    }
    const { lease } = session
    // Outside COPY the server ignores these, and so do we.
    if (lease === null || !(this.isActive || session.inFlight.some(copiesIn))) return true
    lease.send(buffer, start, end)
    if (type !== frontend.copyData) {
      if (!this.isActive) this.#endEarly()
      this.isActive = false
    }
    if (lease.link.hasBacklog(highWaterBytes)) session.waitForServer(lease)
    return true
  }

  #endEarly(): void {
    this.#earlyEnds++
    const request = this.#session.inFlight.find(copiesIn)
    if (request?.isComplete === true && request.endsWithSync) this.#isSyncSwallowed = true
  }

  /**
   * A Sync of the client in the middle of the data: the server ignores it while it copies
   * (protocol-flow, "COPY Operations"); after an error that is still on its way it ends the segment.
   */
  takeSync(buffer: Buffer, start: number, end: number): void {
    const { lease, inFlight } = this.#session
    if (lease === null || inFlight.first?.endsWithSync !== true) return
    this.#hasSentSync = true
    lease.send(buffer, start, end)
  }

  /**
   * A message that has no place in a COPY. If the server is still copying, the session ends, as it
   * would there; if it has refused the COPY by itself and its error is on its way, the message is
   * one behind that error. CopyFail tells the two apart: outside a COPY a server ignores it.
   * False: nothing behind it is taken before the answer has come.
   */
  refuse(type: number): false {
    if (this.#refused === null) {
      this.#refused = type
      this.#session.lease?.send(failOfOurs, 0, failOfOurs.length)
    }
    return false
  }

  /**
   * An error has ended the COPY. `refused`: by a message that has no place in it. `skips`: the server
   * waits for a Sync that the client has not sent. Null: the end of the request follows by itself.
   */
  end(request: Request, error: ErrorFields): 'refused' | 'skips' | null {
    if (!this.isActive) return null
    const refused = this.#refused
    const hasSentSync = this.#hasSentSync
    this.isActive = false
    if (refused !== null && error.message.includes(ourFailure)) return 'refused'
    if (!request.endsWithSync) return null
    if (!hasSentSync) {
      this.#refused = null
      return 'skips'
    }
    // Whether that Sync stood in front of the failure or behind it, nobody can tell: ReadyForQuery
    // does, if it comes. What had no place may not wait for it.
    return refused === null ? null : 'refused'
  }

  /** Ends the client that has sent what was refused, in the server's words (PostgreSQL 15 to 18). */
  leave(frame: Buffer, { message }: ErrorFields): void {
    const hex = (this.#refused ?? 0).toString(16).toUpperCase().padStart(2, '0')
    const said = { C: '08P01', M: `unexpected message type 0x${hex} during COPY from stdin` }
    const error = message.includes(ourFailure) ? replaceFields(frame, said) : frame
    const facts = {
      sqlstate: '08P01',
      message: 'terminating connection because protocol synchronization was lost',
      severity: 'FATAL',
    } as const
    this.#session.leaveWith(Buffer.concat([error, errorResponse(facts)]))
  }

  /** CopyInResponse has come. */
  begin(request: Request): void {
    const session = this.#session
    this.#hasSentSync = false
    const isSyncSwallowed = this.#isSyncSwallowed || this.#earlyEnds === 0
    if (this.#earlyEnds > 0) this.#earlyEnds--
    else this.isActive = true
    this.#isSyncSwallowed = false
    // COPY IN has swallowed the segment's Sync: it goes on behind the data, up to the next one.
    if (isSyncSwallowed && request.isComplete && request.endsWithSync) reopen(session, request)
    session.pump()
  }
}

/** Will the server ask for data? Only what is sent behind such a request can be data for it. */
function copiesIn({ effects }: Request): boolean {
  return effects.some((effect) => effect.kind === 'copy' && effect.direction === 'in')
}
