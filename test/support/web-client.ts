import { type IncomingHttpHeaders, request, type Server } from 'node:http'
import { duplexPair } from 'node:stream'

/** What a web server has answered. */
export interface WebAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly cookies: readonly string[]
  readonly body: string
}

export interface WebCall {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

/** Asks a server of node:http over a pair of streams: no port is opened. */
export function ask(server: Server, path: string, call: WebCall = {}): Promise<WebAnswer> {
  const [ours, theirs] = duplexPair()
  server.emit('connection', theirs)
  const { promise, resolve, reject } = Promise.withResolvers<WebAnswer>()
  const { method = 'GET', headers = {}, body } = call
  const sent = request({ path, method, headers, createConnection: () => ours }, (response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('error', reject)
    response.on('end', () => {
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        cookies: response.headers['set-cookie'] ?? [],
        body: Buffer.concat(chunks).toString(),
      })
    })
  })
  sent.on('error', reject)
  sent.end(body)
  return promise
}

/** Everything a server sends for these bytes, until it closes the connection. */
export function exchangeBytes(server: Server, bytes: string): Promise<string> {
  const [ours, theirs] = duplexPair()
  server.emit('connection', theirs)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const chunks: Buffer[] = []
  ours.on('data', (chunk: Buffer) => chunks.push(chunk))
  ours.on('error', reject)
  ours.on('end', () => resolve(Buffer.concat(chunks).toString('latin1')))
  theirs.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')))
  ours.write(bytes)
  return promise
}

/** A browser's cookies, by name; what arrives last stays. */
export class CookieJar {
  readonly #cookies = new Map<string, string>()

  keep(answer: Pick<WebAnswer, 'cookies'>): void {
    for (const cookie of answer.cookies) {
      const [pair = ''] = cookie.split(';')
      const equals = pair.indexOf('=')
      this.#cookies.set(pair.slice(0, equals), pair.slice(equals + 1))
    }
  }

  header(): Record<string, string> {
    const pairs = [...this.#cookies].map(([name, value]) => `${name}=${value}`)
    return pairs.length === 0 ? {} : { cookie: pairs.join('; ') }
  }
}
