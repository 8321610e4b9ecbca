import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/parse-config.ts'
import { discoveredNode } from '../../../src/config/resolve-discovery.ts'
import { member } from '../discovery/lists.ts'

const primary = 'postgres://monitor:hunter2@10.0.0.1/app'
const monitor = { user: 'm', password: 'hunter3', database: 'd' }
const patroni = { urls: ['http://10.0.0.1:8008'] }
const clusterOf = (options: object) => parseConfig({ clusters: { main: options } }).clusters[0]

describe('discovery in the configuration', () => {
  it('is off when nothing is said', () => {
    expect(clusterOf({ primary })?.discovery).toBe(null)
    expect(clusterOf({ primary, discovery: { interval: '1s' } })?.discovery).toBe(null)
  })

  it('needs no node in the file, but to know who the monitor is', () => {
    const cluster = clusterOf({ discovery: { patroni }, monitor, tls: { sslmode: 'require' } })
    expect(cluster).toMatchObject({
      nodes: [],
      discovery: {
        source: { kind: 'patroni', urls: ['http://10.0.0.1:8008'], timeoutMs: 2000 },
        intervalMs: 5000,
        removeAfterMs: 30_000,
        tls: { sslmode: 'require' },
        login: { user: 'm', database: 'd' },
      },
    })
    expect(cluster?.discovery?.login.password?.reveal()).toBe('hunter3')
    expect(() => clusterOf({ discovery: { patroni } })).toThrow(
      'clusters.main.monitor.user: is missing',
    )
  })

  it('lets the admin database know who may come in', () => {
    const { admin } = parseConfig({ clusters: { main: { discovery: { patroni }, monitor } } })
    expect(admin.users).toMatchObject([{ name: 'm' }])
  })

  it("takes the log-in of the file's primary when monitor says none", () => {
    const cluster = clusterOf({ primary, discovery: { dns: { read: 'ro.example.org' } } })
    expect(cluster?.discovery).toMatchObject({
      source: {
        kind: 'dns',
        read: 'ro.example.org',
        port: 5432,
        servers: [],
        keepForMs: 3_600_000,
      },
      login: { user: 'monitor', database: 'app' },
    })
  })

  it('makes a node of a member', () => {
    const discovery = clusterOf({ discovery: { patroni }, monitor })?.discovery
    if (discovery === null || discovery === undefined) throw new Error('no discovery')
    const found = member('pg1', { isBalanced: false, zone: 'a', serverName: 'pg1.example' })
    expect(discoveredNode(found, discovery)).toMatchObject({
      name: 'pg1',
      role: 'any',
      host: 'pg1',
      port: 5432,
      weight: 0,
      zone: 'a',
      serverName: 'pg1.example',
      login: { user: 'm' },
    })
  })

  it.each([
    [{ patroni, dns: { read: 'a' } }, ': has both patroni and dns; keep one'],
    [{ patroni: {} }, '.patroni.urls: is missing'],
    [{ patroni: { urls: [] } }, '.patroni.urls: expected at least one address'],
    [{ patroni: { urls: ['10.0.0.1:8008'] } }, '.patroni.urls[0]: is no address'],
    [{ patroni: { urls: ['ftp://a'] } }, '.patroni.urls[0]: is no address'],
    [{ patroni: { urls: ['http://u:p@a'] } }, '.patroni.urls[0]: has a user name in it'],
    [{ patroni: { urls: ['http://a/x'] } }, '.patroni.urls[0]: has a path'],
    [{ patroni: { urls: ['http://a', 'https://b'] } }, '.patroni.urls: mixes http and https'],
    [{ patroni: { ...patroni, user: 'a' } }, '.patroni: user and password belong together'],
    [{ patroni: { ...patroni, cert: 'a.pem' } }, '.patroni: cert and key belong together'],
    [{ patroni: { ...patroni, ca: '/nowhere.pem' } }, '.patroni.ca: '],
    [{ dns: {} }, '.dns: names nothing to look up'],
    [{ dns: { read: 'a b' } }, '.dns.read: "a b" is no DNS name'],
    [
      { dns: { read: 'a', servers: ['dns.example'] } },
      '.dns.servers[0]: "dns.example" is no address',
    ],
    [{ consul: {} }, '.consul: unknown option'],
  ])('refuses %j', (discovery, reason) => {
    expect(() => clusterOf({ primary, discovery })).toThrow(`clusters.main.discovery${reason}`)
  })

  it.each(['10.0.0.2', '10.0.0.2:5353', '[::1]:53', '::1'])(
    'takes %s for a DNS server',
    (server) => {
      const discovery = { dns: { read: 'a', servers: [server] } }
      expect(clusterOf({ primary, discovery })?.discovery?.source).toMatchObject({
        servers: [server],
      })
    },
  )

  it('shows no secret', () => {
    const withPassword = { patroni: { ...patroni, user: 'a', password: 'hunter4' } }
    const config = parseConfig({ clusters: { main: { discovery: withPassword, monitor } } })
    expect(JSON.stringify(config)).not.toContain('hunter')
  })

  it('finds a broken certificate at start, beside the file', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pgsplit-discovery-'))
    writeFileSync(join(directory, 'ca.pem'), 'no certificate')
    const value = {
      clusters: { main: { primary, discovery: { patroni: { ...patroni, ca: 'ca.pem' } } } },
    }
    expect(() => parseConfig(value, { directory })).toThrow('clusters.main.discovery.patroni.ca: ')
    await rm(directory, { recursive: true })
  })
})
