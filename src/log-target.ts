/**
 * Where log lines go. Logging never blocks the process and never ends it: what the target can't
 * take now waits in a bounded queue, what doesn't fit there is dropped and counted, and the count
 * is told as soon as the target takes lines again.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'

/** Takes whole lines, each ended by a line feed. */
export interface LogTarget {
  write(line: string): void
}

/**
 * Writes what can be written without waiting and returns how many bytes that was: 0 = none now.
 * Throws an error with a `code` (ENOSPC, EPIPE …) when the target fails.
 */
export type WriteNow = (bytes: Buffer) => number

/** The line that tells of `lines` that were dropped, for the `reason` (a system error's code). */
export type LossLine = (lines: number, reason: string) => string

/** Bytes of lines that wait for a target at most. */
export const maxQueuedBytes = 256 * 1024
/** When a target that was full is tried again, ms; one that failed is tried a tenth as often. */
const retryMs = 100
/** What Node.js holds for a socket that takes no more, bytes. */
const maxSocketBytes = 16 * 1024

/** A target that is written to without ever waiting for it. */
export class QueuedTarget implements LogTarget {
  readonly #writeNow: WriteNow
  readonly #lossLine: LossLine
  #queue: Buffer[] = []
  #queuedBytes = 0
  #dropped = 0
  #reason = 'blocked'
  #timer: NodeJS.Timeout | null = null

  constructor(writeNow: WriteNow, lossLine: LossLine) {
    this.#writeNow = writeNow
    this.#lossLine = lossLine
  }

  write(line: string): void {
    const bytes = Buffer.from(line)
    if (this.#queuedBytes + bytes.length > maxQueuedBytes) {
      this.#dropped++
      return
    }
    this.#tellLoss()
    this.#push(bytes)
    if (this.#timer === null) this.flush()
  }

  /** Writes what the target takes now. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    for (;;) {
      const first = this.#queue[0]
      if (first === undefined) {
        if (this.#dropped === 0) return
        this.#tellLoss()
        continue
      }
      if (!this.#advance(first)) return
    }
  }

  /** False: the target takes no more for now. */
  #advance(first: Buffer): boolean {
    let taken = 0
    try {
      taken = this.#writeNow(first)
    } catch (error) {
      this.#reason = error instanceof Error && 'code' in error ? String(error.code) : 'error'
      this.#tryAgain(retryMs * 10)
      return false
    }
    this.#queuedBytes -= taken
    if (taken === first.length) this.#queue.shift()
    else this.#queue[0] = first.subarray(taken)
    if (taken > 0) return true
    this.#reason = 'blocked'
    this.#tryAgain(retryMs)
    return false
  }

  #tryAgain(afterMs: number): void {
    this.#timer = setTimeout(() => this.flush(), afterMs)
    this.#timer.unref()
  }

  #push(bytes: Buffer): void {
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
  }

  /** The place of the dropped lines is behind those that still wait. */
  #tellLoss(): void {
    if (this.#dropped === 0) return
    const lines = this.#dropped
    this.#dropped = 0
    this.#push(Buffer.from(this.#lossLine(lines, this.#reason)))
  }
}

let shared: QueuedTarget | null = null

/**
 * The process's standard error, which all loggers of the process share; the first one's `lossLine`
 * is used. What still waits when the process exits is tried once more.
 */
export function standardError(lossLine: LossLine): LogTarget {
  if (shared === null) {
    const target = new QueuedTarget(writeNowTo(2), lossLine)
    process.on('exit', () => target.flush())
    shared = target
  }
  return shared
}

/** How to write to a descriptor without waiting depends on what it is. */
function writeNowTo(fd: number): WriteNow {
  const stat = fstatSync(fd)
  if (stat.isFIFO() || isTerminal(fd)) {
    const own = reopen(fd)
    if (own !== null) return (bytes) => writeSome(own, bytes)
  }
  if (stat.isFIFO() || stat.isSocket()) return writeNowToSocket(fd)
  // Files and devices: the page cache takes it, or they fail at once.
  return (bytes) => writeSome(fd, bytes)
}

function isTerminal(fd: number): boolean {
  const { rdev } = fstatSync(fd)
  // Linux: major numbers of ttys, consoles and pseudo terminals (Documentation/admin-guide/devices.txt).
  const major = (rdev >> 8) & 0xfff
  return (
    process.platform === 'linux' && (major === 4 || major === 5 || (major >= 136 && major < 144))
  )
}

/**
 * A pipe or terminal once more, as an open file of our own: O_NONBLOCK on the inherited one would
 * hold for every process that has it. null: it can't be opened (no /proc, another user's).
 */
function reopen(fd: number): number | null {
  try {
    const own = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK)
    if (fstatSync(own).ino === fstatSync(fd).ino) return own
    closeSync(own)
  } catch {}
  return null
}

function writeSome(fd: number, bytes: Buffer): number {
  try {
    return writeSync(fd, bytes)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0
    throw error
  }
}

/** Sockets can't be opened again (a journal, a parent that is Node.js): Node.js keeps some of it. */
function writeNowToSocket(fd: number): WriteNow {
  const socket = new Socket({ fd, readable: false, writable: true })
  let failure: Error | null = null
  socket.on('error', (error) => {
    failure = error
  })
  socket.unref()
  return (bytes) => {
    if (failure !== null) throw failure
    if (socket.writableLength > maxSocketBytes) return 0
    socket.write(bytes)
    return bytes.length
  }
}
