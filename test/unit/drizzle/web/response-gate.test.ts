import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { middleware } from '../../../../src/drizzle/web/middleware.ts'
import { FakeCarrier } from '../../../support/fake-carrier.ts'
import { ask, exchangeBytes } from '../../../support/web-client.ts'

type Note = (what: unknown) => void
type Answer = (res: ServerResponse, note: Note, req: IncomingMessage) => unknown

/** What an attempt has thrown, in the words of node:http. */
function thrownBy(attempt: () => unknown): string {
  try {
    attempt()
    return 'nothing'
  } catch (error) {
    return `${(error as { code?: string }).code}: ${(error as Error).message.slice(0, 30)}`
  }
}

/** Ways to answer, as applications and frameworks do it. */
const answers: Record<string, Answer> = {
  'end with a text': (res) => res.end('hello'),
  'end with bytes, an encoding and a callback': (res, note) => {
    note(res.end('aGVsbG8=', 'base64', () => note('ended')) === res)
  },
  'end without a body': (res, note) => note(res.end(() => note('ended')) === res),
  'several writes with callbacks': (res, note) => {
    res.write('one,', () => note('one'))
    res.write(Buffer.from('two,'), () => note('two'))
    res.write('three', 'utf8', () => note('three'))
    res.end('.', () => note('ended'))
  },
  'a length of its own': (res) => {
    res.setHeader('Content-Length', 5)
    res.write('he')
    res.end('llo')
  },
  'writeHead with an object': (res, note) => {
    note(res.writeHead(201, { 'X-One': 'a', 'x-two': ['b', 'c'] }) === res)
    res.end('made')
  },
  'writeHead with a reason and an object': (res) =>
    res.writeHead(200, 'Fine', { 'Content-Length': '2' }).end('ok'),
  'writeHead with a flat list': (res) => {
    res.writeHead(200, ['X-One', 'a', 'X-One', 'b', 'X-Two', 'c'])
    res.end('ok')
  },
  'writeHead with pairs': (res) => {
    const pairs = [
      ['X-One', 'a'],
      ['X-Two', 'b'],
    ]
    res.writeHead(200, pairs as never)
    res.end('ok')
  },
  'setHeader, then writeHead over it': (res) => {
    res.setHeader('X-One', 'old')
    res.setHeader('X-Two', 'kept')
    res.writeHead(200, { 'x-one': 'new' })
    res.end('ok')
  },
  'setHeader, then a flat list over it': (res) => {
    res.setHeader('X-One', 'old')
    res.setHeader('X-Two', 'kept')
    res.writeHead(200, ['X-One', 'new', 'X-One', 'newer'])
    res.end('ok')
  },
  'flushHeaders, then a body': (res, note) => {
    res.flushHeaders()
    note(res.headersSent)
    setImmediate(() => res.end('late'))
  },
  'the answer to HEAD': (res, _note, req) => {
    res.setHeader('Content-Length', 5)
    res.end(req.method === 'HEAD' ? undefined : 'hello')
  },
  'not modified': (res) => res.writeHead(304, { ETag: '"x"' }).end(),
  'no content': (res) => {
    res.statusCode = 204
    res.end()
  },
  'cookies of its own by setHeader': (res) => {
    res.setHeader('Set-Cookie', ['a=1; Path=/', 'b=2'])
    res.end('ok')
  },
  'a cookie of its own by writeHead': (res) => {
    res.writeHead(200, { 'set-cookie': 'a=1' })
    res.end('ok')
  },
  'cookies of its own in a flat list': (res) => {
    res.setHeader('Set-Cookie', 'gone=1')
    res.writeHead(200, ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'])
    res.end('ok')
  },
  trailers: (res) => {
    res.writeHead(200, { Trailer: 'X-Sum' })
    res.write('body')
    res.addTrailers({ 'X-Sum': '4' })
    res.end()
  },
  'cork and uncork': (res) => {
    res.cork()
    res.write('a')
    res.write('b')
    res.uncork()
    res.end()
  },
  'a pipe': (res) => Readable.from(['one', 'two', 'three']).pipe(res),
  'a pipeline of much': async (res, note) => {
    const source = new PassThrough()
    const done = pipeline(source, res)
    for (let i = 0; i < 64; i++) source.write(Buffer.alloc(16_384, 97 + (i % 26)))
    source.end()
    await done
    note('done')
  },
  'writes that wait for drain': async (res, note) => {
    for (let i = 0; i < 40; i++) {
      if (!res.write(String(i % 10).repeat(8_192))) {
        await new Promise((resolve) => res.once('drain', resolve))
      }
    }
    res.end(() => note('ended'))
  },
  'what is too late for the head': (res, note) => {
    res.writeHead(200, { 'X-One': 'a' })
    note([res.headersSent, thrownBy(() => res.writeHead(500))])
    for (const attempt of [
      () => res.setHeader('X-Late', '1'),
      () => res.appendHeader('X-One', '1'),
      () => res.removeHeader('X-One'),
    ]) {
      note(thrownBy(attempt).split(':')[0])
    }
    res.end('ok')
    note([res.headersSent, res.writableEnded])
    note(thrownBy(() => res.setHeader('X-Late', '1')).split(':')[0])
  },
  'what node:http refuses': (res, note) => {
    note(thrownBy(() => res.writeHead(42)))
    note(thrownBy(() => res.writeHead(200, 'bad\nreason')))
    res.statusMessage = 'OK'
    note(thrownBy(() => res.write(null as never)))
    note(thrownBy(() => res.write(42 as never)))
    note(thrownBy(() => res.writeHead(200, { 'bad name': 'x' })))
    res.end('still here')
  },
  'a second end, and a write after it': (res, note) => {
    res.on('error', (error) => note((error as { code?: string }).code))
    res.end('ok')
    res.end((error?: Error) => note((error as { code?: string } | undefined)?.code))
    res.write('more', (error) => note((error as { code?: string } | undefined)?.code))
  },
  'finish and close': (res, note) => {
    res.on('finish', () => note('finish'))
    res.on('close', () => note(['close', res.writableFinished]))
    res.end('ok')
  },
}

/** The answer of a bare server, or of one behind the middleware, and what the handler has noted. */
async function answerOf(answer: Answer, method: string, carrier: FakeCarrier | null, seen: string) {
  const notes: unknown[] = []
  const note: Note = (what) => notes.push(what)
  const handler = (req: IncomingMessage, res: ServerResponse): void => {
    if (seen === 'wrote') carrier?.write()
    void answer(res, note, req)
  }
  const server = createServer(
    carrier === null ? handler : middleware(carrier, { header: 'X-Token' }).wrap(handler),
  )
  const head = `${method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
  const text = (await exchangeBytes(server, head)).replace(/\r\nDate: [^\r]*/, '')
  const tokens = [...text.matchAll(/\r\nX-Token: ([^\r]*)/g)].map(([, token]) => token)
  return { tokens, text: bare(text), notes }
}

/** Without what the middleware adds, and with the lines of the head in one order. */
function bare(text: string): string {
  const end = text.indexOf('\r\n\r\n')
  const [status, ...lines] = text.slice(0, end).split('\r\n')
  const own = lines.filter((line) => !/^(X-Token:|Cache-Control: private$)/.test(line))
  return [status, ...own.sort(), text.slice(end)].join('\n').toLowerCase()
}

describe('ResponseGate', () => {
  const kinds = ['at once', 'later', 'never'] as const
  const cases = Object.keys(answers).flatMap((name) => kinds.map((kind) => [name, kind] as const))

  it.each(cases)('%s: the same as without it, with the position known %s', async (name, kind) => {
    const answer = answers[name]
    if (answer === undefined) throw new Error(name)
    const method = name === 'the answer to HEAD' ? 'HEAD' : 'GET'
    const carrier = new FakeCarrier()
    carrier.positions = kind
    const expected = await answerOf(answer, method, null, 'nothing')
    const wrote = await answerOf(answer, method, carrier, 'wrote')
    expect(wrote).toEqual({
      ...expected,
      tokens: [kind === 'never' ? 'primary' : carrier.tokenAt(101n)],
    })
    expect(await answerOf(answer, method, carrier, 'nothing')).toEqual(expected)
  })

  it('adds to an array of cookies without changing it', async () => {
    const carrier = new FakeCarrier()
    const shared = ['a=1']
    const secret = 'a secret of thirty-two bytes or so'
    const server = createServer(
      middleware(carrier, { cookie: { secret } }).wrap((_req, res: ServerResponse) => {
        carrier.write()
        res.setHeader('Set-Cookie', shared)
        res.end()
      }),
    )
    const { cookies } = await ask(server, '/')
    expect(cookies).toHaveLength(2)
    expect(shared).toEqual(['a=1'])
  })

  it('counts what is done between writeHead() and the first byte', async () => {
    const carrier = new FakeCarrier()
    const server = over(carrier, async (res) => {
      res.writeHead(200)
      await new Promise(setImmediate)
      carrier.write()
      res.end()
    })
    expect((await ask(server, '/')).headers['x-token']).toBe(carrier.tokenAt(101n))
  })

  it('lets others that wrap the response change its head to the last', async () => {
    const carrier = new FakeCarrier()
    carrier.positions = 'later'
    const server = over(carrier, (res) => {
      carrier.write()
      // As the package on-headers does it, on which compression and sessions stand.
      const { writeHead } = res
      res.writeHead = ((...args: Parameters<typeof writeHead>) => {
        res.setHeader('X-Session', 'saved')
        return writeHead.apply(res, args)
      }) as typeof writeHead
      res.end('ok')
    })
    const { headers, body } = await ask(server, '/')
    expect(headers).toMatchObject({ 'x-session': 'saved', 'x-token': carrier.tokenAt(101n) })
    expect(body).toBe('ok')
  })

  it('says that there is no room while it waits, and then that there is', async () => {
    const carrier = new FakeCarrier()
    carrier.positions = 'later'
    const seen: unknown[] = []
    const server = over(carrier, (res) => {
      carrier.write()
      seen.push(res.write('one'), res.writableNeedDrain, res.headersSent)
      res.on('drain', () => {
        seen.push('drain')
        res.end('two')
      })
    })
    expect((await ask(server, '/')).body).toBe('onetwo')
    expect(seen).toEqual([false, true, true, 'drain'])
  })

  it('makes calls that waited in the context that they came from', async () => {
    const carrier = new FakeCarrier()
    carrier.positions = 'later'
    const storage = new AsyncLocalStorage<string>()
    const server = over(carrier, (res) => {
      carrier.write()
      const { writeHead } = res
      res.writeHead = ((...args: Parameters<typeof writeHead>) => {
        res.setHeader('X-Store', storage.getStore() ?? 'none')
        return writeHead.apply(res, args)
      }) as typeof writeHead
      storage.run('mine', () => res.end())
    })
    expect((await ask(server, '/')).headers['x-store']).toBe('mine')
  })

  it('asks for the token of the request wherever the response is ended', async () => {
    const carrier = new FakeCarrier()
    const server = over(carrier, (res) => {
      carrier.write()
      carrier.run(() => res.end(), { token: carrier.tokenAt(7n) })
    })
    expect((await ask(server, '/')).headers['x-token']).toBe(carrier.tokenAt(101n))
  })

  it('waits no longer than it may, and says then that the primary is owed', async () => {
    const carrier = new FakeCarrier()
    carrier.positions = 'hangs'
    const server = createServer(
      middleware(carrier, { header: 'X-Token', maxWaitMs: 20 }).wrap(
        (_req, res: ServerResponse) => {
          carrier.write()
          res.end('ok')
        },
      ),
    )
    const { headers, body } = await ask(server, '/')
    expect({ token: headers['x-token'], body }).toEqual({ token: 'primary', body: 'ok' })
  })

  it('lets go at once when the client has left', async () => {
    const carrier = new FakeCarrier()
    carrier.positions = 'hangs'
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const server = createServer(
      middleware(carrier, { header: 'X-Token', maxWaitMs: 60_000 }).wrap(
        (req: IncomingMessage, res: ServerResponse) => {
          carrier.write()
          res.write('lost', (error) => resolve((error as { code?: string } | undefined)?.code))
          req.socket.destroy()
        },
      ),
    )
    await exchangeBytes(server, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(await promise).toBe('ERR_STREAM_DESTROYED')
  })

  it('answers requests that were sent in one go in their order', async () => {
    const carrier = new FakeCarrier()
    carrier.positions = 'later'
    let requests = 0
    const server = over(carrier, (res) => {
      requests += 1
      if (requests % 2 === 1) carrier.write()
      res.end(`answer ${requests}\n`)
    })
    const get = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
    const last = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
    const text = await exchangeBytes(server, get + get + get + last)
    expect(text.match(/answer \d/g)).toEqual(['answer 1', 'answer 2', 'answer 3', 'answer 4'])
    expect(text.match(/X-Token/g)).toHaveLength(2)
  })

  it('can stand twice before one response, for two clusters', async () => {
    const one = new FakeCarrier()
    const two = new FakeCarrier('42')
    one.positions = 'later'
    two.positions = 'later'
    const outer = middleware(one, { header: 'X-One' })
    const inner = middleware(two, { header: 'X-Two' })
    const server = createServer(
      outer.wrap(
        inner.wrap((_req: IncomingMessage, res: ServerResponse) => {
          one.write()
          two.write()
          res.writeHead(200, { 'X-Own': '1' })
          res.write('a')
          res.end('b')
        }),
      ),
    )
    const { headers, body } = await ask(server, '/')
    expect(headers).toMatchObject({
      'x-one': one.tokenAt(101n),
      'x-two': two.tokenAt(101n),
      'x-own': '1',
    })
    expect(body).toBe('ab')
  })

  it('closes the connection when a call that waited throws', async () => {
    const carrier = new FakeCarrier()
    carrier.positions = 'later'
    const server = over(carrier, (res) => {
      carrier.write()
      res.writeHead = () => {
        throw new Error('too late to be caught')
      }
      res.end('never sent')
    })
    server.on('clientError', (_error, socket) => socket.destroy())
    await expect(ask(server, '/')).rejects.toThrow()
  })
})

function over(carrier: FakeCarrier, handler: (res: ServerResponse) => unknown): Server {
  const carry = middleware(carrier, { header: 'X-Token' })
  return createServer(carry.wrap((_req: IncomingMessage, res: ServerResponse) => void handler(res)))
}
