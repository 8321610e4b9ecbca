import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Door, Exchange } from './exchange.ts'
import { ResponseGate } from './response-gate.ts'
import { fromNode } from './web-request.ts'

/**
 * Runs a request of node:http in its context, and lets its response wait for the token. Its events
 * run in the context, too, so that a body that is read by events leads back into it. Throws what
 * `fn` and `affinity` throw.
 */
export function carryNode<T>(
  door: Door,
  req: IncomingMessage,
  res: ServerResponse,
  fn: () => T,
): T {
  if (door.exchanges.has(res)) return fn()
  const exchange = openNode(door, req, res, req)
  door.exchanges.set(res, exchange)
  return exchange.run(fn)
}

/** The same without running it. `raw`: the framework's own request. */
export function openNode(
  door: Door,
  req: IncomingMessage,
  res: ServerResponse,
  raw: object,
): Exchange {
  const exchange = new Exchange(door, fromNode(req, raw))
  new ResponseGate(res, exchange)
  const { emit } = req
  req.emit = (...args: unknown[]): boolean =>
    exchange.enter(() => Reflect.apply(emit, req, args) as boolean)
  return exchange
}
