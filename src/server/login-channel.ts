import { PgSplitError, ProtocolError } from '../errors.ts'
import type { Link } from '../net/link.ts'
import { startupPacketBytes } from '../wire/startup-packet.ts'

/** Held bytes above which the peer has to wait: it may not run ahead of a log-in without limit. */
const maxHeldBytes = 128 * 1024

const nothing = Buffer.alloc(0)

const dropChunk = (chunk: Buffer): number => chunk.length

export interface LoginMessage {
  readonly type: number
  readonly body: Buffer
}

interface Waiter {
  readonly needed: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * Reads one message after the other from a link while a log-in is going on, on either side of
 * pgsplit. One read at a time; `fail` rejects it and all later ones, a closed link
 * those for which nothing is held.
 */
export class LoginChannel {
  #link: Link
  #held: Buffer = nothing
  #from = 0
  #to = 0
  #waiter: Waiter | null = null
  #failure: Error | null = null
  /** The peer has closed; what it sent before is still read. */
  #closed: Error | null = null
  #isPaused = false

  constructor(link: Link) {
    this.#link = link
    this.attach(link)
  }

  get link(): Link {
    return this.#link
  }

  get heldBytes(): number {
    return this.#to - this.#from
  }

  /** Goes on with another link (TLS over the former one). Nothing may be held. */
  attach(link: Link): void {
    this.#link = link
    link.onChunk = (chunk) => {
      this.#onChunk(chunk)
      return chunk.length
    }
    link.onClose = (error) => {
      const message = 'the connection was closed during the log-in'
      this.#closed = new PgSplitError({ sqlstate: '08006', message, severity: 'FATAL' }, error)
      this.#reject(this.#closed)
    }
  }

  send(bytes: Uint8Array): void {
    this.#link.write(bytes)
  }

  /** Resolves with the next byte, which stays held. */
  async peekByte(): Promise<number> {
    await this.#need(1)
    return this.#held[this.#from] as number
  }

  async readByte(): Promise<number> {
    await this.#need(1)
    return this.take(1)[0] as number
  }

  /** A whole packet without a type byte, length word included. */
  async readStartupPacket(): Promise<Buffer> {
    await this.#need(4)
    const size = startupPacketBytes(this.#held.subarray(this.#from, this.#to))
    await this.#need(size)
    return this.take(size)
  }

  /** Rejects with ProtocolError on a length outside 4 … `maxBytes`. */
  async readMessage(maxBytes: number): Promise<LoginMessage> {
    await this.#need(5)
    const type = this.#held[this.#from] as number
    const length = this.#held.readInt32BE(this.#from + 1)
    if (length < 4 || length > maxBytes) {
      throw new ProtocolError(`invalid message length ${length} during the log-in`)
    }
    await this.#need(length + 1)
    return { type, body: this.take(length + 1).subarray(5) }
  }

  /** What `work` gives, unless the log-in ends before: others' answers may never come. */
  during<T>(work: Promise<T>): Promise<T> {
    const ended = this.#failure ?? this.#closed
    if (ended !== null) return Promise.reject(ended)
    return new Promise((resolve, reject) => {
      const waiter = { needed: Number.POSITIVE_INFINITY, resolve: () => {}, reject }
      this.#waiter = waiter
      const done = (): void => {
        if (this.#waiter === waiter) this.#waiter = null
      }
      // Before the caller goes on: its next read sets a waiter of its own.
      work.finally(done).then(resolve, reject)
    })
  }

  /** Removes `size` held bytes and returns a copy of them. */
  take(size: number): Buffer {
    const bytes = Buffer.from(this.#held.subarray(this.#from, this.#from + size))
    this.#from += size
    if (this.#from === this.#to) {
      this.#held = nothing
      this.#from = 0
      this.#to = 0
    }
    return bytes
  }

  /** Ends the log-in's reads with `error`; the first one counts. */
  fail(error: Error): void {
    this.#failure ??= error
    this.#reject(this.#failure)
  }

  #reject(error: Error): void {
    const waiter = this.#waiter
    this.#waiter = null
    waiter?.reject(error)
  }

  /**
   * Ends the log-in: the link is paused and its handlers are free to be set. Returns the bytes that
   * came behind the last message. Throws when the link has closed already: nobody would be told.
   */
  release(): Buffer {
    const ended = this.#failure ?? this.#closed
    if (ended !== null) throw ended
    this.#link.onChunk = dropChunk
    this.#link.onClose = () => {}
    if (!this.#isPaused) this.#link.pause()
    return this.take(this.heldBytes)
  }

  /** Drops what is held and what still comes. */
  discard(): void {
    this.#link.onChunk = dropChunk
    this.#link.onClose = () => {}
    this.take(this.heldBytes)
    if (this.#isPaused) this.#link.resume()
  }

  #need(needed: number): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (this.heldBytes >= needed) return Promise.resolve()
    if (this.#closed !== null) return Promise.reject(this.#closed)
    if (this.#isPaused) {
      this.#isPaused = false
      this.#link.resume()
    }
    return new Promise((resolve, reject) => {
      this.#waiter = { needed, resolve, reject }
    })
  }

  #onChunk(chunk: Buffer): void {
    const held = this.heldBytes
    if (this.#to + chunk.length > this.#held.length) {
      const grown = Buffer.allocUnsafe(
        Math.max(256, held + chunk.length, Math.min(held * 2, 65_536)),
      )
      this.#held.copy(grown, 0, this.#from, this.#to)
      this.#held = grown
      this.#from = 0
      this.#to = held
    }
    chunk.copy(this.#held, this.#to)
    this.#to += chunk.length
    const waiter = this.#waiter
    if (waiter !== null && this.heldBytes >= waiter.needed) {
      this.#waiter = null
      waiter.resolve()
    } else if (this.heldBytes > maxHeldBytes && !this.#isPaused) {
      this.#isPaused = true
      this.#link.pause()
    }
  }
}
