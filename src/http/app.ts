import type { TLSSocket } from 'node:tls'
import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { secureHeaders } from 'hono/secure-headers'
import { showCommands } from '../admin/show-commands.ts'
import { PgSplitError } from '../errors.ts'
import { actionRequests } from './action-requests.ts'
import { errorBody, failureBody, rowObjects, statusOf } from './answers.ts'
import { authenticateCaller } from './authenticate-caller.ts'
import type { CallerAddress, HttpRole, HttpSource } from './http-source.ts'
import { openApiDocument, shownNames } from './openapi.ts'
import { collectProcessMetrics } from './process-metrics.ts'
import { renderMetrics } from './render-metrics.ts'

/** An action's body is a few dozen bytes. */
const maxBodyBytes = 16 * 1024

interface Env {
  readonly Bindings: HttpBindings
  readonly Variables: { who: string }
}

/** What the HTTP door answers. It owns no socket: `app.fetch` takes a request and gives a response. */
export function createApp(source: HttpSource, isTls: boolean): Hono<Env> {
  const app = new Hono<Env>()
  app.use(
    secureHeaders({
      contentSecurityPolicy: {
        defaultSrc: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
      xFrameOptions: 'DENY',
      strictTransportSecurity: isTls ? 'max-age=31536000' : false,
    }),
  )
  app.use(async (c, next) => {
    await next()
    c.header('Cache-Control', 'no-store')
  })

  app.get('/', (c) => c.text(`pgsplit ${source.admin.version()}\n${places.join('\n')}\n`))
  app.get('/healthz', (c) => c.text('ok\n'))
  app.get('/readyz', (c) => {
    const reasons = source.notReady()
    return c.json({ ready: reasons.length === 0, reasons }, reasons.length === 0 ? 200 : 503)
  })
  app.get('/metrics', async (c) => {
    const refusal = source.isMetricsOpen ? null : await admit(c, source, 'reader')
    if (refusal !== null) return refusal
    const metrics = [...source.metrics(), ...(await collectProcessMetrics())]
    const { contentType, text } = await renderMetrics(metrics, c.req.header('accept'))
    return c.body(text, 200, { 'Content-Type': contentType })
  })

  app.get('/api/v1/openapi.json', async (c) => {
    return (await admit(c, source, 'reader')) ?? c.json(openApiDocument(source.admin))
  })
  for (const name of shownNames) {
    app.get(`/api/v1/${name}`, async (c) => {
      const refusal = await admit(c, source, 'reader')
      if (refusal !== null) return refusal
      const result = showCommands.get(name)?.run(source.admin)
      return c.json({ rows: result === undefined ? [] : rowObjects(result) })
    })
  }
  const limit = bodyLimit({
    maxSize: maxBodyBytes,
    onError: (c) => c.json(errorBody(`the body is longer than ${maxBodyBytes} bytes`), 413),
  })
  for (const name of actionRequests.keys()) {
    app.post(`/api/v1/${name}`, limit, (c) => act(c, source, name))
  }
  app.notFound((c) => {
    const hint = `There is ${places.join(', ')}.`
    return c.json(errorBody(`there is no ${c.req.method} of this path`, hint), 404)
  })
  app.onError((_error, c) => c.json(errorBody('pgsplit failed to answer this'), 500))
  return app
}

const places = ['/metrics', '/healthz', '/readyz', '/api/v1/openapi.json']

async function act(c: Context<Env>, source: HttpSource, name: string): Promise<Response> {
  const refusal = foreignOrigin(c) ?? (await admit(c, source, 'operator'))
  if (refusal !== null) return refusal
  const request = actionRequests.get(name)
  if (request === undefined) return c.notFound()
  const body = request.body.safeParse(await c.req.json().catch(() => undefined))
  if (!body.success) {
    const [issue] = body.error.issues
    const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `
    return c.json(errorBody(`${where}${issue?.message ?? 'not what it takes'}`), 400)
  }
  source.onAction(name, c.get('who'), addressOf(c).address)
  try {
    const notices = await request.run(source.actions, body.data, c.req.raw.signal)
    return c.json({ notices })
  } catch (error) {
    if (!(error instanceof PgSplitError)) throw error
    return c.json(failureBody(error), statusOf(error))
  }
}

/**
 * A browser that has the password may be told by any page to send a request here. One of JSON needs a
 * permission that is never given (CORS), and tells by its headers where it comes from.
 */
function foreignOrigin(c: Context<Env>): Response | null {
  const type = c.req.header('content-type') ?? ''
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    return c.json(errorBody('an action takes a body of Content-Type application/json'), 415)
  }
  const site = c.req.header('sec-fetch-site') ?? 'none'
  const origin = c.req.header('origin')
  const isOwn = origin === undefined || hostOf(origin) === c.req.header('host')
  if (isOwn && (site === 'same-origin' || site === 'none')) return null
  return c.json(errorBody('actions are taken from pages of pgsplit itself only'), 403)
}

function hostOf(origin: string): string | null {
  return URL.parse(origin)?.host ?? null
}

/** Null: the caller may go on, and is noted as `who`. */
async function admit(
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
      return null
    case 'unknown':
      c.header('WWW-Authenticate', 'Basic realm="pgsplit", charset="UTF-8"')
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

function addressOf(c: Context<Env>): CallerAddress {
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
