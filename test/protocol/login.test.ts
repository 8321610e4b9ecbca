import { duplexPair } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { AuthRateLimit } from '../../src/auth/auth-rate-limit.ts'
import { type Credential, credential, noCredential } from '../../src/auth/credential.ts'
import { md5Hash } from '../../src/auth/md5.ts'
import { MockVerifiers } from '../../src/auth/mock-verifier.ts'
import { deriveScramKeys } from '../../src/auth/scram-keys.ts'
import {
  formatScramVerifier,
  parseStoredSecret,
  passwordSecret,
  type StoredSecret,
} from '../../src/auth/stored-secret.ts'
import type { LoginMethod } from '../../src/client/login.ts'
import { LoginGate } from '../../src/client/login-gate.ts'
import { type AcceptOptions, type AcceptOutcome, acceptClient } from '../../src/client/startup.ts'
import { Link } from '../../src/net/link.ts'
import { type ConnectOptions, connectServer, type ServerLogin } from '../../src/server/connect.ts'
import { backendKeyData, parameterStatus, readyForQuery } from '../../src/wire/backend-messages.ts'

const salt = Buffer.from('0123456789abcdef')
const keys = await deriveScramKeys('secret', salt, 16)
const users: Record<string, StoredSecret | null> = {
  scram: parseStoredSecret(formatScramVerifier(keys)),
  md5: parseStoredSecret(md5Hash('md5', 'secret')),
  listed: passwordSecret('secret'),
}

function acceptOptions(method: LoginMethod, rest: Partial<AcceptOptions> = {}): AcceptOptions {
  return {
    method,
    authenticator: {
      find: async ({ user }) => ({ secret: users[user] ?? null, why: null, identity: null }),
    },
    rateLimit: new AuthRateLimit(),
    mockVerifiers: new MockVerifiers(Buffer.alloc(32)),
    tls: null,
    gate: new LoginGate(),
    onCancel: () => {},
    ...rest,
  }
}

/** Our client's start and our server's log-in, face to face. */
async function meet(
  accept: AcceptOptions,
  user: string,
  using: Credential,
  rest: Partial<ConnectOptions> = {},
): Promise<{ client: AcceptOutcome; server: ServerLogin | Error }> {
  const [near, far] = duplexPair()
  const accepted = acceptClient(Link.of(near), accept).then((outcome) => {
    if (outcome.kind === 'login') {
      outcome.link.write(parameterStatus('server_version', '18.0'))
      outcome.link.write(backendKeyData(42, Buffer.alloc(outcome.protocolMinor < 2 ? 4 : 32, 7)))
      outcome.link.write(readyForQuery(0x49))
    }
    return outcome
  })
  const server = await connectServer({
    target: { host: 'test', port: 1 },
    user,
    database: 'app',
    credential: using,
    dial: async () => Link.of(far),
    ...rest,
  }).catch((error: Error) => error)
  return { client: await accepted, server }
}

const secret = credential({ kind: 'password', password: 'secret' })
const wrong = credential({ kind: 'password', password: 'wrong' })

describe('a client that logs in', () => {
  it.each([
    ['scram-sha-256', 'scram', 'scram-keys'],
    ['scram-sha-256', 'listed', 'password'],
    ['md5', 'md5', 'md5-hash'],
    ['md5', 'listed', 'password'],
    ['md5', 'scram', 'scram-keys'],
  ] as const)('is let in by %s as %s and leaves %s for the servers', async (method, user, kind) => {
    const { client, server } = await meet(acceptOptions(method), user, secret, {
      parameters: [
        ['application_name', 'test'],
        ['options', '-c geqo=off'],
      ],
    })
    expect(server).toMatchObject({
      processId: 42,
      secretKey: Buffer.alloc(32, 7),
      protocolMinor: 2,
      txStatus: 0x49,
    })
    expect((server as ServerLogin).parameters.get('server_version')).toBe('18.0')
    expect(client).toMatchObject({
      kind: 'login',
      user,
      database: 'app',
      applicationName: 'test',
      replication: 'none',
      protocolMinor: 2,
      credential: { kind },
      settings: [
        { name: 'geqo', value: 'off' },
        { name: 'application_name', value: 'test' },
      ],
    })
  })

  it('is not told whether the user or the password is wrong', async () => {
    for (const method of ['scram-sha-256', 'md5'] as const) {
      for (const user of ['scram', 'md5', 'listed', 'nobody']) {
        if (method === 'md5' && user === 'scram') continue
        const { client, server } = await meet(acceptOptions(method), user, wrong)
        expect(server).toMatchObject({
          failure: 'server',
          sqlstate: '28P01',
          message: `password authentication failed for user "${user}"`,
        })
        expect(client).toMatchObject({ kind: 'refused', user })
      }
    }
  })

  it('goes on with the keys that its proof gave away, and with nothing else', async () => {
    const { client } = await meet(acceptOptions('scram-sha-256'), 'scram', secret)
    if (client.kind !== 'login') throw new Error(client.kind)
    const { server } = await meet(acceptOptions('scram-sha-256'), 'scram', client.credential)
    expect(server).toMatchObject({ txStatus: 0x49 })
    const other = await meet(acceptOptions('scram-sha-256'), 'listed', client.credential)
    expect(other.server).toMatchObject({ failure: 'credential', sqlstate: '28P01' })
    const none = await meet(acceptOptions('scram-sha-256'), 'scram', noCredential)
    expect(none.server).toMatchObject({ failure: 'credential', sqlstate: '28000' })
    expect(none.client).toMatchObject({ kind: 'refused', user: 'scram' })
  })

  it('is trusted as whoever it says it is', async () => {
    const { client } = await meet(acceptOptions('trust'), 'nobody', noCredential)
    expect(client).toMatchObject({ kind: 'login', credential: { kind: 'none' } })
  })

  it('is shut out after too many failures, also with the right password', async () => {
    const options = acceptOptions('scram-sha-256', {
      rateLimit: new AuthRateLimit({ maxFailures: 2 }),
    })
    await meet(options, 'scram', wrong)
    await meet(options, 'nobody', wrong)
    const { server } = await meet(options, 'scram', secret)
    expect(server).toMatchObject({ sqlstate: '28000', message: /too many failed log-ins/ })
  })

  it('negotiates down to protocol 3.0 and gets its short key', async () => {
    const { client, server } = await meet(acceptOptions('trust'), 'a', noCredential, { minor: 0 })
    expect(server).toMatchObject({ protocolMinor: 0, secretKey: Buffer.alloc(4, 7) })
    expect(client).toMatchObject({ protocolMinor: 0 })
  })
})
