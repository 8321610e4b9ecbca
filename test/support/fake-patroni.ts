import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'

/** A member as `GET /cluster` of Patroni lists it. */
export interface FakeMember {
  readonly name: string
  readonly role?: string
  readonly state?: string
  readonly host?: string
  readonly port?: number
  readonly api_url?: string
  readonly timeline?: number
  readonly tags?: Readonly<Record<string, unknown>>
}

/** What the REST APIs of one cluster tell, whichever of them is asked. */
export interface FakeState {
  members: readonly FakeMember[]
  pause?: boolean
}

/** One member's REST API on a port of its own. */
export class FakePatroni {
  readonly state: FakeState
  /** What it does instead of answering. */
  trouble: 'none' | 'hang' | 'error' | 'endless' = 'none'
  asked = 0
  /** Of the last request. */
  authorization: string | undefined
  readonly #server: http.Server | https.Server

  private constructor(state: FakeState, tls: https.ServerOptions | null) {
    this.state = state
    const answer: http.RequestListener = (request, response) => this.#answer(request, response)
    this.#server = tls === null ? http.createServer(answer) : https.createServer(tls, answer)
  }

  static async start(
    state: FakeState,
    port = 0,
    tls: https.ServerOptions | null = null,
  ): Promise<FakePatroni> {
    const fake = new FakePatroni(state, tls)
    await new Promise<void>((resolve, reject) => {
      fake.#server.once('error', reject)
      fake.#server.listen(port, '127.0.0.1', resolve)
    })
    return fake
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    const scheme = this.#server instanceof https.Server ? 'https' : 'http'
    return `${scheme}://127.0.0.1:${this.port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.asked += 1
    this.authorization = request.headers.authorization
    if (this.trouble === 'hang') return
    if (request.url !== '/cluster') {
      response.writeHead(404).end()
      return
    }
    if (this.trouble === 'error') {
      response.writeHead(503).end('{}')
      return
    }
    response.writeHead(200, { 'content-type': 'application/json' })
    if (this.trouble === 'endless') {
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(65_536, ' '), more)
      }
      more()
      return
    }
    response.end(JSON.stringify(this.state))
  }
}
