import { parameterStatus } from '../wire/backend-messages.ts'
import { mayHaveWritten } from './may-have-written.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/**
 * So long a client that has closed its side may wait for the answers to what it had sent, ms. What
 * commits by itself is done to its end, as by PostgreSQL, while the client is still there.
 */
const maxEndMs = 10_000

/** How often it is asked from then on whether it is, ms. A second question finds out. */
const lateAskMs = 2_000

/** When it is asked first whether it is still there; each next time it is twice as long, ms. */
const firstAskMs = 100

/**
 * Asks nothing: every server reports it so since PostgreSQL 10, and a client may be told at any time
 * (protocol-flow, "Asynchronous Operations").
 */
const question = parameterStatus('integer_datetimes', 'on')

function commitsByItself(request: Request): boolean {
  const { begin, effects } = request
  return begin === null && mayHaveWritten(request) && !effects.some(({ kind }) => kind === 'begin')
}

/**
 * A client that has closed its side. One that still reads gets its answers, as from PostgreSQL; one
 * that has gone looks the same until something is sent to it, which its system then refuses. So a
 * client whose server connection is wanted by others, or who waits for long, is sent something: what
 * nobody will read must not keep them waiting.
 */
export class HalfClosed {
  readonly #session: ClientSession
  #end: NodeJS.Timeout | undefined = undefined
  #ask: NodeJS.Timeout | undefined = undefined

  constructor(session: ClientSession) {
    this.#session = session
    this.#endAfter(maxEndMs)
    this.#askAfter(firstAskMs)
  }

  stop(): void {
    clearTimeout(this.#end)
    clearTimeout(this.#ask)
  }

  #endAfter(ms: number): void {
    this.#end = setTimeout(() => {
      const { transaction, inFlight, link } = this.#session
      if (transaction === null && inFlight.some(commitsByItself)) {
        if (this.#mayAsk(inFlight.first)) this.#session.say(question)
        this.#endAfter(lateAskMs)
      } else link.destroy()
    }, ms).unref()
  }

  #askAfter(ms: number): void {
    this.#ask = setTimeout(() => {
      if (this.#isWanted()) this.#session.say(question)
      this.#askAfter(ms * 2)
    }, ms).unref()
  }

  #isWanted(): boolean {
    const { inFlight, waiting, scope } = this.#session
    const request = inFlight.first ?? waiting.request
    if (!this.#mayAsk(request)) return false
    const pool = scope.pool(request.nodeIndex)
    // One who only waits himself keeps nobody waiting.
    return waiting.isFor(request) ? pool.waiting > 1 : pool.isWanted
  }

  /** Behind half a message nothing can be said, and what waits to be sent asks by itself. */
  #mayAsk(request: Request | null): request is Request {
    return request?.isMidFrame === false && this.#session.link.pendingBytes === 0
  }
}
