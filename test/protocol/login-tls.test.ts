import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { connect as tlsConnect } from 'node:tls'
import { afterAll, describe, expect, it } from 'vitest'
import { credential } from '../../src/auth/credential.ts'
import { passwordSecret } from '../../src/auth/stored-secret.ts'
import { type AcceptOptions, acceptClient } from '../../src/client/startup.ts'
import { Link } from '../../src/net/link.ts'
import { ClientTls, loadServerTls, type ServerTlsOptions } from '../../src/net/tls-options.ts'
import { type ConnectOptions, connectServer } from '../../src/server/connect.ts'
import { backendKeyData, readyForQuery } from '../../src/wire/backend-messages.ts'
import { sslRequest, startupMessage } from '../../src/wire/frontend-messages.ts'
import { makeCertificate, writeCertificate } from '../support/certificates.ts'
import { acceptOptions } from '../support/login-relay.ts'

const directory = mkdtempSync(join(tmpdir(), 'tls-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const authority = makeCertificate({ commonName: 'CA', isAuthority: true })
const caFile = writeCertificate(directory, 'ca', authority).certFile
const pair = (name: string, keyType: 'ec' | 'rsa' | 'rsa-pss' | 'ed25519' = 'ec') =>
  writeCertificate(
    directory,
    name,
    makeCertificate({ commonName: name, issuer: authority, dnsNames: ['db'], keyType }),
  )
const own = pair('pgsplit')
const ann = pair('ann')

async function meet(
  accept: Partial<AcceptOptions>,
  tls: ServerTlsOptions,
  rest: Partial<ConnectOptions> = {},
) {
  const [near, far] = duplexPair()
  const client = acceptClient(
    Link.of(near),
    acceptOptions({
      authenticator: {
        find: async () => ({ secret: passwordSecret('secret'), why: null, identity: null }),
      },
      ...accept,
    }),
  ).then((outcome) => {
    if (outcome.kind === 'login') {
      outcome.link.write(backendKeyData(1, Buffer.alloc(4)))
      outcome.link.write(readyForQuery(0x49))
    }
    return outcome
  })
  const server = await connectServer({
    target: { host: 'db', port: 1 },
    user: 'ann',
    database: 'app',
    credential: credential({ kind: 'password', password: 'secret' }),
    tls: loadServerTls(tls),
    dial: async () => Link.of(far),
    ...rest,
  }).catch((error: Error) => error)
  return { client: await client, server }
}

describe('a log-in over TLS', () => {
  it.each(['ec', 'rsa', 'rsa-pss'] as const)(
    'binds SCRAM to a certificate of type %s',
    async (type) => {
      const { client, server } = await meet(
        { tls: new ClientTls(pair(`own-${type}`, type)) },
        { sslmode: 'verify-full', sslrootcert: caFile },
        { channelBinding: 'require' },
      )
      expect(server).toMatchObject({ txStatus: 0x49, tls: { hasAlpn: true, version: 'TLSv1.3' } })
      expect(client).toMatchObject({ kind: 'login', tls: { hasAlpn: true } })
    },
  )

  it('goes without binding over a certificate that has no hash for it', async () => {
    const tls = new ClientTls(pair('own-ed25519', 'ed25519'))
    const { server } = await meet({ tls }, { sslmode: 'require' })
    expect(server).toMatchObject({ txStatus: 0x49 })
  })

  it('may start with TLS at once', async () => {
    const { client, server } = await meet(
      { tls: new ClientTls({ ...own, mode: 'require' }) },
      { sslmode: 'require', sslnegotiation: 'direct' },
    )
    expect(server).toMatchObject({ txStatus: 0x49, tls: { hasAlpn: true } })
    expect(client).toMatchObject({ kind: 'login' })
  })

  it('may use a certificate for a password', async () => {
    const shown = { sslcert: ann.certFile, sslkey: ann.keyFile } as const
    const tls = new ClientTls({ ...own, caFile })
    const { client } = await meet({ tls, method: 'cert' }, { sslmode: 'require', ...shown })
    expect(client).toMatchObject({
      kind: 'login',
      credential: { kind: 'password' },
      tls: { clientCertificate: { commonName: 'ann' } },
    })
    const other = await meet(
      { tls, method: 'cert' },
      { sslmode: 'require', ...shown },
      { user: 'bob' },
    )
    expect(other.server).toMatchObject({ sqlstate: '28000' })
  })

  it('is refused with an authority that the client does not trust', async () => {
    const foreign = makeCertificate({ commonName: 'db', dnsNames: ['db'] })
    const tls = new ClientTls(writeCertificate(directory, 'foreign', foreign))
    // A destroyed half of a duplex pair doesn't tell the other one, so that one waits for its time.
    const accept = { tls, authTimeoutMs: 300 }
    const { client, server } = await meet(accept, { sslmode: 'verify-ca', sslrootcert: caFile })
    expect(server).toMatchObject({ failure: 'tls' })
    expect(client.kind).not.toBe('login')
  })

  it('needs TLS 1.2 or newer', async () => {
    const [near, far] = duplexPair()
    const outcome = acceptClient(Link.of(near), acceptOptions({ tls: new ClientTls(own) }))
    far.write(sslRequest())
    await new Promise((resolve) => far.once('data', resolve))
    const socket = tlsConnect({
      socket: far,
      rejectUnauthorized: false,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL:@SECLEVEL=0',
    })
    await new Promise((resolve) => socket.on('error', resolve))
    expect(await outcome).toMatchObject({ kind: 'refused' })
  })
})

describe('direct TLS', () => {
  it('without ALPN is refused', async () => {
    const [near, far] = duplexPair()
    const outcome = acceptClient(
      Link.of(near),
      acceptOptions({ tls: new ClientTls(own), method: 'trust' }),
    )
    const socket = tlsConnect({ socket: far, rejectUnauthorized: false })
    socket.on('error', () => {})
    socket.write(startupMessage(0, [['user', 'ann']]))
    expect(await outcome).toMatchObject({
      kind: 'refused',
      error: { message: 'direct TLS connection without ALPN protocol "postgresql"' },
    })
  })

  it('that never gets on is cut off in time', async () => {
    const [near, far] = duplexPair()
    const outcome = acceptClient(
      Link.of(near),
      acceptOptions({ tls: new ClientTls(own), authTimeoutMs: 30 }),
    )
    far.write(Buffer.from('1603010200010001fc0303', 'hex'))
    expect(await outcome).toMatchObject({ kind: 'refused' })
  })
})
