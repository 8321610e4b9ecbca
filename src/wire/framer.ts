import { ProtocolError } from '../errors.ts'
import { freeBuffer } from './free-buffer.ts'

/** Who reads frames. A frame is `type, int32 length, body`; offsets are of the whole frame. */
export interface FrameSink {
  /**
   * Asked when a frame is not complete in the chunk: `true` collects it (bounded by the caller's
   * answer to `frameBytes`), `false` delivers it in parts as the bytes come in.
   */
  isWhole(type: number, frameBytes: number): boolean
  /** A complete frame: `buffer[start, end)`, valid during the call only. */
  onFrame(type: number, buffer: Buffer, start: number, end: number): void
  /** A part of a frame that was not to be collected. The first part starts with the header. */
  onPart(
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
    isFirst: boolean,
    isLast: boolean,
  ): void
}

/** What may be worked through now: `isUsedUp` is asked when no steps are left, and may give more. */
export interface Share {
  left: number
  isUsedUp(): boolean
}

const headerBytes = 5

/**
 * Cuts a byte stream into protocol frames without copying those that lie in one chunk.
 *
 * Lengths are int32, count themselves and must be 4 … `maxFrameBytes - 1` (protocol, "Message
 * Formats"; PgBouncer CVE-2026-6664 is what happens without the check): anything else is a
 * ProtocolError, and nothing more may be pushed.
 */
export class Framer {
  #sink: FrameSink
  #maxFrameBytes: number
  #stepsPerFrame: number
  /** Bytes of an incomplete frame that is being collected, header included. */
  #carry: Buffer | null = null
  #carried = 0
  /** Whole size of the carried frame, 0 while its header is incomplete. */
  #wanted = 0
  /** Bytes still to come of a frame that is delivered in parts. */
  #partLeft = 0
  #partType = 0

  /** `stepsPerFrame`: what a frame takes of a share, besides one step for each KiB. */
  constructor(sink: FrameSink, maxFrameBytes: number, stepsPerFrame = 1) {
    this.#sink = sink
    this.#stepsPerFrame = stepsPerFrame
    this.#maxFrameBytes = maxFrameBytes
  }

  /** True between frames: nothing is carried and no frame is half delivered. */
  get isIdle(): boolean {
    return this.#carried === 0 && this.#partLeft === 0
  }

  /**
   * Works through `chunk` as far as `share` allows, to the end of a frame (or of the part of one),
   * and returns how far. Throws ProtocolError on a bad length, and what the sink throws.
   */
  push(chunk: Buffer, share: Share): number {
    let at = 0
    const end = chunk.length
    if (this.#partLeft > 0) {
      at = this.#deliverPart(chunk, 0)
      share.left -= this.#stepsPerFrame
      if (share.left <= 0 && at < end && share.isUsedUp()) return at
    }
    if (this.#carried > 0) {
      at = this.#fillCarry(chunk, at)
      share.left -= this.#stepsPerFrame
      if (share.left <= 0 && at < end && share.isUsedUp()) return at
    }
    while (at < end) {
      if (end - at < headerBytes) {
        this.#startCarry(chunk, at, 0)
        return end
      }
      const type = chunk[at] as number
      const size = this.#frameSize(chunk, at)
      if (end - at >= size) {
        this.#sink.onFrame(type, chunk, at, at + size)
        at += size
        share.left -= this.#stepsPerFrame + (size >> 10)
        if (share.left <= 0 && at < end && share.isUsedUp()) return at
      } else if (this.#sink.isWhole(type, size)) {
        this.#startCarry(chunk, at, size)
        return end
      } else {
        this.#partType = type
        this.#partLeft = size - (end - at)
        this.#sink.onPart(type, chunk, at, end, true, false)
        return end
      }
    }
    return end
  }

  /** Frame bytes (header included) from the length word behind the type byte at `at`. */
  #frameSize(buffer: Buffer, at: number): number {
    const length =
      ((buffer[at + 1] as number) << 24) |
      ((buffer[at + 2] as number) << 16) |
      ((buffer[at + 3] as number) << 8) |
      (buffer[at + 4] as number)
    if (length < 4 || length >= this.#maxFrameBytes) {
      throw new ProtocolError(
        `invalid message length ${length} in a message of type 0x${(buffer[at] as number).toString(16).padStart(2, '0')}`,
        'The peer does not speak the PostgreSQL protocol, or the message is longer than limits.maxFrameBytes.',
      )
    }
    return length + 1
  }

  /** A message is handed on in parts, and its end has not come. */
  get isInPart(): boolean {
    return this.#partLeft > 0
  }

  /** The stream has ended: what is left of a frame goes to nobody. */
  abandon(): void {
    if (this.#carry !== null) freeBuffer(this.#carry)
    this.#dropCarry()
    this.#partLeft = 0
  }

  #startCarry(chunk: Buffer, at: number, size: number): void {
    const held = chunk.length - at
    // Grows with what really came in: a length word alone must not reserve memory.
    this.#carry = Buffer.allocUnsafe(Math.max(64, Math.min(size, held * 2)))
    chunk.copy(this.#carry, 0, at)
    this.#carried = held
    this.#wanted = size
  }

  #append(chunk: Buffer, from: number, to: number): void {
    let carry = this.#carry as Buffer
    const needed = this.#carried + (to - from)
    if (needed > carry.length) {
      const limit = this.#wanted === 0 ? needed : Math.max(needed, this.#wanted)
      const grown = Buffer.allocUnsafe(Math.min(Math.max(needed, carry.length * 2), limit))
      carry.copy(grown, 0, 0, this.#carried)
      // Nobody has seen it yet.
      freeBuffer(carry)
      carry = grown
      this.#carry = grown
    }
    chunk.copy(carry, this.#carried, from, to)
    this.#carried = needed
  }

  /** Adds to the carried frame; delivers it when complete. Returns how far the chunk is used. */
  #fillCarry(chunk: Buffer, from: number): number {
    let at = from
    if (this.#wanted === 0) {
      const take = Math.min(headerBytes - this.#carried, chunk.length - at)
      this.#append(chunk, at, at + take)
      at += take
      if (this.#carried < headerBytes) return at
      const carry = this.#carry as Buffer
      const size = this.#frameSize(carry, 0)
      const type = carry[0] as number
      if (chunk.length - at < size - headerBytes && !this.#sink.isWhole(type, size)) {
        this.#dropCarry()
        this.#partType = type
        this.#partLeft = size - headerBytes
        this.#sink.onPart(type, carry, 0, headerBytes, true, false)
        return at < chunk.length ? this.#deliverPart(chunk, at) : at
      }
      this.#wanted = size
    }
    const take = Math.min(this.#wanted - this.#carried, chunk.length - at)
    this.#append(chunk, at, at + take)
    at += take
    if (this.#carried === this.#wanted) {
      const carry = this.#carry as Buffer
      const size = this.#wanted
      this.#dropCarry()
      this.#sink.onFrame(carry[0] as number, carry, 0, size)
    }
    return at
  }

  #dropCarry(): void {
    this.#carry = null
    this.#carried = 0
    this.#wanted = 0
  }

  #deliverPart(chunk: Buffer, from: number): number {
    const end = Math.min(chunk.length, from + this.#partLeft)
    this.#partLeft -= end - from
    this.#sink.onPart(this.#partType, chunk, from, end, false, this.#partLeft === 0)
    return end
  }
}
