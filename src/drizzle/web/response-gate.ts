import { AsyncLocalStorage } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import type { Exchange, Outcome } from './exchange.ts'
import { applyHead } from './write-head.ts'

/** `open`: nothing is to be sent yet. `held`: something is, and the token is not known yet. */
type Phase = 'open' | 'held' | 'sending'

/** A call that waits, to be made in the context that it came from. */
interface HeldCall {
  readonly isWrite: boolean
  readonly run: () => unknown
}

/**
 * Stands before the methods of one response of node:http (also Express's, Fastify's and the
 * compatibility API of http2) and keeps its head back until the token of the request is known. It
 * mostly is at once; then nothing waits. Calls that have to wait are made later in their order, and
 * until then the response looks as if they had been made.
 */
export class ResponseGate {
  readonly #res: ServerResponse
  readonly #exchange: Exchange
  readonly #nativeWriteHead: ServerResponse['writeHead']
  #phase: Phase = 'open'
  /** The application has called writeHead(), which by itself sends nothing. */
  #isFixed = false
  #isDisguised = false
  #hasEnded = false
  #outcome: Outcome = 'nothing'
  #calls: HeldCall[] = []

  constructor(res: ServerResponse, exchange: Exchange) {
    this.#res = res
    this.#exchange = exchange
    const { writeHead, write, end, flushHeaders } = res
    this.#nativeWriteHead = writeHead
    res.writeHead = ((...args) => this.#writeHead(args)) as typeof writeHead
    res.flushHeaders = () => {
      this.#pass(false, () => flushHeaders.call(res))
    }
    // What node:http refuses is passed on at once, for its error.
    res.write = ((...args: Parameters<typeof write>) => {
      const call = () => write.apply(res, args)
      return isChunk(args[0]) ? this.#pass(true, call) === true : call()
    }) as typeof write
    res.end = ((...args: Parameters<typeof end>) => {
      const call = () => end.apply(res, args)
      const [chunk] = args as readonly unknown[]
      if (chunk && typeof chunk !== 'function' && !isChunk(chunk)) return call()
      this.#pass(false, call)
      if (this.#phase === 'held') this.#hasEnded = true
      return res
    }) as typeof end
  }

  /** Makes a call that sends, now or when the token is known; undefined = later. */
  #pass(isWrite: boolean, call: () => unknown): unknown {
    if (this.#phase === 'open') {
      const outcome = this.#exchange.now()
      if (outcome === null) this.#hold()
      else this.#send(outcome)
    }
    if (this.#phase === 'sending') return call()
    const inContext = AsyncLocalStorage.snapshot()
    this.#calls.push({ isWrite, run: () => inContext(call) })
    return undefined
  }

  #writeHead(args: readonly unknown[]): ServerResponse {
    if (this.#phase === 'sending') {
      // Made by write() or end(), or too late.
      if (!this.#res.headersSent && applyHead(this.#res, args)) return this.#sendHead()
      return Reflect.apply(this.#nativeWriteHead, this.#res, args)
    }
    if (this.#isFixed || this.#phase === 'held') throw headersSent('write')
    if (!applyHead(this.#res, args)) return Reflect.apply(this.#nativeWriteHead, this.#res, args)
    this.#isFixed = true
    this.#disguise()
    return this.#res
  }

  #hold(): void {
    this.#phase = 'held'
    this.#disguise()
    const release = (outcome: Outcome): void => {
      if (this.#phase !== 'held') return
      this.#res.off('close', abandon)
      this.#release(outcome)
    }
    // Who waited for an answer is gone: the calls fail as they would have.
    const abandon = (): void => release('nothing')
    this.#res.once('close', abandon)
    void this.#exchange.settle().then(release)
  }

  #release(outcome: Outcome): void {
    const writes: unknown[] = []
    try {
      this.#send(outcome)
      for (const { isWrite, run } of this.#calls.splice(0)) {
        const result = run()
        if (isWrite) writes.push(result)
      }
    } catch (error) {
      // Nobody is there to catch what the call would have thrown.
      this.#res.destroy(error instanceof Error ? error : new Error(String(error)))
      return
    }
    // Held writes have said that there is no room; node:http tells only if it said so itself.
    const hasRoom = writes.length > 0 && !writes.includes(false)
    if (hasRoom && !this.#hasEnded && !this.#res.destroyed) this.#res.emit('drain')
  }

  #send(outcome: Outcome): void {
    this.#outcome = outcome
    this.#phase = 'sending'
    this.#undisguise()
    if (this.#isFixed) this.#sendHead()
  }

  #sendHead(): ServerResponse {
    const res = this.#res
    const changes =
      res.statusCode < 200
        ? []
        : this.#exchange.changes(this.#outcome, (name) => textOf(res.getHeader(name)))
    for (const { name, value, append } of changes) {
      // The array that is there may be the application's own: it must not grow.
      const given = append ? res.getHeader(name) : undefined
      res.setHeader(name, given === undefined ? value : [given, value].flat().map(String))
    }
    return this.#nativeWriteHead.call(res, res.statusCode)
  }

  /** Lets the response look as if what waits had been sent. */
  #disguise(): void {
    if (this.#isDisguised) return
    this.#isDisguised = true
    const res = this.#res
    const isLate = (): boolean => this.#phase !== 'sending'
    for (const [name, get] of [
      ['headersSent', () => true],
      ['writableEnded', () => this.#hasEnded],
      ['writableNeedDrain', () => !this.#hasEnded && this.#calls.some(({ isWrite }) => isWrite)],
    ] as const) {
      Object.defineProperty(res, name, { configurable: true, enumerable: false, get })
    }
    for (const name of ['setHeader', 'appendHeader', 'setHeaders', 'removeHeader'] as const) {
      const native: unknown = res[name]
      if (typeof native !== 'function') continue
      const guarded = (...args: unknown[]): unknown => {
        if (isLate()) throw headersSent(name === 'removeHeader' ? 'remove' : 'set')
        return Reflect.apply(native, res, args)
      }
      Object.defineProperty(res, name, { configurable: true, writable: true, value: guarded })
    }
  }

  #undisguise(): void {
    if (!this.#isDisguised) return
    for (const name of ['headersSent', 'writableEnded', 'writableNeedDrain'] as const) {
      Reflect.deleteProperty(this.#res, name)
    }
  }
}

function isChunk(chunk: unknown): boolean {
  return typeof chunk === 'string' || chunk instanceof Uint8Array
}

function textOf(value: number | string | readonly string[] | undefined): string | undefined {
  return value === undefined || typeof value === 'string' ? value : String(value)
}

/** As node:http says it. */
function headersSent(verb: string): Error {
  const error = new Error(`Cannot ${verb} headers after they are sent to the client`)
  return Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' })
}
