import { AsyncLocalStorage } from 'node:async_hooks'
import { assertKnown, type OptionNames } from '../known-options.ts'
import type { ContextCarrier } from './context-carrier.ts'
import type { ContextOptions, Door, DoorSnapshot } from './door.ts'
import { type Middleware, middleware } from './web/middleware.ts'
import type { MiddlewareOptions } from './web/middleware-options.ts'

/** Makes a database object whose statements run in what `context` gives when they run. */
export type MakeDatabase<Context, ReadDb, WriteDb> = {
  (mode: 'read', context: () => Context): ReadDb
  (mode: 'write', context: () => Context): WriteDb
}

const contextNames: OptionNames<Omit<ContextOptions, 'isShared'>> = {
  token: true,
  consistency: true,
  commitVisible: true,
  affinity: true,
  isForeignIgnored: true,
}

/**
 * Read and write sessions over one door. A session object is cheap and may live as long as you like:
 * where a statement runs is decided when it runs.
 */
export class Sessions<ReadDb, WriteDb, Context = unknown> implements ContextCarrier {
  readonly #door: Door<never, Context>
  readonly #make: MakeDatabase<Context, ReadDb, WriteDb>
  readonly #contexts = new AsyncLocalStorage<Context>()

  constructor(door: Door<never, Context>, make: MakeDatabase<Context, ReadDb, WriteDb>) {
    this.#door = door
    this.#make = make
  }

  /**
   * Resolves when every node was probed once and the catalog was looked at, whatever came of it.
   * Statements wait for it by themselves.
   */
  get ready(): Promise<void> {
    return this.#door.ready
  }

  /**
   * `true`: statements run on the primary. Otherwise on a replica, and only what is proved to be a
   * read. Inside of `run` all sessions share what the request has written and seen; outside, a session
   * sees its own reads and all writes of this process.
   */
  getSession(write: true): WriteDb
  getSession(write?: false): ReadDb
  getSession(write?: boolean): ReadDb | WriteDb
  getSession(write = false): ReadDb | WriteDb {
    if (write) return this.#make('write', this.#contextOf())
    return this.#make('read', this.#contextOf())
  }

  #contextOf(): () => Context {
    const contexts = this.#contexts
    let own: Context | undefined
    return () => {
      const current = contexts.getStore()
      if (current !== undefined) return current
      own ??= this.#door.newContext({ isShared: true })
      return own
    }
  }

  /**
   * Runs `fn` as one client: what is written in it is seen by what is read in it, on whatever session,
   * and it never reads backwards. `token`: and it sees what that stands for. Throws DoorError 22023
   * for a token that is malformed or of another cluster.
   */
  run<T>(fn: () => T, options: Omit<ContextOptions, 'isShared'> = {}): T {
    assertKnown<Omit<ContextOptions, 'isShared'>>(options, contextNames)
    return this.#contexts.run(this.#door.newContext(options), () => {
      const result = fn()
      // A query of Drizzle runs when it is awaited, and that would be outside.
      return isLazy(result) ? (Promise.resolve(result) as T) : result
    })
  }

  /**
   * For jobs and consumers of queues: from now on the current context sees at least what `token`
   * stands for; outside of `run`, every session of this process does. Throws as `run`.
   */
  afterWrite(token: string): void {
    this.#door.raise(this.#current(), token)
  }

  /**
   * What the current context has written and seen, for the next request, another process or the proxy
   * (`SET pgsplit.causal_token`); outside of `run`, what this process has written. '' = nothing. Rejects with DoorError 57P03
   * when no node can tell.
   */
  causalToken(): Promise<string> {
    return this.#door.causalToken(this.#current())
  }

  /** The same at once; null: a position is being asked for, and is usually there in some ms. */
  causalTokenNow(): string | null {
    return this.#door.causalTokenNow(this.#current())
  }

  /**
   * For Express, Fastify, Hono, node:http and handlers of fetch's kind: every request runs as one client, which sees at least
   * what the same user's requests before it have written and seen (docs/programs/web-requests.md). Throws
   * ConfigError with the path of the first mistake.
   */
  middleware(options: MiddlewareOptions): Middleware {
    return middleware(this, options)
  }

  /** Whether anything of the current context ran on the primary; undefined: the door can't tell. */
  hasUsedPrimary(): boolean | undefined {
    return this.#door.hasUsedPrimary?.(this.#current())
  }

  #current(): Context {
    return this.#contexts.getStore() ?? this.#door.process
  }

  /** What each node does, for a status page. */
  snapshot(): DoorSnapshot {
    return this.#door.snapshot()
  }

  /** Ends all connections and all watching; what runs may end first. Nothing keeps the process alive after it. */
  close(): Promise<void> {
    return this.#door.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function isLazy(value: unknown): value is PromiseLike<unknown> {
  if (value === null || typeof value !== 'object' || value instanceof Promise) return false
  return typeof (value as { readonly then?: unknown }).then === 'function'
}
