import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Credential, credential, noCredential } from '../../src/auth/credential.ts'
import { deriveScramKeys } from '../../src/auth/scram-keys.ts'
import { parseStoredSecret } from '../../src/auth/stored-secret.ts'
import { Link } from '../../src/net/link.ts'
import { loadServerTls, type ServerTlsOptions } from '../../src/net/tls-options.ts'
import { cancelServer } from '../../src/server/cancel-request.ts'
import { type ConnectOptions, connectServer, type ServerLogin } from '../../src/server/connect.ts'
import { query } from '../../src/wire/frontend-messages.ts'
import { type Certificate, makeCertificate, writeCertificate } from '../support/certificates.ts'
import {
  debianBinDir,
  type EmbeddedCluster,
  type EmbeddedNode,
  startCluster,
  waitFor,
} from '../support/cluster.ts'

const hba = `local all all trust
hostssl all mutual all cert
hostnossl all tlsonly all reject
hostssl all plainonly all reject
host all trusted all trust
host all clear all password
host all md5er all md5
host all all all scram-sha-256
`

const password = (text: string) => credential({ kind: 'password', password: text })

const binDirs = { 'PostgreSQL 15': debianBinDir(), 'the embedded PostgreSQL': undefined }

describe.each(Object.entries(binDirs).filter(([, dir]) => dir !== null))(
  'logging in to %s',
  (_name, binDir) => {
    let cluster: EmbeddedCluster
    let node: EmbeddedNode
    let directory: string
    let authority: Certificate
    const files = { ca: '', otherCa: '', cert: '', key: '' }
    let hasTls = false

    const connect = (user: string, using: Credential, rest: Partial<ConnectOptions> = {}) =>
      connectServer({
        target: { host: node.host, port: node.port },
        user,
        database: 'postgres',
        credential: using,
        ...rest,
      })
    const over = (tls: ServerTlsOptions): Partial<ConnectOptions> => ({ tls: loadServerTls(tls) })
    const close = (login: ServerLogin) => login.link.destroy()
    const outcome = async (attempt: Promise<ServerLogin>) => {
      const login = await attempt
      close(login)
      return login.tls === null ? 'plain' : 'tls'
    }

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'login-'))
      cluster = await startCluster({
        replicas: 0,
        ...(typeof binDir === 'string' ? { binDir } : {}),
      })
      node = cluster.primary
      authority = makeCertificate({ commonName: 'Test CA', isAuthority: true })
      const other = makeCertificate({ commonName: 'Other CA', isAuthority: true })
      files.ca = writeCertificate(directory, 'ca', authority).certFile
      files.otherCa = writeCertificate(directory, 'other', other).certFile
      const server = makeCertificate({
        commonName: 'server',
        issuer: authority,
        dnsNames: ['localhost'],
        keyType: 'rsa',
      })
      const mutual = makeCertificate({ commonName: 'mutual', issuer: authority })
      const pair = writeCertificate(directory, 'mutual', mutual)
      files.cert = pair.certFile
      files.key = pair.keyFile
      await node.query(`SET password_encryption = 'scram-sha-256';
        CREATE ROLE scrammer LOGIN PASSWORD 'sécret'; CREATE ROLE tlsonly LOGIN PASSWORD 'secret';
        CREATE ROLE plainonly LOGIN PASSWORD 'secret'; CREATE ROLE clear LOGIN PASSWORD 'secret';
        CREATE ROLE trusted LOGIN; CREATE ROLE mutual LOGIN;
        CREATE ROLE few LOGIN PASSWORD 'secret' CONNECTION LIMIT 0;
        SET password_encryption = 'md5'; CREATE ROLE md5er LOGIN PASSWORD 'secret'`)
      await node.writeFiles({
        'pg_hba.conf': hba,
        'tls.crt': server.pem,
        'tls.key': server.keyPem,
        'tls-ca.crt': authority.pem,
      })
      await node
        .configure({
          ssl: 'on',
          ssl_cert_file: 'tls.crt',
          ssl_key_file: 'tls.key',
          ssl_ca_file: 'tls-ca.crt',
        })
        .catch(() => {})
      await node.reload()
      hasTls = await waitFor(
        'TLS to be on',
        async () => (await node.query('SHOW ssl'))[0]?.ssl === 'on',
        5_000,
      ).catch(() => false)
    })
    afterAll(async () => {
      await cluster?.stop()
      rmSync(directory, { recursive: true, force: true })
    })

    it('answers SCRAM, md5 and trust, and gets parameters and a key', async () => {
      for (const [user, using] of [
        ['scrammer', password('sécret')],
        ['md5er', password('secret')],
        ['trusted', noCredential],
      ] as const) {
        const login = await connect(user, using, { parameters: [['application_name', 'x']] })
        expect(login.parameters.get('application_name')).toBe('x')
        expect(login.processId).toBeGreaterThan(0)
        expect(login.protocolMinor).toBe(cluster.version >= 18 ? 2 : 0)
        expect(login.secretKey.length).toBe(cluster.version >= 18 ? 32 : 4)
        expect(login.txStatus).toBe(0x49)
        close(login)
      }
    })

    it('logs in with stored md5 hashes and with recovered SCRAM keys', async () => {
      const rows = await node.query(
        "SELECT rolname, rolpassword FROM pg_authid WHERE rolname IN ('md5er', 'scrammer')",
      )
      const stored = (role: string) =>
        parseStoredSecret(String(rows.find(({ rolname }) => rolname === role)?.rolpassword))
      const md5 = stored('md5er')
      const scram = stored('scrammer')
      if (md5?.kind !== 'md5' || scram?.kind !== 'scram') throw new Error('unexpected secrets')
      close(await connect('md5er', credential({ kind: 'md5-hash', hash: md5.hash })))
      const { salt, iterations } = scram.verifier
      const keys = await deriveScramKeys('sécret', salt, iterations)
      expect(keys.storedKey).toEqual(scram.verifier.storedKey)
      close(await connect('scrammer', credential({ kind: 'scram-keys', ...keys })))
    })

    it('gives a password away in the clear only where it may', async () => {
      await expect(connect('clear', password('secret'))).rejects.toMatchObject({
        failure: 'credential',
        message: expect.stringContaining('in the clear on a connection without TLS'),
      })
      close(await connect('clear', password('secret'), { allowCleartext: true }))
    })

    it("keeps the server's SQLSTATE and message", async () => {
      await expect(connect('scrammer', password('wrong'))).rejects.toMatchObject({
        failure: 'server',
        sqlstate: '28P01',
        message: 'password authentication failed for user "scrammer"',
      })
      await expect(connect('trusted', noCredential, { database: 'nowhere' })).rejects.toMatchObject(
        { sqlstate: '3D000' },
      )
      await expect(connect('few', password('secret'))).rejects.toMatchObject({ sqlstate: '53300' })
      await expect(connect('scrammer', noCredential)).rejects.toMatchObject({
        failure: 'credential',
        sqlstate: '28000',
      })
    })

    it('says which node it could not reach', async () => {
      await expect(
        connect('trusted', noCredential, { target: { host: '127.0.0.1', port: 56299 } }),
      ).rejects.toMatchObject({
        failure: 'network',
        sqlstate: '08001',
        message: 'cannot connect to 127.0.0.1:56299: ECONNREFUSED',
      })
    })

    it('cancels a query on another connection', async () => {
      for (const sslmode of ['disable', 'prefer'] as const) {
        const tls = loadServerTls({ sslmode })
        const login = await connect('trusted', noCredential, { tls })
        const chunks: Buffer[] = []
        login.link.onChunk = (chunk) => {
          chunks.push(Buffer.from(chunk))
          return chunk.length
        }
        login.link.resume()
        login.link.write(query('SELECT pg_sleep(60)'))
        await waitFor('the query to run', async () => {
          const rows = await node.query(
            "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'",
            [login.processId],
          )
          return rows.length === 1
        })
        const { processId, secretKey } = login
        const target = { host: node.host, port: node.port }
        await cancelServer({ target, processId, secretKey, tls })
        await waitFor('the error', () => Buffer.concat(chunks).includes('57014'))
        close(login)
      }
    })

    it('follows libpq in what each sslmode tries', async ({ skip }) => {
      skip(!hasTls, 'this PostgreSQL has no TLS')
      const secret = password('secret')
      const table = {
        disable: { tlsonly: '28000', plainonly: 'plain', trusted: 'plain' },
        allow: { tlsonly: 'tls', plainonly: 'plain', trusted: 'plain' },
        prefer: { tlsonly: 'tls', plainonly: 'plain', trusted: 'tls' },
        require: { tlsonly: 'tls', plainonly: '28000', trusted: 'tls' },
      } as const
      for (const [sslmode, users] of Object.entries(table)) {
        for (const [user, expected] of Object.entries(users)) {
          const rest = over({ sslmode: sslmode as keyof typeof table })
          const got = await outcome(connect(user, secret, rest)).catch((error) => error.sqlstate)
          expect(got, `${sslmode} as ${user}`).toBe(expected)
        }
      }
    })

    it("verifies the server's certificate as the sslmode says", async ({ skip }) => {
      skip(!hasTls, 'this PostgreSQL has no TLS')
      const { ca, otherCa } = files
      const named = { target: { host: 'localhost', port: node.port } }
      const tries: [ServerTlsOptions, Partial<ConnectOptions>, string][] = [
        [{ sslmode: 'require' }, {}, 'tls'],
        [{ sslmode: 'require', sslrootcert: otherCa }, {}, '08001'],
        [{ sslmode: 'verify-ca', sslrootcert: otherCa }, {}, '08001'],
        [{ sslmode: 'verify-ca', sslrootcert: ca }, {}, 'tls'],
        [{ sslmode: 'verify-full', sslrootcert: ca }, {}, '08001'],
        [{ sslmode: 'verify-full', sslrootcert: ca }, named, 'tls'],
        [{ sslmode: 'verify-full', sslrootcert: 'system' }, named, '08001'],
        [{ sslmode: 'prefer' }, {}, 'tls'],
      ]
      for (const [tls, rest, expected] of tries) {
        const got = await outcome(
          connect('tlsonly', password('secret'), { ...rest, ...over(tls) }),
        ).catch((error) => error.sqlstate)
        expect(got, JSON.stringify(tls)).toBe(expected)
      }
    })

    it('binds SCRAM to the channel, and can insist on it', async ({ skip }) => {
      skip(!hasTls, 'this PostgreSQL has no TLS')
      const channelBinding = 'require'
      const tls = loadServerTls({ sslmode: 'require' })
      close(await connect('scrammer', password('sécret'), { tls, channelBinding }))
      for (const [user, rest] of [
        ['scrammer', {}],
        ['trusted', { tls }],
      ] as const) {
        await expect(
          connect(user, password('sécret'), { ...rest, channelBinding }),
        ).rejects.toMatchObject({ failure: 'credential' })
      }
    })

    it('shows its own certificate', async ({ skip }) => {
      skip(!hasTls, 'this PostgreSQL has no TLS')
      const { cert, key } = files
      const tls = { sslmode: 'require', sslcert: cert, sslkey: key } as const
      close(await connect('mutual', noCredential, over(tls)))
      await expect(
        connect('mutual', noCredential, over({ sslmode: 'require' })),
      ).rejects.toMatchObject({ sqlstate: '28000' })
    })

    it('starts with TLS at once where the server can', async ({ skip }) => {
      skip(!hasTls || cluster.version < 17, 'needs PostgreSQL 17 with TLS')
      const tls = { sslmode: 'require', sslnegotiation: 'direct' } as const
      expect(await outcome(connect('tlsonly', password('secret'), over(tls)))).toBe('tls')
    })

    it('gives up in time when the server says nothing', async () => {
      node.freeze()
      try {
        await expect(connect('trusted', noCredential, { timeoutMs: 300 })).rejects.toMatchObject({
          failure: 'timeout',
          sqlstate: '08001',
        })
        await expect(
          connect('trusted', noCredential, { timeoutMs: 300, ...over({ sslmode: 'prefer' }) }),
        ).rejects.toMatchObject({ failure: 'timeout' })
      } finally {
        node.thaw()
      }
    })

    it('works over any link that is dialled for it', async () => {
      const dial: ConnectOptions['dial'] = (target, timeoutMs) => Link.dial(target, timeoutMs)
      close(await connect('trusted', noCredential, { dial }))
    })
  },
)
