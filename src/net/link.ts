import net from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { addresses } from './addresses.ts'
import { Intake, type IntakeOwner } from './intake.ts'
import { inTurn, Outlet } from './outlet.ts'
import { TurnShare } from './turn-share.ts'

/** Every plain socket of the process reads into this one buffer: an idle socket holds none. */
const sharedReadBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** Chunks up to this size are the same object whenever they come in, bytes. */
const maxKnownChunkBytes = 2048
const knownChunks: (Buffer | undefined)[] = new Array(maxKnownChunkBytes + 1).fill(undefined)

/** What has just been read: the first `size` bytes of the shared buffer. */
function chunkOf(size: number): Buffer {
  if (size > maxKnownChunkBytes) return sharedReadBuffer.subarray(0, size)
  let chunk = knownChunks[size]
  if (chunk === undefined) {
    chunk = sharedReadBuffer.subarray(0, size)
    knownChunks[size] = chunk
  }
  return chunk
}

/**
 * Deno's TLS over a socket with `onread` never sees a byte, and whether there will be TLS is not known
 * when it is dialled.
 */
const readsIntoSharedBuffer = process.versions.deno === undefined

const ignoreChunk = (chunk: Buffer): number => chunk.length
const ignoreClose = (): void => {}

/** A share that isn't used up. */
function wholeShare(): TurnShare {
  const share = new TurnShare()
  share.left = Number.POSITIVE_INFINITY
  return share
}

/**
 * One byte stream with a peer: a TCP socket, a TLS socket, or any Duplex (tests use
 * `stream.duplexPair()`).
 *
 * A chunk is valid only during `onChunk`: plain sockets share one read buffer, so whoever keeps
 * bytes copies them. The handlers are plain fields that a later stage (log-in, session) replaces.
 */
export class Link implements IntakeOwner {
  /**
   * Returns how many bytes of the chunk it has taken: all, or fewer when `share` is used up or was
   * stopped. The rest is offered again: in a later turn, or when `goOn` is called.
   */
  onChunk: (chunk: Buffer, share: TurnShare) => number = ignoreChunk
  /** Called once. `null`: the peer closed in order. */
  onClose: (error: Error | null) => void = ignoreClose
  /** The peer says nothing more and may still read; null: then the link closes. */
  onEnd: (() => void) | null = null
  /** Called when `pendingBytes` has fallen to zero after `write` had to wait for the peer. */
  onDrain: () => void = ignoreClose
  remoteAddress: string
  remotePort: number

  /** The peer has gone, or says nothing more; of what it said before something may be left. */
  hasEnded = false

  #duplex: Duplex
  #outlet: Outlet
  readonly #intake = new Intake(this)
  #closed = false
  #detached = false

  private constructor(duplex: Duplex, reader: 'events' | 'callback') {
    this.#duplex = duplex
    const socket = duplex as Partial<net.Socket>
    this.remoteAddress = socket.remoteAddress ?? 'local'
    this.remotePort = socket.remotePort ?? 0
    this.#outlet = new Outlet(duplex)
    if (reader === 'events') duplex.on('data', this.#onData)
    duplex.on('error', this.#onError)
    duplex.on('close', this.#onClosed)
    duplex.on('end', this.#onEnd)
    duplex.on('drain', this.#onDrained)
  }

  /** Wraps any duplex; data events, so a fresh buffer per chunk. */
  static of(duplex: Duplex): Link {
    return new Link(duplex, 'events')
  }

  /**
   * Wraps a socket accepted by a server with `pauseOnConnect`, so that it reads into the shared
   * buffer. Node gives the `onread` option to outgoing sockets only; an accepted one is moved to a
   * socket of our own by its handle, and where a Node has none to move, events do.
   */
  static accept(accepted: net.Socket): Link {
    const handle = (accepted as unknown as { _handle: object | null })._handle
    if (handle === null || handle === undefined) {
      const link = Link.of(accepted)
      accepted.resume()
      return link
    }
    const remote = { address: accepted.remoteAddress, port: accepted.remotePort }
    ;(accepted as unknown as { _handle: object | null })._handle = null
    let link: Link | null = null
    const socket = new net.Socket({
      handle,
      // What a client asked before it closed its side is answered: see `onEnd`.
      allowHalfOpen: true,
      onread: {
        buffer: sharedReadBuffer,
        callback: (size: number): boolean => {
          if (link !== null) inTurn(link.#intake.take, chunkOf(size))
          return true
        },
      },
    } as unknown as net.SocketConstructorOpts)
    link = new Link(socket, 'callback')
    link.remoteAddress = remote.address ?? 'unknown'
    link.remotePort = remote.port ?? 0
    socket.setNoDelay(true)
    socket.resume()
    socket.read(0)
    return link
  }

  /**
   * Connects to `target` within `timeoutMs`. Rejects with the socket's own error (`ECONNREFUSED`, …),
   * or one with code `ETIMEDOUT` (`ELOOKUPLATE` if not even its name was looked up by then), or when
   * `signal` fires.
   */
  static dial(
    target: { host: string; port: number; keepAliveIdleMs?: number | null },
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Link> {
    return new Promise((resolve, reject) => {
      let link: Link | null = null
      const socket = net.connect({
        host: target.host,
        port: target.port,
        lookup: addresses.forDial,
        noDelay: true,
        keepAlive: target.keepAliveIdleMs !== null,
        keepAliveInitialDelay: target.keepAliveIdleMs ?? 30_000,
        ...(readsIntoSharedBuffer
          ? {
              onread: {
                buffer: sharedReadBuffer,
                callback: (size: number, buffer: Uint8Array): boolean => {
                  if (link !== null) inTurn(link.#intake.take, (buffer as Buffer).subarray(0, size))
                  return true
                },
              },
            }
          : {}),
      })
      let isLookedUp = net.isIP(target.host) !== 0
      socket.once('lookup', () => {
        isLookedUp = true
      })
      const giveUp = (): void => fail(new Error('nobody waits for the connection any more'))
      const fail = (error: Error): void => {
        signal?.removeEventListener('abort', giveUp)
        clearTimeout(timer)
        socket.removeAllListeners()
        socket.on('error', () => {})
        socket.destroy()
        reject(error)
      }
      const timer = setTimeout(() => {
        const what = isLookedUp ? 'no TCP connection to' : 'no answer from the name service for'
        const error = new Error(`${what} ${target.host}:${target.port} within ${timeoutMs} ms`)
        fail(Object.assign(error, { code: isLookedUp ? 'ETIMEDOUT' : 'ELOOKUPLATE' }))
      }, timeoutMs)
      signal?.addEventListener('abort', giveUp, { once: true })
      socket.once('error', fail)
      socket.once('connect', () => {
        signal?.removeEventListener('abort', giveUp)
        clearTimeout(timer)
        socket.off('error', fail)
        link = new Link(socket, readsIntoSharedBuffer ? 'callback' : 'events')
        resolve(link)
      })
    })
  }

  /** Copies the bytes; they leave together with what else this turn writes, or at `flush()`. */
  write(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.#outlet.append(bytes, start, end)
  }

  flush(): void {
    this.#outlet.flush()
  }

  /** Bytes accepted by `write` that the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.#outlet.pendingBytes
  }

  /**
   * Do more than `limitBytes` wait for the peer? What can leave leaves first, so that `true` means
   * that the kernel did not take it and `onDrain` follows.
   */
  hasBacklog(limitBytes: number): boolean {
    if (this.#outlet.pendingBytes <= limitBytes) return false
    this.#outlet.flush()
    return this.#outlet.pendingBytes > limitBytes
  }

  get isEncrypted(): boolean {
    return this.#duplex instanceof TLSSocket
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** Nothing more is read until `resume`; what was read is gone through to its end. */
  pause(): void {
    if (!this.#closed) this.#intake.pause()
  }

  resume(): void {
    if (!this.#closed) this.#intake.resume()
  }

  /** What was not taken is offered again. */
  goOn(): void {
    if (!this.#closed) this.#intake.goOn()
  }

  /** Bytes that came first and were read by somebody else. */
  offer(bytes: Buffer): void {
    if (bytes.length > 0) this.#intake.take(bytes)
  }

  /** Calls back when all that was read has been taken: now, or later. */
  whenTaken(then: () => void): void {
    this.#intake.whenTaken(then)
  }

  flow(isFlowing: boolean): void {
    if (this.#closed) return
    if (isFlowing) this.#duplex.resume()
    else this.#duplex.pause()
  }

  /** Flushes, then sends FIN; the peer that never closes in turn is cut off after five seconds. */
  end(): void {
    if (this.#closed) return
    this.#outlet.flush()
    this.#duplex.end()
    setTimeout(() => this.#duplex.destroy(), 5_000).unref()
  }

  /** Closes at once; what was not sent is lost. `onClose` follows. */
  destroy(): void {
    this.#duplex.destroy()
  }

  /** Detaches from the raw stream and hands it over, to be wrapped (TLS). This link is dead then. */
  takeDuplex(): Duplex {
    this.#outlet.flush()
    this.#detached = true
    this.#closed = true
    this.#duplex.off('data', this.#onData)
    this.#duplex.off('error', this.#onError)
    this.#duplex.off('close', this.#onClosed)
    this.#duplex.off('end', this.#onEnd)
    this.#duplex.off('drain', this.#onDrained)
    return this.#duplex
  }

  #onData = (chunk: Buffer): void => this.#intake.take(chunk)

  #onError = (error: Error): void => {
    this.#close(error)
  }

  #onEnd = (): void => {
    if (this.onEnd === null || this.#closed) this.#close(null)
    else this.onEnd()
  }

  #onClosed = (): void => {
    this.#close(null)
  }

  #onDrained = (): void => {
    this.#outlet.drained()
    if (!this.#closed) this.onDrain()
  }

  #close(error: Error | null): void {
    if (this.#closed || this.#detached) return
    this.hasEnded = true
    const last = this.#intake.end()
    // A chunk or two: what came before the end is heard before it.
    if (last.length > 0) this.onChunk(last, wholeShare())
    this.#closed = true
    this.#outlet.flush()
    this.#outlet.close()
    if (error === null) {
      this.#duplex.end()
      setTimeout(() => this.#duplex.destroy(), 5_000).unref()
    } else {
      this.#duplex.destroy()
    }
    this.onClose(error)
  }
}
