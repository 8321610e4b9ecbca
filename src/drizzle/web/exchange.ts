import { AsyncLocalStorage } from 'node:async_hooks'
import type { ContextCarrier } from '../context-carrier.ts'
import { cacheControlWithToken, isForEverybody, type ResponseHeader } from './caching.ts'
import { jointBrought } from './joint-brought.ts'
import type { Settings } from './middleware-options.ts'
import { type Brought, type HeaderChange, PRIMARY_ONLY } from './token-channel.ts'
import type { WebRequest } from './web-request.ts'

/** Everything of one middleware that its requests share. */
export interface Door {
  readonly carrier: ContextCarrier
  readonly settings: Settings
  /** The exchange whose context the running code is in. */
  readonly inside: AsyncLocalStorage<Exchange>
  /** By the framework's object of the request or response: it is carried once, however often asked. */
  readonly exchanges: WeakMap<object, Exchange>
}

/** What goes out: a token, or nothing new. */
export type Outcome = { readonly token: string; readonly fromPrimary: boolean } | 'nothing'

type InContext = <T>(fn: () => T) => T

/** One request and its answer: takes the tokens in, gives the token of what it did out. */
export class Exchange {
  readonly #door: Door
  readonly #request: WebRequest
  readonly #brought: readonly Brought[]
  /** All that came in, as one token. */
  #joint: string | undefined
  #inContext: InContext = (fn) => fn()
  #deadlineMs: number | null = null

  constructor(door: Door, request: WebRequest) {
    const { channels, onIgnored } = door.settings
    const nowMs = Date.now()
    this.#door = door
    this.#request = request
    this.#brought = channels.flatMap((channel) => channel.read(request, nowMs, onIgnored))
  }

  /** Runs the request in its context. Throws what `fn` throws, and what `affinity` throws. */
  run<T>(fn: () => T): T {
    const { carrier, settings, inside } = this.#door
    const texts = this.#brought.map(({ token }) => token)
    const token = jointBrought(carrier, texts, settings.onIgnored)
    this.#joint = token
    const affinity = settings.affinity(this.#request)
    const enter = (): T =>
      inside.run(this, () => {
        this.#inContext = AsyncLocalStorage.snapshot()
        return fn()
      })
    return carrier.run(enter, {
      isForeignIgnored: true,
      ...(token === undefined ? {} : { token }),
      ...(affinity === undefined ? {} : { affinity }),
    })
  }

  /** Runs code of the request that was called from elsewhere, as by its socket. */
  enter<T>(fn: () => T): T {
    return this.#door.inside.getStore() === this ? fn() : this.#inContext(fn)
  }

  /** What goes out, if it is known; null = a position is being asked for. */
  now(): Outcome | null {
    let token: string | null = null
    try {
      token = this.#inContext(() => this.#door.carrier.causalTokenNow())
    } catch {
      // As good as none: the wait for it ends in the same error, and in the primary.
    }
    if (token !== null) return this.#outcome(token)
    const isLate = this.#deadlineMs !== null && performance.now() >= this.#deadlineMs
    return isLate ? this.#outcome(PRIMARY_ONLY) : null
  }

  /** What goes out, after `maxWaitMs` (of all waits of this request) at most. Never rejects. */
  async settle(): Promise<Outcome> {
    const known = this.now()
    if (known !== null) return known
    this.#deadlineMs ??= performance.now() + this.#door.settings.maxWaitMs
    const { promise: late, resolve } = Promise.withResolvers<string>()
    const timer = setTimeout(resolve, this.#deadlineMs - performance.now(), PRIMARY_ONLY)
    const asked = this.#inContext(async () => await this.#door.carrier.causalToken())
    const token = await Promise.race([asked.catch(() => PRIMARY_ONLY), late])
    clearTimeout(timer)
    if (token === PRIMARY_ONLY) this.#deadlineMs = performance.now()
    return this.#outcome(token)
  }

  /** What that means for the headers of the answer, which are as `header` says. */
  changes(outcome: Outcome, header: ResponseHeader): HeaderChange[] {
    const { method } = this.#request
    if (outcome === 'nothing' || isForEverybody(method, header)) return []
    const { token, fromPrimary } = outcome
    const nowMs = Date.now()
    const changes = this.#door.settings.channels.map((channel) =>
      channel.write(token, fromPrimary, nowMs),
    )
    const cacheControl = cacheControlWithToken(method, header)
    if (cacheControl !== null) {
      changes.push({ name: 'Cache-Control', value: cacheControl, append: false })
    }
    return changes
  }

  #outcome(token: string): Outcome {
    if (token === '' || token === PRIMARY_ONLY || token === this.#joint) {
      const isLost = token === PRIMARY_ONLY && this.#joint !== PRIMARY_ONLY
      return isLost || this.#fades() ? { token: PRIMARY_ONLY, fromPrimary: true } : 'nothing'
    }
    return { token, fromPrimary: this.#hasUsedPrimary() }
  }

  /** What was owed when the request came is owed until it has a position, but its token runs out. */
  #fades(): boolean {
    if (this.#joint !== PRIMARY_ONLY) return false
    const untilMs = Date.now() + this.#door.settings.primaryOnlyMs / 2
    return !this.#brought.some(
      ({ token, expiresAtMs }) => token === PRIMARY_ONLY && (expiresAtMs ?? Infinity) > untilMs,
    )
  }

  #hasUsedPrimary(): boolean {
    const { carrier } = this.#door
    const hasUsed = this.#inContext(() => carrier.hasUsedPrimary())
    return hasUsed ?? !['GET', 'HEAD', 'OPTIONS'].includes(this.#request.method)
  }
}
