import type { TLSSocket } from 'node:tls'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { errorBody } from './answers.ts'
import { authenticateCaller } from './authenticate-caller.ts'
import type { CallerAddress, HttpRole, HttpSource } from './http-source.ts'

export interface Env {
  readonly Bindings: HttpBindings
  readonly Variables: { who: string; role: HttpRole }
}

/** Null: the caller may go on, and is noted as `who`. */
export async function admit(
  c: Context<Env>,
  source: HttpSource,
  needed: HttpRole,
): Promise<Response | null> {
  const caller = await authenticateCaller(
    c.req.header('authorization'),
    addressOf(c),
    source.people,
  )
  switch (caller.kind) {
    case 'known':
      if (needed === 'operator' && caller.role !== 'operator') {
        return c.json(errorBody(`"${caller.name}" may only look`), 403)
      }
      c.set('who', caller.name)
      c.set('role', caller.role)
      return null
    case 'unknown':
      c.header('WWW-Authenticate', challengeFor(c))
      return c.json(errorBody(caller.why), 401)
    case 'limited':
      c.header('Retry-After', String(Math.ceil(caller.retryAfterMs / 1000)))
      return c.json(errorBody('too many wrong tokens or passwords from this address'), 429)
    case 'failed':
      return c.json(errorBody(caller.why), 503)
    default:
      return caller satisfies never
  }
}

/** A page that asks for itself has a form of its own: the browser is not to open its own. */
function challengeFor(c: Context<Env>): string {
  const isPage = c.req.header('sec-fetch-dest') === 'empty'
  return isPage ? 'Bearer realm="pgsplit"' : 'Basic realm="pgsplit", charset="UTF-8"'
}

/** Where the caller is, as far as its connection tells. */
export function addressOf(c: Context<Env>): CallerAddress {
  const { socket } = c.env.incoming
  const isTls = 'encrypted' in socket
  const tls = isTls ? (socket as TLSSocket) : null
  const name = tls?.authorized === true ? tls.getPeerCertificate().subject?.CN : undefined
  return {
    address: socket.remoteAddress ?? '',
    isTls,
    certificateName: typeof name === 'string' ? name : null,
  }
}
