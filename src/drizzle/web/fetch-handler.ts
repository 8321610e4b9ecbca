import { type Door, Exchange } from './exchange.ts'
import type { HeaderChange } from './token-channel.ts'
import { fromFetch } from './web-request.ts'

/**
 * Runs a handler of fetch's kind in a context, and adds the token to the Response that it gives. What
 * a streamed body does after that is not covered. Rejects with what the handler and `affinity` throw.
 */
export async function carryFetch(
  door: Door,
  request: Request,
  handler: (request: Request) => Response | Promise<Response>,
  address: string | undefined,
): Promise<Response> {
  if (door.exchanges.has(request)) return handler(request)
  const exchange = new Exchange(door, fromFetch(request, address))
  door.exchanges.set(request, exchange)
  const response = await exchange.run(async () => handler(request))
  const outcome = await exchange.settle()
  // A Response can't be made again with a status below 200 (an error, a protocol switch).
  if (outcome === 'nothing' || response.status < 200) return response
  const changes = exchange.changes(outcome, (name) => response.headers.get(name) ?? undefined)
  return changes.length === 0 ? response : withHeaders(response, changes)
}

/** The same Response where its headers can be changed; those of a redirect or of fetch() can't. */
function withHeaders(response: Response, changes: readonly HeaderChange[]): Response {
  try {
    for (const change of changes) apply(response.headers, change)
    return response
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    const { status, statusText } = response
    const headers = new Headers(response.headers)
    for (const change of changes) apply(headers, change)
    return new Response(response.body, { status, statusText, headers })
  }
}

function apply(headers: Headers, { name, value, append }: HeaderChange): void {
  if (append) headers.append(name, value)
  else headers.set(name, value)
}
