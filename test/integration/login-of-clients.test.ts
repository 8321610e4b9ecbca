import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { AuthRateLimit } from '../../src/auth/auth-rate-limit.ts'
import { identityOf } from '../../src/auth/identity.ts'
import { IdentityLookup } from '../../src/auth/identity-lookup.ts'
import { arrayText, identitySql } from '../../src/auth/identity-sql.ts'
import { roleSecret } from '../../src/auth/role-secret.ts'
import { lookupFunctionDdl } from '../../src/auth/role-sql.ts'
import type { Authenticator } from '../../src/client/login.ts'
import type { AcceptOptions } from '../../src/client/startup.ts'
import { freePort } from '../../src/embedded/free-port.ts'
import { ClientTls } from '../../src/net/client-tls.ts'
import { type Certificate, makeCertificate, writeCertificate } from '../support/certificates.ts'
import {
  debianBinDir,
  type EmbeddedCluster,
  type EmbeddedNode,
  startCluster,
} from '../support/cluster.ts'
import { acceptOptions, LoginRelay } from '../support/login-relay.ts'

/** Not in the range that the system gives to outgoing connections. */
let port = 0
const psql = debianBinDir() === null ? null : `${debianBinDir()}/psql`

let cluster: EmbeddedCluster
let node: EmbeddedNode
let directory: string
let relay: LoginRelay | null = null
let authority: Certificate
const files = { ca: '', certFile: '', keyFile: '', clientCert: '', clientKey: '' }

/** Roles as the proxy would look them up: over a superuser's connection. */
function lookup(): Authenticator {
  const identities = new IdentityLookup({
    place: () => ({ node: null, user: 'postgres', database: 'postgres' }),
    query: async (wanted) => {
      const roles = arrayText(wanted.map(({ role }) => role))
      const databases = arrayText(wanted.map(({ database }) => database))
      const rows = await node.query(identitySql({ kind: 'pg_authid' }), [roles, databases])
      return rows.map((row) => identityOf(row as Record<string, string | null>))
    },
  })
  return {
    find: async ({ user, database }) => {
      const identity = await identities.find({ role: user, database })
      return { ...roleSecret(user, identity), identity }
    },
  }
}

async function start(options: Partial<AcceptOptions> = {}): Promise<LoginRelay> {
  relay?.stop()
  const target = { host: node.host, port: node.port }
  relay = await LoginRelay.start(
    acceptOptions({ authenticator: lookup(), ...options }),
    target,
    port,
  )
  return relay
}

async function ask(user: string, password: string, rest: pg.ClientConfig = {}): Promise<unknown> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user,
    password,
    database: 'postgres',
    ...rest,
  })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query('SELECT current_user AS who')
    return rows[0]?.who
  } finally {
    await client.end()
  }
}

/** Output of psql, or its complaint. */
function psqlSays(conninfo: string, password = 'secret'): Promise<string> {
  return new Promise((resolve) => {
    execFile(
      psql ?? 'psql',
      ['-XAtc', 'SELECT current_user', `host=127.0.0.1 port=${port} dbname=postgres ${conninfo}`],
      { env: { PGPASSWORD: password, HOME: directory } },
      (_error, out, complaint) => resolve((out || complaint).trim()),
    )
  })
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'login-'))
  port = await freePort()
  cluster = await startCluster({ replicas: 0 })
  node = cluster.primary
  await node.query(`SET password_encryption = 'scram-sha-256';
    CREATE ROLE scrammer LOGIN PASSWORD 'secret'; CREATE ROLE expired LOGIN PASSWORD 'secret'
      VALID UNTIL '2001-01-01'; CREATE ROLE group_only PASSWORD 'secret';
    CREATE ROLE passwordless LOGIN; CREATE ROLE forever LOGIN PASSWORD 'secret'
      VALID UNTIL 'infinity'; CREATE ROLE pgsplit_monitor LOGIN;
    SET password_encryption = 'md5'; CREATE ROLE md5er LOGIN PASSWORD 'secret'`)
  await node.writeFiles({
    'pg_hba.conf':
      'local all all trust\nhost all pgsplit_monitor all trust\nhost all md5er all md5\nhost all all all scram-sha-256\n',
  })
  await node.reload()
  authority = makeCertificate({ commonName: 'Test CA', isAuthority: true })
  files.ca = writeCertificate(directory, 'ca', authority).certFile
  const server = makeCertificate({
    commonName: 'pgsplit',
    issuer: authority,
    addresses: ['127.0.0.1'],
  })
  Object.assign(files, writeCertificate(directory, 'server', server))
  const client = makeCertificate({ commonName: 'scrammer', issuer: authority })
  const pair = writeCertificate(directory, 'client', client)
  files.clientCert = pair.certFile
  files.clientKey = pair.keyFile
})
afterEach(() => {
  relay?.stop()
  relay = null
})
afterAll(async () => {
  await cluster?.stop()
  rmSync(directory, { recursive: true, force: true })
})

describe('any role of the cluster', () => {
  it('logs in through pgsplit without being listed there, by SCRAM or md5', async () => {
    await start()
    expect(await ask('scrammer', 'secret')).toBe('scrammer')
    expect(await ask('forever', 'secret')).toBe('forever')
    await start({ method: 'md5' })
    expect(await ask('md5er', 'secret')).toBe('md5er')
    expect(await ask('scrammer', 'secret')).toBe('scrammer')
  })

  it('is refused alike whatever is wrong with it', async () => {
    await start()
    for (const user of ['scrammer', 'nobody', 'expired', 'passwordless', 'md5er']) {
      await expect(ask(user, user === 'scrammer' ? 'wrong' : 'secret')).rejects.toMatchObject({
        code: '28P01',
        message: `password authentication failed for user "${user}"`,
      })
    }
  })

  it('is told that it may not log in only when its password is right, as directly', async () => {
    await start()
    await expect(ask('group_only', 'wrong')).rejects.toMatchObject({ code: '28P01' })
    await expect(ask('group_only', 'secret')).rejects.toMatchObject({
      code: '28000',
      message: 'role "group_only" is not permitted to log in',
    })
  })

  it('logs in with its new password, and not with the old one, once it was changed', async () => {
    await start()
    await node.query("CREATE ROLE changer LOGIN PASSWORD 'old'")
    expect(await ask('changer', 'old')).toBe('changer')
    await node.query("ALTER ROLE changer PASSWORD 'new'")
    await expect(ask('changer', 'old')).rejects.toMatchObject({ code: '28P01' })
    expect(await ask('changer', 'new')).toBe('changer')
  })

  it('can be looked up by a monitor that may not read pg_authid', async () => {
    await node.query(lookupFunctionDdl)
    const client = new pg.Client({
      host: node.host,
      port: node.port,
      user: 'pgsplit_monitor',
      database: 'postgres',
    })
    await client.connect()
    const users = ['scrammer', 'expired', 'group_only', 'nobody', 'postgres']
    const names = [arrayText(users), arrayText(users.map(() => 'postgres'))]
    const sources = [
      { kind: 'pg_authid' },
      { kind: 'function', name: 'pgsplit.role_secret' },
    ] as const
    try {
      const asked = client.query(identitySql(sources[0]), names)
      await expect(asked).rejects.toMatchObject({ code: '42501' })
      const { rows } = await client.query(identitySql(sources[1]), names)
      const scram = expect.stringMatching(/^SCRAM-SHA-256\$/)
      expect(rows.map((row) => identityOf(row))).toMatchObject([
        {
          role: { password: scram, canLogin: true, isExpired: false },
          database: { mayConnect: true },
        },
        { role: { password: null, isExpired: true } },
        { role: { password: scram, canLogin: false } },
        { role: null, database: { allowsConnections: true } },
        // The function leaves superusers out.
        { role: { password: null, isSuperuser: true } },
      ])
      expect(new Set(rows.map(({ digest }) => digest)).size).toBe(5)
    } finally {
      await client.end()
    }
  })
})

describe.skipIf(psql === null)('psql (needs /usr/lib/postgresql/15)', () => {
  const tls = (mode: 'prefer' | 'require' | 'verify-ca' | 'verify-full') =>
    new ClientTls({ mode, certFile: files.certFile, keyFile: files.keyFile, caFile: files.ca })

  it('logs in with every sslmode, and binds SCRAM to the channel', async () => {
    await start({ tls: tls('prefer') })
    const root = `sslrootcert=${files.ca}`
    for (const [conninfo, hasTls] of [
      ['sslmode=disable', false],
      ['sslmode=allow', false],
      ['sslmode=prefer', true],
      ['sslmode=require channel_binding=require', true],
      [`sslmode=verify-ca ${root}`, true],
      [`sslmode=verify-full channel_binding=require ${root}`, true],
    ] as const) {
      expect(await psqlSays(`user=scrammer ${conninfo}`), conninfo).toBe('scrammer')
      const outcome = relay?.outcomes.findLast(({ kind }) => kind === 'login')
      expect(outcome?.kind === 'login' && outcome.tls !== null, conninfo).toBe(hasTls)
    }
  })

  it('is told that TLS is required, and finds it by itself', async () => {
    await start({ tls: tls('require') })
    expect(await psqlSays('user=scrammer sslmode=disable')).toContain('FATAL:  TLS is required')
    expect(await psqlSays('user=scrammer sslmode=allow')).toBe('scrammer')
  })

  it('must show a certificate where one is required, and the right one', async () => {
    const shown = `sslmode=require sslcert=${files.clientCert} sslkey=${files.clientKey}`
    await start({ tls: tls('verify-ca') })
    expect(await psqlSays('user=scrammer sslmode=require')).toContain('valid client certificate')
    expect(await psqlSays(`user=scrammer ${shown}`)).toBe('scrammer')
    expect(await psqlSays(`user=forever ${shown}`)).toBe('forever')
    const other = makeCertificate({ commonName: 'scrammer' })
    const pair = writeCertificate(directory, 'other', other)
    expect(
      await psqlSays(
        `user=scrammer sslmode=require sslcert=${pair.certFile} sslkey=${pair.keyFile}`,
      ),
    ).toMatch(/client certificate is not valid \(\w+\)/)
    const expired = makeCertificate({ commonName: 'scrammer', issuer: authority, isExpired: true })
    const old = writeCertificate(directory, 'expired', expired)
    expect(
      await psqlSays(`user=scrammer sslmode=require sslcert=${old.certFile} sslkey=${old.keyFile}`),
    ).toContain('client certificate is not valid (CERT_HAS_EXPIRED)')
    await start({ tls: tls('verify-full') })
    expect(await psqlSays(`user=scrammer ${shown}`)).toBe('scrammer')
    expect(await psqlSays(`user=forever ${shown}`)).toContain('certificate authentication failed')
    await start({ tls: tls('prefer'), method: 'cert' })
    expect(await psqlSays(`user=forever ${shown}`)).toContain('certificate authentication failed')
    expect(await psqlSays('user=scrammer sslmode=require')).toContain('certificate authentication')
  })

  it('sees the certificate that was put in place last', async () => {
    const clientTls = tls('prefer')
    await start({ tls: clientTls })
    const root = `sslmode=verify-full sslrootcert=${files.ca}`
    expect(await psqlSays(`user=scrammer ${root}`)).toBe('scrammer')
    const next = makeCertificate({ commonName: 'other.example', issuer: authority })
    writeCertificate(directory, 'server', next)
    clientTls.reload()
    expect(await psqlSays(`user=scrammer ${root}`)).toContain('does not match host name')
    writeFileSync(files.certFile, 'no certificate')
    expect(() => clientTls.reload()).toThrow('tls.certFile')
    expect(await psqlSays('user=scrammer sslmode=require')).toBe('scrammer')
  })

  it('shuts an address out after too many failures', async () => {
    await start({ rateLimit: new AuthRateLimit({ maxFailures: 2 }) })
    for (let i = 0; i < 2; i++) {
      expect(await psqlSays('user=scrammer', 'wrong')).toContain('password authentication failed')
    }
    expect(await psqlSays('user=scrammer')).toContain('too many failed log-ins')
  })
})
