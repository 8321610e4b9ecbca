import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { secureHeaders } from 'hono/secure-headers'
import { showCommands } from '../admin/show-commands.ts'
import { PgSplitError } from '../errors.ts'
import { actionRequests } from './action-requests.ts'
import { addressOf, admit, type Env } from './admit.ts'
import { errorBody, failureBody, rowObjects, statusOf } from './answers.ts'
import { type PageFile, pageFiles } from './dashboard-files.ts'
import type { HttpSource } from './http-source.ts'
import { addLiveRoutes } from './live-routes.ts'
import { openApiDocument, shownNames } from './openapi.ts'
import { collectProcessMetrics } from './process-metrics.ts'
import { renderMetrics } from './render-metrics.ts'

/** An action's body is a few dozen bytes. */
const maxBodyBytes = 16 * 1024

/** What the HTTP door answers. It owns no socket: `app.fetch` takes a request and gives a response. */
export function createApp(source: HttpSource, isTls: boolean): Hono<Env> {
  const app = new Hono<Env>()
  const files = pageFiles()
  const [page, other] = [headers(isTls, ofPage), headers(isTls, {})]
  app.use((c, next) => (files.has(c.req.path) ? page : other)(c, next))
  app.use(async (c, next) => {
    await next()
    c.header('Cache-Control', 'no-store')
  })

  for (const [path, file] of files) app.get(path, (c) => give(c, file))
  if (!files.has('/')) app.get('/', (c) => c.text(withoutPage(source)))
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
  addLiveRoutes(app, source)
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

/** What the dashboard may load: what lies beside it, and nothing else. */
const ofPage = {
  scriptSrc: ["'self'"],
  styleSrc: ["'self'"],
  imgSrc: ["'self'"],
  connectSrc: ["'self'"],
}

function headers(isTls: boolean, allowed: Partial<typeof ofPage>) {
  return secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
      frameAncestors: ["'none'"],
      ...allowed,
    },
    xFrameOptions: 'DENY',
    strictTransportSecurity: isTls ? 'max-age=31536000' : false,
  })
}

function give(c: Context<Env>, { type, bytes, gzipped }: PageFile): Response {
  const takesGzip = /\bgzip\b/.test(c.req.header('accept-encoding') ?? '')
  c.header('Content-Type', type)
  c.header('Vary', 'Accept-Encoding')
  if (takesGzip) c.header('Content-Encoding', 'gzip')
  return c.body(takesGzip ? gzipped : bytes)
}

/** Of a working copy that was not built. */
function withoutPage({ admin }: HttpSource): string {
  const lines = ['The dashboard is not built: npm run build.', ...places]
  return `pgsplit ${admin.version()}\n${lines.join('\n')}\n`
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
  const site = c.req.header('sec-fetch-site')
  const origin = c.req.header('origin')
  const isOwn = origin === undefined || hostOf(origin) === c.req.header('host')
  // No page can set it, and behind a proxy the host may have another name than in the browser.
  if (site === undefined ? isOwn : site === 'same-origin' || (site === 'none' && isOwn)) return null
  return c.json(errorBody('actions are taken from pages of pgsplit itself only'), 403)
}

function hostOf(origin: string): string | null {
  return URL.parse(origin)?.host ?? null
}
