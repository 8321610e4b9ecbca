import { copyBytes } from './copy-bytes.ts'
import { encodeText } from './raw-text.ts'

/** Names up to this length are looked at as they are written, characters. */
const shortLength = 32

/**
 * Builds protocol messages in one growing buffer. `begin` and `end` belong together: they own the
 * length word, so that no message writer counts bytes.
 */
export class Writer {
  #buffer: Buffer
  #at = 0
  #start = 0

  constructor(initialBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(initialBytes)
  }

  #room(size: number): number {
    const at = this.#at
    const needed = at + size
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
      this.#buffer.copy(grown, 0, 0, at)
      this.#buffer = grown
    }
    this.#at = needed
    return at
  }

  /** Starts a message; `type` 0 writes none (startup packets have no type byte). */
  begin(type: number): this {
    if (type !== 0) this.byte(type)
    this.#start = this.#room(4)
    return this
  }

  end(): this {
    this.#buffer.writeInt32BE(this.#at - this.#start, this.#start)
    return this
  }

  byte(value: number): this {
    // The offset first: making room may replace the buffer.
    const at = this.#room(1)
    this.#buffer[at] = value
    return this
  }

  int16(value: number): this {
    const at = this.#room(2)
    this.#buffer[at] = (value >> 8) & 0xff
    this.#buffer[at + 1] = value & 0xff
    return this
  }

  int32(value: number): this {
    const at = this.#room(4)
    this.#buffer.writeInt32BE(value | 0, at)
    return this
  }

  bytes(value: Uint8Array, start = 0, end = value.length): this {
    const at = this.#room(end - start)
    copyBytes(value, start, end, this.#buffer, at)
    return this
  }

  /** UTF-8 (or what `Cursor.string` has read) with terminator; a NUL inside would end the string early, so it is cut there. */
  string(value: string): this {
    if (value.length <= shortLength && this.#shortAscii(value)) return this
    if (!value.isWellFormed()) return this.bytes(encodeText(value)).byte(0)
    const zero = value.indexOf('\0')
    const text = zero < 0 ? value : value.slice(0, zero)
    const size = Buffer.byteLength(text)
    const at = this.#room(size + 1)
    this.#buffer.write(text, at, size)
    this.#buffer[at + size] = 0
    return this
  }

  /** Writes a name of the usual kind without asking the runtime; false: nothing was written. */
  #shortAscii(value: string): boolean {
    const size = value.length
    const at = this.#room(size + 1)
    for (let i = 0; i < size; i++) {
      const code = value.charCodeAt(i)
      if (code === 0 || code >= 0x80) {
        this.#at = at
        return false
      }
      this.#buffer[at + i] = code
    }
    this.#buffer[at + size] = 0
    return true
  }

  get length(): number {
    return this.#at
  }

  /** Copies what was written to `target[at, …)`, which has room for it; the writer is empty again. */
  takeInto(target: Buffer, at: number): void {
    copyBytes(this.#buffer, 0, this.#at, target, at)
    this.#at = 0
  }

  /** What was written, as a copy that the caller owns; the writer is empty again. */
  take(): Buffer {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#at))
    this.#at = 0
    return bytes
  }
}
