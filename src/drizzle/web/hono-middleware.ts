import { type Door, Exchange } from './exchange.ts'
import { fromHono, type HonoContext } from './web-request.ts'

/**
 * Runs the rest of Hono's chain in a context, and adds the token when the response is made. What a
 * streamed body does after that is not covered. Rejects with what the chain and `affinity` throw.
 */
export async function carryHono(
  door: Door,
  c: HonoContext,
  next: () => Promise<void>,
): Promise<void> {
  if (door.exchanges.has(c)) return next()
  const exchange = new Exchange(door, fromHono(c))
  door.exchanges.set(c, exchange)
  await exchange.run(next)
  const outcome = await exchange.settle()
  // A Response can't be made again with a status below 200 (that of a protocol switch).
  if (outcome === 'nothing' || c.res.status < 200) return
  const changes = exchange.changes(outcome, (name) => c.res.headers.get(name) ?? undefined)
  for (const { name, value, append } of changes) c.header(name, value, { append })
}
