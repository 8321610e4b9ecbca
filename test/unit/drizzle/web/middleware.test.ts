import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2'
import { duplexPair, Readable } from 'node:stream'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Middleware, middleware } from '../../../../src/drizzle/web/middleware.ts'
import type { MiddlewareOptions } from '../../../../src/drizzle/web/middleware-options.ts'
import { FakeCarrier } from '../../../support/fake-carrier.ts'
import { ask, CookieJar, type WebAnswer, type WebCall } from '../../../support/web-client.ts'

const secret = 'a secret of thirty-two bytes or so'

type Ask = (path: string, call?: WebCall) => Promise<WebAnswer>

/** The same small application in each framework: every route answers with what it has read. */
const frameworks: Record<string, (carrier: FakeCarrier, carry: Middleware) => Promise<Ask>> = {
  express: async (carrier, carry) => {
    const app = express()
    app.disable('etag')
    app.use(carry)
    app.use(carry)
    app.use(express.json())
    app.get('/read', (_req, res) => {
      res.send(carrier.read())
    })
    app.get('/idle', (_req, res) => {
      res.send('idle')
    })
    app.get('/public', (_req, res) => {
      res.set('Cache-Control', 'public, max-age=60').send(carrier.read())
    })
    app.get('/own-cookie', (_req, res) => {
      res.cookie('own', '1').send(carrier.read())
    })
    app.get('/affinity', (_req, res) => {
      res.send(carrier.affinity() ?? 'none')
    })
    app.get('/streamed', (_req, res) => {
      Readable.from(['one ', carrier.read()]).pipe(res)
    })
    app.post('/write', async (req, res) => {
      await new Promise(setImmediate)
      carrier.write()
      res.json(req.body)
    })
    app.post('/fail', () => {
      carrier.write()
      throw new Error('after the write')
    })
    app.use((_error: unknown, _req: unknown, res: ServerResponse, _next: unknown) => {
      res.statusCode = 500
      res.end('failed')
    })
    const server = createServer(app)
    return (path, call) => ask(server, path, call)
  },

  fastify: async (carrier, carry) => {
    const app = Fastify()
    await app.register(carry)
    await app.register(async (child) => {
      await child.register(carry)
      child.get('/read', async () => carrier.read())
    })
    app.get('/idle', async () => 'idle')
    app.get('/public', async (_request, reply) => {
      reply.header('Cache-Control', 'public, max-age=60')
      return carrier.read()
    })
    app.get('/own-cookie', (_request, reply) => {
      reply.header('set-cookie', 'own=1; Path=/').send(carrier.read())
    })
    app.get('/affinity', async () => carrier.affinity() ?? 'none')
    app.get('/streamed', async () => Readable.from(['one ', carrier.read()]))
    app.post('/write', async (request) => {
      await new Promise(setImmediate)
      carrier.write()
      return request.body
    })
    app.post('/fail', async () => {
      carrier.write()
      throw new Error('after the write')
    })
    app.setErrorHandler((_error, _request, reply) => reply.code(500).send('failed'))
    await app.ready()
    return (path, call) => ask(app.server, path, call)
  },

  hono: async (carrier, carry) => {
    const app = new Hono()
    app.use(carry)
    app.use('*', carry)
    app.get('/read', (c) => c.text(carrier.read()))
    app.get('/idle', (c) => c.text('idle'))
    app.get('/public', (c) => {
      c.header('Cache-Control', 'public, max-age=60')
      return c.text(carrier.read())
    })
    app.get('/own-cookie', (c) => {
      c.header('Set-Cookie', 'own=1; Path=/')
      return c.text(carrier.read())
    })
    app.get('/affinity', (c) => c.text(carrier.affinity() ?? 'none'))
    app.get('/streamed', () => new Response(`one ${carrier.read()}`))
    app.post('/write', async (c) => {
      const body: unknown = await c.req.json()
      carrier.write()
      return c.json(body as object)
    })
    app.post('/fail', () => {
      carrier.write()
      throw new Error('after the write')
    })
    app.onError((_error, c) => c.text('failed', 500))
    return async (path, call = {}) => {
      const response = await app.fetch(new Request(`http://x${path}`, call))
      const headers = Object.fromEntries(response.headers) as WebAnswer['headers']
      const cookies = response.headers.getSetCookie()
      return { status: response.status, headers, cookies, body: await response.text() }
    }
  },

  fetch: async (carrier, carry) => {
    const routes: Record<string, (request: Request) => Response | Promise<Response>> = {
      '/read': () => new Response(carrier.read()),
      '/idle': () => new Response('idle'),
      '/public': () =>
        new Response(carrier.read(), { headers: { 'Cache-Control': 'public, max-age=60' } }),
      '/own-cookie': () =>
        new Response(carrier.read(), { headers: { 'Set-Cookie': 'own=1; Path=/' } }),
      '/affinity': () => new Response(carrier.affinity() ?? 'none'),
      '/streamed': () => new Response(`one ${carrier.read()}`),
      '/write': async (request) => {
        const body: unknown = await request.json()
        carrier.write()
        return Response.json(body)
      },
      '/fail': () => {
        carrier.write()
        return new Response('failed', { status: 500 })
      },
      '/redirect': () => {
        carrier.write()
        return Response.redirect('http://x/read', 303)
      },
    }
    const route = (request: Request) =>
      routes[new URL(request.url).pathname]?.(request) ?? new Response('', { status: 404 })
    const handler = (request: Request) =>
      carry.handle(request, (same) => carry.handle(same, route), '127.0.0.1')
    return async (path, call = {}) => {
      const response = await handler(new Request(`http://x${path}`, call)).catch(
        () => new Response('failed', { status: 500 }),
      )
      const headers = Object.fromEntries(response.headers) as WebAnswer['headers']
      const cookies = response.headers.getSetCookie()
      return { status: response.status, headers, cookies, body: await response.text() }
    }
  },

  'node:http': async (carrier, carry) => {
    const routes: Record<string, (res: ServerResponse, body: string) => unknown> = {
      '/read': (res) => res.end(carrier.read()),
      '/idle': (res) => res.end('idle'),
      '/public': (res) => {
        res.writeHead(200, { 'Cache-Control': 'public, max-age=60' }).end(carrier.read())
      },
      '/own-cookie': (res) => {
        res.writeHead(200, { 'Set-Cookie': 'own=1; Path=/' }).end(carrier.read())
      },
      '/affinity': (res) => res.end(carrier.affinity() ?? 'none'),
      '/streamed': (res) => {
        res.flushHeaders()
        Readable.from(['one ', carrier.read()]).pipe(res)
      },
      '/write': (res, body) => {
        carrier.write()
        res.end(body)
      },
      '/fail': (res) => {
        carrier.write()
        res.writeHead(500).end('failed')
      },
    }
    const handler = carry.wrap((req: IncomingMessage, res: ServerResponse) => {
      // By events, which would be out of the context without help.
      const chunks: Buffer[] = []
      req.on('data', (chunk: Buffer) => chunks.push(chunk))
      req.on('end', () => routes[req.url ?? '']?.(res, Buffer.concat(chunks).toString()))
    })
    const server = createServer((req, res) => carry(req, res, () => handler(req, res)))
    return (path, call) => ask(server, path, call)
  },
}

const json = { 'content-type': 'application/json' }
const write: WebCall = { method: 'POST', headers: json, body: '{"a":1}' }

async function start(name: string, options: MiddlewareOptions, carrier = new FakeCarrier()) {
  const build = frameworks[name]
  if (build === undefined) throw new Error(name)
  return { carrier, ask: await build(carrier, middleware(carrier, options)) }
}

afterEach(() => {
  vi.useRealTimers()
})

describe.each(Object.keys(frameworks))('middleware in %s', (name) => {
  it('lets the next request of the same client see what was written, and no other wait', async () => {
    for (const positions of ['at once', 'later'] as const) {
      const { carrier, ask } = await start(name, { cookie: { secret } })
      carrier.positions = positions
      const jar = new CookieJar()
      const written = await ask('/write', write)
      expect(written).toMatchObject({ status: 200, body: '{"a":1}' })
      expect(written.cookies).toEqual([expect.stringMatching(/^pgsplit\.wrote=1\/0\/65@\d+\./)])
      jar.keep(written)
      const read = await ask('/read', { headers: jar.header() })
      expect(read.body).toBe('primary 101')
      expect((await ask('/read')).body).toBe('replica 100')
      carrier.replica = 102n
      expect((await ask('/read', { headers: jar.header() })).body).toBe('replica 102')
      expect(carrier.strays).toBe(0)
    }
  })

  it('never lets a client read backwards', async () => {
    const { carrier, ask } = await start(name, { cookie: { secret } })
    const jar = new CookieJar()
    const first = await ask('/read')
    expect(first.cookies).toEqual([expect.stringMatching(/^pgsplit\.seen=/)])
    jar.keep(first)
    carrier.replica = 90n
    carrier.primary = 200n
    expect((await ask('/read', { headers: jar.header() })).body).toBe('primary 200')
  })

  it('keeps a write although the answer to an older read arrives after it', async () => {
    const { carrier, ask } = await start(name, { cookie: { secret } })
    const jar = new CookieJar()
    const [read, written] = [await ask('/read'), await ask('/write', write)]
    jar.keep(written)
    jar.keep(read)
    expect((await ask('/read', { headers: jar.header() })).body).toBe('primary 101')
    expect(carrier.strays).toBe(0)
  })

  it('carries the token in a header of its own, signed or not', async () => {
    for (const header of ['X-Causal-Token', { name: 'X-Causal-Token', secret }]) {
      const { carrier, ask } = await start(name, { header })
      const { headers, cookies } = await ask('/write', write)
      const token = String(headers['x-causal-token'])
      const text = carrier.tokenAt(101n)
      expect(token).toMatch(typeof header === 'string' ? new RegExp(`^${text}$`) : /\..{43}$/)
      expect(cookies).toEqual([])
      const next = { headers: { 'x-causal-token': token } }
      expect((await ask('/read', next)).body).toBe('primary 101')
    }
  })

  it('joins the tokens of a client that runs several requests at a time', async () => {
    const { carrier, ask } = await start(name, { header: 'x-causal-token' })
    const tokens = [carrier.tokenAt(50n), carrier.tokenAt(101n), carrier.tokenAt(70n)].join(', ')
    carrier.primary = 101n
    const read = await ask('/read', { headers: { 'x-causal-token': tokens } })
    expect(read.body).toBe('primary 101')
  })

  it('adds nothing to an answer of a request that saw nothing new', async () => {
    const { ask } = await start(name, { cookie: { secret }, header: 'x-causal-token' })
    const jar = new CookieJar()
    const idle = await ask('/idle')
    expect(idle.cookies).toEqual([])
    expect(idle.headers).not.toHaveProperty('x-causal-token')
    expect(idle.headers).not.toHaveProperty('cache-control')
    jar.keep(await ask('/read'))
    for (const path of ['/idle', '/read']) {
      const again = await ask(path, { headers: jar.header() })
      expect(again.cookies).toEqual([])
      expect(again.headers).not.toHaveProperty('cache-control')
    }
  })

  it('owes the primary to a client whose write has no position, until one is known', async () => {
    const { carrier, ask } = await start(name, { cookie: { secret }, maxWaitMs: 20 })
    const jar = new CookieJar()
    for (const positions of ['never', 'hangs'] as const) {
      carrier.positions = positions
      const written = await ask('/write', write)
      expect(written.cookies).toEqual([
        expect.stringMatching(/^pgsplit\.wrote=primary\..*Max-Age=60;/),
      ])
      jar.keep(written)
    }
    const idle = await ask('/idle', { headers: jar.header() })
    expect(idle.cookies).toEqual([])
    // Nothing is known yet: the next one still owes it.
    jar.keep(await ask('/read', { headers: jar.header() }))
    carrier.positions = 'at once'
    const read = await ask('/read', { headers: jar.header() })
    expect(read.body).toBe('primary 102')
    jar.keep(read)
    carrier.replica = 102n
    expect((await ask('/read', { headers: jar.header() })).body).toBe('replica 102')
  })

  it('renews what is owed before it runs out', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const { carrier, ask } = await start(name, { cookie: { secret }, maxWaitMs: 20 })
    carrier.positions = 'never'
    const jar = new CookieJar()
    jar.keep(await ask('/write', write))
    for (let second = 0; second <= 180; second += 20) {
      vi.setSystemTime(Date.now() + 20_000)
      jar.keep(await ask('/idle', { headers: jar.header() }))
    }
    carrier.positions = 'at once'
    expect((await ask('/read', { headers: jar.header() })).body).toBe('primary 101')
  })

  it('ignores what it can not believe, says why, and answers', async () => {
    const reasons: string[] = []
    const options: MiddlewareOptions = {
      cookie: { secret, maxAgeMs: 1000 },
      header: 'x-causal-token',
      onIgnored: (reason) => {
        reasons.push(reason)
        throw new Error('must not cost the request')
      },
    }
    const { carrier, ask } = await start(name, options)
    const tampered = (await ask('/write', write)).cookies[0]?.split(';')[0] ?? ''
    vi.useFakeTimers({ toFake: ['Date'] })
    const stale = (await ask('/write', write)).cookies[0]?.split(';')[0] ?? ''
    vi.setSystemTime(Date.now() + 1001)
    for (const [headers, reason] of [
      [{ cookie: 'pgsplit.wrote=%00%ff' }, 'malformed'],
      [{ cookie: tampered.replace('1/0/65', '1/0/66') }, 'forged'],
      [{ cookie: stale }, 'expired'],
      [{ 'x-causal-token': 'DROP TABLE x' }, 'malformed'],
      [{ 'x-causal-token': carrier.tokenAt(500n, '42') }, 'foreign'],
    ] as const) {
      const answer = await ask('/read', { headers })
      expect({ status: answer.status, body: answer.body }).toEqual({
        status: 200,
        body: 'replica 100',
      })
      expect(reasons.splice(0)).toEqual([reason])
    }
    const both = { 'x-causal-token': `${carrier.tokenAt(500n, '42')}, ${carrier.tokenAt(102n)}` }
    expect((await ask('/read', { headers: both })).body).toBe('primary 102')
    expect(reasons).toEqual(['foreign'])
  })

  it('gives no token to answers that are for everybody, and makes others private', async () => {
    const { ask } = await start(name, { cookie: { secret }, header: 'x-causal-token' })
    const shared = await ask('/public')
    expect(shared.headers['cache-control']).toBe('public, max-age=60')
    expect(shared.headers).not.toHaveProperty('x-causal-token')
    expect(shared.cookies).toEqual([])
    expect((await ask('/read')).headers['cache-control']).toBe('private')
    expect((await ask('/write', write)).headers).not.toHaveProperty('cache-control')
  })

  it('leaves cookies of the application beside its own', async () => {
    const { carrier, ask } = await start(name, { cookie: { secret } })
    carrier.positions = 'later'
    const { cookies } = await ask('/own-cookie')
    expect(cookies).toEqual([
      expect.stringMatching(/^own=1; Path=\//),
      expect.stringMatching(/^pgsplit\.seen=/),
    ])
  })

  it('carries what a request wrote before it failed', async () => {
    const { carrier, ask } = await start(name, { cookie: { secret } })
    carrier.positions = 'later'
    const failed = await ask('/fail', { ...write, body: '{}' })
    expect(failed).toMatchObject({ status: 500, body: 'failed' })
    expect(failed.cookies).toEqual([expect.stringMatching(/^pgsplit\.wrote=1\/0\/65@/)])
  })

  it('adds the token to streamed answers', async () => {
    const { carrier, ask } = await start(name, { header: 'x-causal-token' })
    carrier.positions = 'later'
    const { headers, body } = await ask('/streamed')
    expect(body).toBe('one replica 100')
    if (name !== 'node:http') expect(headers['x-causal-token']).toBe(carrier.tokenAt(100n))
  })

  it('chooses by what the application says', async () => {
    const options: MiddlewareOptions = {
      header: 'x-causal-token',
      affinity: (request) => request.header('x-user'),
    }
    const { ask } = await start(name, options)
    expect((await ask('/affinity', { headers: { 'x-user': 'anna' } })).body).toBe('anna')
    expect((await ask('/affinity')).body).toBe('none')
  })
})

describe('middleware', () => {
  it('keeps a request in its context when its body comes later, by events', async () => {
    const carrier = new FakeCarrier()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const handler = (req: IncomingMessage, res: ServerResponse): void => {
      req.on('data', () => {})
      req.on('end', () => res.end(carrier.isInContext() ? 'inside' : 'outside'))
      begin()
    }
    const server = createServer(middleware(carrier, { header: 'x-causal-token' }).wrap(handler))
    const [ours, theirs] = duplexPair()
    server.emit('connection', theirs)
    ours.write('POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n')
    await begun
    ours.write('x')
    const answer = await new Promise((resolve) => ours.once('data', resolve))
    expect(String(answer)).toMatch(/\binside$/)
  })

  it('covers a reply that Fastify gives out of its hands', async () => {
    const carrier = new FakeCarrier()
    carrier.positions = 'later'
    const app = Fastify()
    await app.register(middleware(carrier, { header: 'x-causal-token' }))
    app.get('/', (_request, reply) => {
      carrier.write()
      reply.hijack()
      reply.raw.end('by hand')
    })
    await app.ready()
    const { headers, body } = await ask(app.server, '/')
    expect({ body, token: headers['x-causal-token'] }).toEqual({
      body: 'by hand',
      token: carrier.tokenAt(101n),
    })
  })

  it('works with the requests that Fastify injects', async () => {
    const carrier = new FakeCarrier()
    carrier.positions = 'later'
    const app = Fastify()
    await app.register(middleware(carrier, { header: 'x-causal-token' }))
    app.addHook('onSend', async () => carrier.write())
    app.get('/', async () => carrier.read())
    const { headers, body } = await app.inject('/')
    expect({ body, token: headers['x-causal-token'] }).toEqual({
      body: 'replica 100',
      token: carrier.tokenAt(101n),
    })
  })

  it('tells Fastify of an affinity that throws, as it tells Express and Hono', async () => {
    const affinity = (): string => {
      throw new Error('no user')
    }
    for (const name of ['express', 'fastify', 'hono', 'fetch']) {
      const { ask } = await start(name, { header: 'x-causal-token', affinity })
      expect((await ask('/read')).status).toBe(500)
    }
  })

  it('carries tokens in a Response whose headers can not be changed', async () => {
    const jar = new CookieJar()
    const { ask } = await start('fetch', { cookie: { secret } })
    const answer = await ask('/redirect', { method: 'POST' })
    expect(answer).toMatchObject({ status: 303, headers: { location: 'http://x/read' } })
    jar.keep(answer)
    const seen = await ask('/read', { headers: jar.header() })
    expect(seen.body).toBe('primary 101')
  })

  it('carries tokens over HTTP/2', async () => {
    const carrier = new FakeCarrier()
    const carry = middleware(carrier, { header: 'x-causal-token', cookie: { secret } })
    const server = createHttp2Server(
      carry.wrap((_req, res) => {
        carrier.write()
        res.writeHead(200, { 'x-own': '1' })
        res.write('a')
        res.end('b')
      }),
    )
    for (const positions of ['at once', 'later'] as const) {
      carrier.positions = positions
      const [ours, theirs] = duplexPair()
      server.emit('connection', theirs)
      const client = connectHttp2('http://x', { createConnection: () => ours })
      const { promise, resolve } = Promise.withResolvers<Record<string, unknown>>()
      const stream = client.request({ ':path': '/' })
      stream.on('response', resolve)
      const body = await new Response(Readable.toWeb(stream) as never).text()
      const headers = await promise
      expect(body).toBe('ab')
      expect(headers).toMatchObject({
        'x-own': '1',
        'x-causal-token': carrier.tokenAt(carrier.primary),
        'set-cookie': [expect.stringMatching(/^pgsplit\.wrote=/)],
      })
      client.close()
    }
  })

  it('goes by the method where the carrier does not tell what used the primary', async () => {
    const carrier = new FakeCarrier()
    carrier.hasUsedPrimary = () => undefined
    const { ask } = await start('hono', { cookie: { secret } }, carrier)
    expect((await ask('/write', write)).cookies[0]).toMatch(/^pgsplit\.wrote=/)
    expect((await ask('/read')).cookies[0]).toMatch(/^pgsplit\.seen=/)
  })

  it.each([
    [{}, 'say how tokens travel'],
    [{ header: 'no header' }, 'header.name'],
    [{ header: 'x', maxWaitMs: 0 }, 'maxWaitMs'],
    [{ header: 'x', primaryOnlyMs: Number.NaN }, 'primaryOnlyMs'],
    [{ cookie: { secret, maxAgeMs: -1 } }, 'cookie.maxAgeMs'],
    [{ cookie: { secret: 'short' } }, 'cookie.secret'],
  ] as const)('refuses the options %j', (options, message) => {
    expect(() => middleware(new FakeCarrier(), options)).toThrow(message)
  })
})
