import type { IncomingMessage } from 'node:http'

/** What the frameworks' requests have in common. */
export interface WebRequest {
  readonly method: string
  /** Address of the client as the framework tells it (with its `trust proxy`); it may not know one. */
  readonly address: string | undefined
  /** The framework's own: Express's and node:http's `req`, Fastify's `request`, Hono's `c`, fetch's Request. */
  readonly raw: unknown
  /** A header of the request by its name in lower case; several of one name are joined by commas. */
  header(name: string): string | undefined
}

/** Express's request, or node:http's; `ip` is Express's. */
export function fromNode(
  req: IncomingMessage & { readonly ip?: unknown },
  raw: unknown = req,
): WebRequest {
  const framework = raw as { readonly ip?: unknown }
  return {
    method: req.method ?? 'GET',
    get address() {
      return typeof framework.ip === 'string' ? framework.ip : req.socket?.remoteAddress
    },
    raw,
    header(name) {
      const value = req.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
  }
}

/** Hono's context, as far as it is needed. */
export interface HonoContext {
  readonly req: {
    readonly method: string
    readonly raw: object
    header(name: string): string | undefined
  }
  readonly res: {
    readonly status: number
    readonly headers: { get(name: string): string | null }
  }
  readonly env: unknown
  header(name: string, value?: string, options?: { append?: boolean }): void
}

export function fromHono(c: HonoContext): WebRequest {
  return {
    method: c.req.method,
    get address() {
      // As @hono/node-server tells it.
      const env = c.env as { readonly incoming?: IncomingMessage } | null | undefined
      return env?.incoming?.socket?.remoteAddress
    },
    raw: c,
    header: (name) => c.req.header(name),
  }
}

/** A Request of fetch's kind, which doesn't tell from where it comes. */
export function fromFetch(request: Request, address: string | undefined): WebRequest {
  return {
    method: request.method,
    address,
    raw: request,
    header: (name) => request.headers.get(name) ?? undefined,
  }
}
