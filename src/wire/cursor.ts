import { ProtocolError } from '../errors.ts'
import { decodeText } from './raw-text.ts'

/** A string's end is looked for byte by byte in so many bytes. */
const nearBytes = 16

/**
 * Bounds-checked reader over the body of one frame. Every method throws ProtocolError instead of
 * reading past `end`; nothing is allocated on the word of a count alone.
 */
export class Cursor {
  buffer: Buffer
  at: number
  end: number

  constructor(buffer: Buffer, at: number, end: number) {
    this.buffer = buffer
    this.at = at
    this.end = end
  }

  /** Reads another body from here on. */
  goTo(buffer: Buffer, at: number, end: number): void {
    this.buffer = buffer
    this.at = at
    this.end = end
  }

  get left(): number {
    return this.end - this.at
  }

  #need(size: number): number {
    const at = this.at
    if (size < 0 || this.end - at < size) {
      throw new ProtocolError('message is shorter than its fields say')
    }
    this.at = at + size
    return at
  }

  byte(): number {
    return this.buffer[this.#need(1)] as number
  }

  int16(): number {
    return this.buffer.readInt16BE(this.#need(2))
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.#need(2))
  }

  int32(): number {
    return this.buffer.readInt32BE(this.#need(4))
  }

  /** Offset range of a NUL-terminated string (terminator excluded); moves past the terminator. */
  skipString(): number {
    const { buffer, at } = this
    // Most names are empty or short: the search costs a call into the runtime.
    const near = Math.min(this.end, at + nearBytes)
    for (let i = at; i < near; i++) {
      if (buffer[i] !== 0) continue
      this.at = i + 1
      return i
    }
    const zero = buffer.indexOf(0, near)
    if (zero < 0 || zero >= this.end) throw new ProtocolError('string in message is not terminated')
    this.at = zero + 1
    return zero
  }

  /** Of bytes that are no UTF-8, what `Writer.string` says again as it came. */
  string(): string {
    const start = this.at
    const end = this.skipString()
    return start === end ? '' : decodeText(this.buffer, start, end)
  }

  /** A view, not a copy. */
  bytes(size: number): Buffer {
    const start = this.#need(size)
    return this.buffer.subarray(start, start + size)
  }

  skip(size: number): void {
    this.#need(size)
  }

  /** Throws unless the whole body was read. */
  assertEnd(): void {
    if (this.at !== this.end) throw new ProtocolError('message is longer than its fields say')
  }
}
