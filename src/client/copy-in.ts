import { ProtocolError } from '../errors.ts'
import { frontend } from '../wire/message-types.ts'
import { flushSegment, reopen } from './extended.ts'
import { highWaterBytes } from './flow.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/**
 * COPY … FROM STDIN of one session (protocol-flow, "COPY Operations"): the server swallows Sync and
 * Flush while it copies, and clients may send data, even all of it, before they are asked to.
 */
export class CopyIn {
  readonly #session: ClientSession
  /** The server has asked for data and has not been told of its end. */
  isActive = false
  /** The client has sent something else in between. */
  isRefused = false
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
    this.#earlyEnds = 0
    this.#isSyncSwallowed = false
  }

  /** CopyData, CopyDone or CopyFail of the client; false: not now. */
  take(type: number, buffer: Buffer, start: number, end: number): boolean {
    const session = this.#session
    if (session.waiting !== null) return false
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
   * A message that has no place in a COPY. The server says so at its first byte and ends the
   * connection: the client hears it from there. False: nothing behind it is taken.
   */
  refuse(type: number): false {
    const { lease } = this.#session
    if (lease === null || !this.isActive) {
      // The server has refused the COPY by itself meanwhile.
      const hex = type.toString(16).toUpperCase().padStart(2, '0')
      throw new ProtocolError(`unexpected message type 0x${hex} during COPY from stdin`)
    }
    if (!this.isRefused) {
      this.isRefused = true
      lease.dirty ??= 'a message came in the middle of a COPY'
      // Without a body: where the COPY has just failed there, it must not be carried out.
      lease.send(Buffer.of(type, 0, 0, 0, 4))
    }
    return false
  }

  /** CopyInResponse has come. */
  begin(request: Request): void {
    const session = this.#session
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
