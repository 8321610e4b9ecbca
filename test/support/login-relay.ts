import net from 'node:net'
import { AuthRateLimit } from '../../src/auth/auth-rate-limit.ts'
import { MockVerifiers } from '../../src/auth/mock-verifier.ts'
import { LoginGate } from '../../src/client/login-gate.ts'
import { type AcceptOptions, type AcceptOutcome, acceptClient } from '../../src/client/startup.ts'
import { Link } from '../../src/net/link.ts'
import { type ConnectOptions, connectServer } from '../../src/server/connect.ts'
import {
  backendKeyData,
  errorResponse,
  parameterStatus,
  readyForQuery,
} from '../../src/wire/backend-messages.ts'

const nobody = { secret: null, why: null, identity: null }

/** Accept options with everything a test doesn't care for. */
export function acceptOptions(options: Partial<AcceptOptions>): AcceptOptions {
  return {
    method: 'scram-sha-256',
    authenticator: { find: async () => nobody },
    rateLimit: new AuthRateLimit(),
    mockVerifiers: new MockVerifiers(Buffer.alloc(32)),
    tls: null,
    gate: new LoginGate(),
    onCancel: () => {},
    ...options,
  }
}

/**
 * The smallest thing between clients and a server: logs the client in, logs in to the server with
 * what that left, then copies bytes. For tests of the two log-ins alone.
 */
export class LoginRelay {
  readonly outcomes: AcceptOutcome[] = []
  readonly #server: net.Server
  readonly #links = new Set<Link>()

  private constructor(server: net.Server) {
    this.#server = server
  }

  static async start(
    accept: AcceptOptions,
    target: ConnectOptions['target'],
    port: number,
  ): Promise<LoginRelay> {
    const server = net.createServer({ pauseOnConnect: true })
    const relay = new LoginRelay(server)
    server.on('connection', (socket) => void relay.#serve(Link.accept(socket), accept, target))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    return relay
  }

  async #serve(link: Link, accept: AcceptOptions, target: ConnectOptions['target']): Promise<void> {
    this.#links.add(link)
    const outcome = await acceptClient(link, accept)
    this.outcomes.push(outcome)
    if (outcome.kind !== 'login') return
    const client = outcome.link
    this.#links.add(client)
    try {
      const { user, database, credential } = outcome
      const parameters = outcome.settings.map(({ name, value }) => [name, value] as const)
      const minor = outcome.protocolMinor >= 2 ? 2 : 0
      const login = await connectServer({ target, user, database, credential, parameters, minor })
      this.#links.add(login.link)
      for (const [name, value] of login.parameters) client.write(parameterStatus(name, value))
      client.write(backendKeyData(login.processId, login.secretKey))
      client.write(readyForQuery(login.txStatus))
      join(client, login.link, outcome.leftover)
      join(login.link, client, login.leftover)
    } catch (error) {
      const { sqlstate = 'XX000', message } = error as { sqlstate?: string; message: string }
      client.write(errorResponse({ sqlstate, message, severity: 'FATAL' }))
      client.end()
    }
  }

  stop(): void {
    for (const link of this.#links) link.destroy()
    // Its callback never comes: Link.accept takes the handles of the sockets that it counts.
    this.#server.close()
  }
}

function join(from: Link, to: Link, first: Buffer): void {
  from.onChunk = (chunk) => {
    to.write(chunk)
    return chunk.length
  }
  from.onClose = () => to.end()
  to.write(first)
  from.resume()
}
