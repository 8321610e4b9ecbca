import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Door } from './exchange.ts'
import { openNode } from './node-http.ts'

type Done = (error?: Error) => void

interface FastifyRequest {
  readonly raw: IncomingMessage
}

interface FastifyReply {
  readonly raw: ServerResponse
}

/** Fastify's instance, as far as it is needed. */
export interface FastifyInstance {
  addHook(
    name: 'onRequest' | 'preValidation' | 'preHandler',
    hook: (request: FastifyRequest, reply: FastifyReply, done: Done) => void,
  ): unknown
  addHook(
    name: 'onSend',
    hook: (request: FastifyRequest, reply: FastifyReply, payload: unknown) => Promise<void>,
  ): unknown
}

/**
 * The hooks of all requests. The token is waited for in `onSend`, where Fastify can wait; the headers
 * are written by the gate before the raw response, so that what later hooks do counts, too, and a
 * reply that was hijacked is covered.
 */
export function addHooks(app: FastifyInstance, door: Door): void {
  const { exchanges } = door
  app.addHook('onRequest', (request, reply, done) => {
    if (exchanges.has(request)) return done()
    let hasBegun = false
    try {
      const exchange = openNode(door, request.raw, reply.raw, request)
      exchanges.set(request, exchange)
      exchange.run(() => {
        hasBegun = true
        done()
      })
    } catch (error) {
      if (hasBegun) throw error
      done(error instanceof Error ? error : new Error(String(error)))
    }
  })
  // Parsing a body, and hooks of others with callbacks, can lose the context.
  for (const name of ['preValidation', 'preHandler'] as const) {
    app.addHook(name, (request, _reply, done) => {
      const exchange = exchanges.get(request)
      if (exchange === undefined) done()
      else exchange.enter(done)
    })
  }
  app.addHook('onSend', async (request) => {
    await exchanges.get(request)?.settle()
  })
}
