import net from 'node:net'
import type { Writable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { beginTurn, endTurn } from './turn-clock.ts'

/** A block holds what one flush sends; a chunk of a socket fits a large one. */
const blockBytes = 16 * 1024
const largeBlockBytes = 64 * 1024

/** Below this a loop is faster than the runtime's copy, bytes. */
const shortBytes = 24
/** Short beginnings of a block are the same objects whenever it is used, up to this size, bytes. */
const maxKnownBytes = 255

/** Memory for what is written between two flushes. */
class Block {
  readonly bytes: Buffer
  #known: (Buffer | undefined)[] | null = null

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size)
  }

  /** The first `size` bytes, to be sent. */
  start(size: number): Buffer {
    const { bytes } = this
    if (size > maxKnownBytes) return size === bytes.length ? bytes : bytes.subarray(0, size)
    this.#known ??= new Array<Buffer | undefined>(maxKnownBytes + 1).fill(undefined)
    const known = this.#known[size]
    if (known !== undefined) return known
    const made = bytes.subarray(0, size)
    this.#known[size] = made
    return made
  }
}

/** Blocks that wait for their next user. Few are in use at a time: only between write and flush. */
const freeBlocks: Block[] = []
const freeLargeBlocks: Block[] = []
const maxFreeBlocks = 64

function takeBlock(size: number): Block {
  if (size <= blockBytes) return freeBlocks.pop() ?? new Block(blockBytes)
  if (size > largeBlockBytes) return new Block(size)
  return freeLargeBlocks.pop() ?? new Block(largeBlockBytes)
}

function recycle(block: Block): void {
  if (block.bytes.length === blockBytes) {
    if (freeBlocks.length < maxFreeBlocks) freeBlocks.push(block)
  } else if (block.bytes.length === largeBlockBytes) {
    if (freeLargeBlocks.length < maxFreeBlocks) freeLargeBlocks.push(block)
  }
}

const dirty: Outlet[] = []
let isFlushScheduled = false

/** Sends all that was written; `setImmediate` does it at the end of a turn. */
export function flushDirty(): void {
  isFlushScheduled = false
  for (let i = 0; i < dirty.length; i++) dirty[i]?.flush()
  dirty.length = 0
}

/** Requests on their way to servers, in the whole process. */
export const traffic = { inFlight: 0 }

/** With so few requests under way there is nobody to share a write with. */
const fewRequests = 2
let isFlushedAtEnd = false

/** Handles one chunk; what it writes leaves at its end when the process is quiet. */
export function inTurn(handle: (chunk: Buffer) => void, chunk: Buffer): void {
  const isQuiet = traffic.inFlight <= fewRequests && !isFlushScheduled
  isFlushedAtEnd = isQuiet
  beginTurn()
  try {
    handle(chunk)
  } finally {
    endTurn()
    isFlushedAtEnd = false
    if (isQuiet) flushDirty()
  }
}

/**
 * The one caller of `socket.write`. What is appended during one turn of the event loop leaves in
 * one system call, when the turn's reads are done (`setImmediate` runs right after the poll phase):
 * this is what lets the requests of many clients share one write to a server.
 */
export class Outlet {
  #sink: Writable
  /** When a block may be used again: see `#send`. */
  #reuse: 'when-taken' | 'on-callback' | 'never'
  #block: Block | null = null
  #used = 0
  /** Blocks that the sink still refers to. */
  #lent: Block[] = []
  #isDirty = false
  #isClosed = false

  constructor(sink: Writable) {
    this.#sink = sink
    this.#reuse =
      sink instanceof TLSSocket
        ? 'on-callback'
        : sink instanceof net.Socket
          ? 'when-taken'
          : 'never'
  }

  /** Copies `bytes[start, end)`. After the sink has closed, bytes are dropped. */
  append(bytes: Uint8Array, start: number, end: number): void {
    const size = end - start
    if (size <= 0) return
    const at = this.#reserve(size)
    if (at < 0) return
    const { bytes: block } = this.#block as Block
    if (size < shortBytes) {
      for (let i = 0; i < size; i++) block[at + i] = bytes[start + i] as number
    } else if (bytes instanceof Buffer) bytes.copy(block, at, start, end)
    else block.set(bytes.subarray(start, end), at)
  }

  /**
   * Makes room for `size` bytes and counts them as written; the caller fills
   * `block[at, at + size)` at once. Returns `at`, or -1 when the sink is gone.
   */
  #reserve(size: number): number {
    if (this.#isClosed) return -1
    let block = this.#block
    if (block !== null && this.#used + size > block.bytes.length) {
      this.#send()
      block = this.#block
    }
    if (block === null) {
      block = takeBlock(size)
      this.#block = block
    }
    const at = this.#used
    this.#used = at + size
    if (!this.#isDirty) {
      this.#isDirty = true
      dirty.push(this)
      if (!isFlushScheduled && !isFlushedAtEnd) {
        isFlushScheduled = true
        setImmediate(flushDirty)
      }
    }
    return at
  }

  /** Bytes appended that the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.#used + this.#sink.writableLength
  }

  flush(): void {
    this.#isDirty = false
    if (this.#used > 0) this.#send()
  }

  close(): void {
    this.#isClosed = true
    this.#used = 0
    this.#block = null
    this.#lent.length = 0
  }

  #send(): void {
    const block = this.#block
    const used = this.#used
    this.#used = 0
    if (block === null || used === 0) return
    if (this.#isClosed || this.#sink.destroyed || this.#sink.writableEnded) return
    this.#block = null
    this.drained()
    const bytes = this.#reuse === 'never' ? block.bytes.subarray(0, used) : block.start(used)
    if (this.#reuse === 'on-callback') {
      // TLS encrypts later: the block is free when the write is through.
      this.#sink.write(bytes, () => recycle(block))
      return
    }
    this.#sink.write(bytes)
    if (this.#reuse === 'never') return
    // A plain socket with writableLength 0: the kernel has copied all of it. Otherwise the stream
    // still refers to the block, and it is lent until everything has been taken.
    if (this.#sink.writableLength === 0) recycle(block)
    else this.#lent.push(block)
  }

  /** The sink has taken everything: lent blocks are free again. */
  drained(): void {
    if (this.#lent.length === 0 || this.#sink.writableLength > 0) return
    for (const block of this.#lent) recycle(block)
    this.#lent.length = 0
  }
}
