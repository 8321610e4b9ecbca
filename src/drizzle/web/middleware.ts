import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ContextCarrier } from '../context-carrier.ts'
import type { Door, Exchange } from './exchange.ts'
import { addHooks, type FastifyInstance } from './fastify-plugin.ts'
import { carryFetch } from './fetch-handler.ts'
import { carryHono } from './hono-middleware.ts'
import { type MiddlewareOptions, resolveOptions } from './middleware-options.ts'
import { carryNode } from './node-http.ts'
import type { HonoContext } from './web-request.ts'

/** `(req, res) => …`, as for `http.createServer()`. */
type NodeHandler<Req, Res, T> = (req: Req, res: Res) => T

/** One function for all frameworks. */
export interface Middleware {
  /** Express and Connect: `app.use(middleware)`. Returns what `next` returns. */
  <T>(req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => T): T
  /** Hono: `app.use(middleware)`. */
  (c: HonoContext, next: () => Promise<void>): Promise<void>
  /** Fastify: `app.register(middleware)`, for all routes of that instance. */
  (app: FastifyInstance, options: object, done: (error?: Error) => void): void
  /** node:http, and the compatibility API of node:http2: `createServer(middleware.wrap(handler))`. */
  wrap<Req extends object, Res extends object, T>(
    handler: NodeHandler<Req, Res, T>,
  ): NodeHandler<Req, Res, T>
  /**
   * Servers of fetch's kind (route handlers of Next.js, SvelteKit, Remix, Bun.serve, Deno.serve): runs
   * the handler as one client and resolves to its Response with the token. `address` is the client's,
   * where it is known, for `affinity`. Rejects with what the handler throws.
   */
  handle(
    request: Request,
    handler: (request: Request) => Response | Promise<Response>,
    address?: string,
  ): Promise<Response>
}

/**
 * Carries the causal token from one web request to the next: a request's reads see at least what the
 * client's requests before it have written and seen, on whichever node they run. A response leaves
 * when the position of what the request did is known; what is done after its first byte does not
 * count. A token that is malformed, forged, expired or of another cluster is ignored. Responses with
 * a token become `Cache-Control: private`; answers to GET and HEAD that are `public`, `s-maxage` or
 * `immutable`, and so the same for everybody, get none. Throws ConfigError for options that can't be.
 */
export function middleware(carrier: ContextCarrier, options: MiddlewareOptions): Middleware {
  const door: Door = {
    carrier,
    settings: resolveOptions(options),
    inside: new AsyncLocalStorage<Exchange>(),
    exchanges: new WeakMap(),
  }

  const entry = (first: object, second: object, third: unknown): unknown => {
    if (isFastify(first)) {
      addHooks(first, door)
      if (isCallback(third)) third()
      return undefined
    }
    if (isCallback(third)) {
      return carryNode(door, first as IncomingMessage, second as ServerResponse, () => third())
    }
    return carryHono(door, first as HonoContext, second as () => Promise<void>)
  }

  return Object.assign(entry as Middleware, {
    wrap:
      <Req extends object, Res extends object, T>(handler: NodeHandler<Req, Res, T>) =>
      (req: Req, res: Res): T =>
        carryNode(door, req as unknown as IncomingMessage, res as unknown as ServerResponse, () =>
          handler(req, res),
        ),
    handle: (
      request: Request,
      handler: (request: Request) => Response | Promise<Response>,
      address?: string,
    ): Promise<Response> => carryFetch(door, request, handler, address),
    // Fastify: the hooks are for the instance that registers this, not for a child of it.
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: 'pgsplit',
  })
}

function isFastify(value: object): value is FastifyInstance {
  return 'addHook' in value && typeof value.addHook === 'function'
}

function isCallback(value: unknown): value is () => unknown {
  return typeof value === 'function'
}
