import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificate, writeCertificate } from '../support/certificates.ts'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { proxySettings, startProxyWith, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let directory: string
let files: { readonly certFile: string; readonly keyFile: string }
const proxies: TestProxy[] = []

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'access-'))
  files = writeCertificate(directory, 'server', makeCertificate({ commonName: 'pgsplit' }))
  cluster = await startCluster({ replicas: 0, database: 'shop', tls: files })
  await cluster.primary.query(`CREATE ROLE app LOGIN PASSWORD 'one';
    CREATE ROLE careful LOGIN PASSWORD 'one'; CREATE ROLE unwanted LOGIN PASSWORD 'one';
    CREATE ROLE pgsplit_monitor LOGIN PASSWORD 'one' IN ROLE pg_monitor`)
  await cluster.primary.query(
    `SET password_encryption = 'md5'; CREATE ROLE ancient LOGIN PASSWORD 'one'`,
  )
  await cluster.primary.writeFiles({
    'pg_hba.conf': `local all all trust
hostssl all careful all scram-sha-256
host all careful all reject
host all unwanted 127.0.0.0/8 reject
host all all all scram-sha-256
`,
  })
  await cluster.primary.reload()
})
afterAll(async () => {
  for (const proxy of proxies) await proxy.stop()
  await cluster?.stop()
  rmSync(directory, { recursive: true, force: true })
})

async function proxyWith(auth: Record<string, unknown> = {}, monitor = {}): Promise<TestProxy> {
  const settings = proxySettings(cluster, { auth, monitor })
  const tls = { cert: files.certFile, key: files.keyFile }
  const proxy = await startProxyWith(cluster, { ...settings, tls })
  proxies.push(proxy)
  return proxy
}

/** `in`, or the refusal. */
async function enter(url: string, ssl = false): Promise<string> {
  const client = new pg.Client({
    connectionString: url,
    ssl: ssl ? { rejectUnauthorized: false } : false,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('SELECT 1')
    return 'in'
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return `${code} ${message}`
  } finally {
    await client.end().catch(() => {})
  }
}

const by = (user: string, database = 'shop') => ({ user, password: 'one', database })
const direct = (user: string): string => {
  const url = new URL(cluster.primary.urlFor('shop'))
  url.username = user
  url.password = 'one'
  return url.href
}

describe("the primary's pg_hba.conf", () => {
  it('holds for clients whom it would refuse without TLS, or by their address, in its words', async () => {
    const proxy = await proxyWith()
    for (const user of ['careful', 'unwanted', 'app']) {
      expect(await enter(proxy.url(by(user))), user).toBe(await enter(direct(user)))
    }
    expect(await enter(proxy.url(by('app')))).toBe('in')
    expect(await enter(proxy.url(by('careful')))).toContain('28000 pg_hba.conf rejects connection')
    expect(await enter(proxy.url(by('careful')), true)).toBe('in')
    expect(await enter(proxy.url(by('unwanted')), true)).toContain('SSL encryption')
  })

  it('counts as it was read last, and not where it is to be ignored or may not be read', async () => {
    const proxy = await proxyWith()
    expect(await enter(proxy.url(by('unwanted')))).toContain('28000')
    const former = 'local all all trust\nhost all all all scram-sha-256\n'
    await cluster.primary.writeFiles({
      'pg_hba.conf': `local all all trust\nhostssl all app all scram-sha-256\n${former}`,
    })
    await cluster.primary.reload()
    await expect.poll(() => enter(proxy.url(by('unwanted'))), { timeout: 5_000 }).toBe('in')
    await cluster.primary.writeFiles({
      'pg_hba.conf':
        'local all all trust\nhost all app 127.0.0.1/32 reject\nhost all all all scram-sha-256\n',
    })
    await cluster.primary.reload()
    await expect.poll(() => enter(proxy.url(by('app'))), { timeout: 5_000 }).toContain('28000')
    await cluster.primary.writeFiles({ 'pg_hba.conf': former })
    await cluster.primary.reload()
    await expect.poll(() => enter(proxy.url(by('app'))), { timeout: 5_000 }).toBe('in')
    const ignoring = await proxyWith({ pgHba: 'ignore' })
    expect(await enter(ignoring.url(by('app')))).toBe('in')
  })
})

describe('auth.rules', () => {
  it('let in and refuse by user, database, address and TLS, before any password is asked for', async () => {
    const proxy = await proxyWith({
      rules: [
        { user: 'ancient', method: 'reject' },
        { user: ['app', 'careful'], database: 'shop', address: ['127.0.0.0/8', '::1'] },
        { user: 'postgres', tls: 'required' },
      ],
    })
    const host = 'for host "127.0.0.1"'
    expect(await enter(proxy.url(by('app')))).toBe('in')
    expect(await enter(proxy.url(by('app', 'postgres')))).toBe(
      `28000 no auth.rules entry ${host}, user "app", database "postgres", no encryption`,
    )
    expect(await enter(proxy.url({ ...by('ancient'), password: 'wrong' }))).toBe(
      `28000 auth.rules rejects connection ${host}, user "ancient", database "shop", no encryption`,
    )
    expect(await enter(proxy.url())).toContain('28000 no auth.rules entry')
    expect(await enter(proxy.url(), true)).toBe('in')
    expect(await enter(proxy.url({ user: 'postgres', database: 'pgsplit' }))).toContain('28000')
  })
})

describe('a log-in that is refused', () => {
  it('has its reason in the log, and there alone', async () => {
    const proxy = await proxyWith()
    const said = async (user: string, password: string): Promise<unknown> => {
      const before = proxy.log.length
      expect(await enter(proxy.url({ user, password }))).toBe(
        `28P01 password authentication failed for user "${user}"`,
      )
      return proxy.log.slice(before).map((line) => JSON.parse(line).detail)
    }
    expect(await said('ancient', 'one')).toEqual([expect.stringContaining('stored as md5')])
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect(await said('app', 'wrong')).toEqual([expect.stringContaining('does not match')])
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect(await said('nobody', 'one')).toEqual([expect.stringContaining('does not exist')])
  })

  it('is told when the monitor may not read passwords, and who is listed gets in', async () => {
    const auth = { users: [{ name: 'app', password: 'one' }] }
    const proxy = await proxyWith(auth, { user: 'pgsplit_monitor', password: 'one' })
    expect(await enter(proxy.url(by('app')))).toBe('in')
    expect(await enter(proxy.url(by('careful')))).toContain('57P03 cannot look up roles')
    expect(await enter(proxy.url(by('app', 'nowhere')))).toBe(
      '3D000 database "nowhere" does not exist',
    )
  })
})
