import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PatroniSource } from '../../src/discovery/patroni-source.ts'
import type { EmbeddedNode } from '../../src/embedded/embedded-node.ts'
import { makeCertificate, writeCertificate } from '../support/certificates.ts'
import { CliProcess } from '../support/cli-process.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { type FakeMember, FakePatroni, type FakeState } from '../support/fake-patroni.ts'
import { type ProxyOverrides, startTestProxy, type TestProxy } from '../support/proxy.ts'
import { ReadLoad } from '../support/read-load.ts'

let cluster: EmbeddedCluster
let state: FakeState
let apis: FakePatroni[]
let proxy: TestProxy | null = null
let load: ReadLoad | null = null

const memberOf = (node: EmbeddedNode, given: Partial<FakeMember> = {}): FakeMember => ({
  name: node === cluster.primary ? 'pg0' : `pg${cluster.replicas.indexOf(node) + 1}`,
  role: node === cluster.primary ? 'leader' : 'replica',
  state: node === cluster.primary ? 'running' : 'streaming',
  host: '127.0.0.1',
  port: node.port,
  ...given,
})
const all = (): FakeMember[] => cluster.nodes.map((node) => memberOf(node))
const without = (name: string): FakeMember[] => all().filter((member) => member.name !== name)
const changed = (name: string, given: Partial<FakeMember>): FakeMember[] =>
  all().map((member) => (member.name === name ? { ...member, ...given } : member))

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item (id int); INSERT INTO item SELECT generate_series(1, 10)',
    [],
    'shop',
  )
  await cluster.catchUp()
})
beforeEach(async () => {
  state = { members: all() }
  apis = [await FakePatroni.start(state), await FakePatroni.start(state)]
})
afterEach(async () => {
  await load?.stop()
  await proxy?.stop()
  load = null
  proxy = null
  for (const api of apis) await api.stop()
})
afterAll(async () => {
  await cluster?.stop()
})

async function start(overrides: ProxyOverrides = {}): Promise<TestProxy> {
  const discovery = {
    patroni: { urls: apis.map(({ url }) => url) },
    interval: '100ms',
    timeout: '500ms',
    removeAfter: '300ms',
  }
  proxy = await startTestProxy(cluster, { discovery, pool: { size: 8 }, ...overrides })
  return proxy
}

async function showNodes(from: TestProxy): Promise<Record<string, unknown>[]> {
  const admin = await from.client({ database: 'pgsplit' })
  const { rows } = await admin.query('SHOW NODES')
  await admin.end()
  return rows
}

/** Begins a transaction on a replica (the catalog may have to be read first) and gives its name. */
function beginRead(db: pg.Client): Promise<string> {
  return waitFor('a transaction on a replica', async () => {
    await db.query('ROLLBACK')
    await db.query('BEGIN READ ONLY')
    await db.query('SELECT count(*) FROM item')
    const [row] = (await db.query('SHOW pgsplit.last_route')).rows
    const name = /^pg[12]/.exec(String(Object.values(row ?? {})[0]))
    return name?.[0]
  })
}

const idsOf = (from: TestProxy) => from.proxy.snapshot().nodes.map(({ id }) => id)
const logged = (from: TestProxy, event: string) =>
  from.log.filter((line) => JSON.parse(line).event === event)

describe('nodes that Patroni lists', () => {
  it('are found, judged by what they say themselves, and named with what Patroni says', async () => {
    // Patroni takes a replica for the leader, and the primary for a replica.
    state.members = all().map((member) =>
      member.name === 'pg2'
        ? { ...member, role: 'leader', state: 'running' }
        : { ...member, role: 'replica' },
    )
    const { rows } = await (await start()).with((db) =>
      db.query('SELECT count(*)::int AS n FROM item'),
    )
    expect(rows).toEqual([{ n: 10 }])
    expect(await showNodes(proxy as TestProxy)).toMatchObject([
      { node: 'pg0', role: 'primary', state: 'up', source: 'patroni: replica, running' },
      { node: 'pg1', role: 'replica', state: 'up', source: 'patroni: replica, streaming' },
      { node: 'pg2', role: 'replica', state: 'up', source: 'patroni: leader, running' },
    ])
  })

  it('come and go under load, and no client notices', async () => {
    const from = await start()
    load = await ReadLoad.start(from, 8)
    const reads = load
    await waitFor('some reads', () => reads.reads > 100)
    for (let round = 0; round < 3; round++) {
      state.members = without('pg1')
      await waitFor('pg1 to leave', () => !idsOf(from).includes('pg1'))
      state.members = all()
      await from.waitForNode('pg1', ({ readable, fresh }) => readable && fresh)
      const before = reads.reads
      await waitFor('further reads', () => reads.reads > before + 200)
    }
    await waitFor('reads at pg1', async () => {
      const pg1 = (await showNodes(from)).find(({ node }) => node === 'pg1')
      return Number(pg1?.requests) > 0
    })
    expect(reads.errors).toEqual([])
    expect(logged(from, 'node-joined')).toHaveLength(6)
    expect(logged(from, 'node-leaving')).toHaveLength(3)
    expect(logged(from, 'node-left')).toHaveLength(3)
  })

  it('stay until what runs there has ended', async () => {
    const from = await start()
    const db = await from.client()
    const name = await beginRead(db)
    expect(name).not.toBe('pg0')
    state.members = without(name)
    await from.waitForNode(name, ({ health }) => health === 'draining')
    const nodes = await showNodes(from)
    expect(nodes.find(({ node }) => node === name)).toMatchObject({
      state: 'draining',
      reason: expect.stringMatching(/^not listed by patroni for \d+ s$/),
    })
    expect((await db.query('SELECT count(*)::int AS n FROM item')).rows).toEqual([{ n: 10 }])
    await db.query('COMMIT')
    await waitFor('it to leave', () => !idsOf(from).includes(name))
    expect((await db.query('SELECT count(*)::int AS n FROM item')).rows).toEqual([{ n: 10 }])
    await db.end()
  })

  it('are left in the end, whatever runs there', async () => {
    const from = await start({ limits: { drainTimeout: '500ms' } })
    const db = await from.client()
    const name = await beginRead(db)
    state.members = without(name)
    await waitFor('it to leave', () => !idsOf(from).includes(name))
    await expect(db.query('SELECT 1')).rejects.toMatchObject({ code: /^(08006|57P01|25P02)$/ })
    await db.query('ROLLBACK')
    expect((await db.query('SELECT count(*)::int AS n FROM item')).rows).toEqual([{ n: 10 }])
    await db.end()
  })

  it('include the primary that serves, listed or not', async () => {
    const from = await start()
    state.members = without('pg0')
    await waitFor('some looks', () => apis.some(({ asked }) => asked > 10))
    const db = await from.client()
    expect((await db.query('UPDATE item SET id = id')).rowCount).toBe(10)
    expect(idsOf(from)).toContain('pg0')
    await db.end()
  })

  it('stay while Patroni is paused', async () => {
    const from = await start()
    state.pause = true
    state.members = without('pg2')
    await waitFor('the pause', () => logged(from, 'discovery-paused').length > 0)
    const { asked } = apis[0] as FakePatroni
    await waitFor('some looks', () => (apis[0] as FakePatroni).asked > asked + 5)
    expect(idsOf(from)).toContain('pg2')
    state.pause = false
    await waitFor('pg2 to leave', () => !idsOf(from).includes('pg2'))
  })

  it('stay when no Patroni answers, which is told once', async () => {
    const from = await start()
    load = await ReadLoad.start(from, 4)
    const reads = load
    for (const api of apis) api.trouble = 'error'
    await waitFor('the failure', () => logged(from, 'discovery-failed').length > 0)
    const asked = apis.map((api) => api.asked)
    await waitFor('some looks', () => apis.every((api, i) => api.asked > (asked[i] ?? 0) + 3))
    const before = reads.reads
    await waitFor('further reads', () => reads.reads > before + 100)
    expect(reads.errors).toEqual([])
    expect(idsOf(from)).toHaveLength(3)
    expect(logged(from, 'discovery-failed')).toHaveLength(1)
    for (const api of apis) api.trouble = 'none'
    await waitFor('the recovery', () => logged(from, 'discovery-recovered').length > 0)
  })

  it('are learnt from one that answers while others hang, fail or talk without end', async () => {
    const [first, second] = apis as [FakePatroni, FakePatroni]
    for (const trouble of ['hang', 'error', 'endless'] as const) {
      first.trouble = trouble
      const from = await start()
      expect(idsOf(from)).toEqual(['pg0', 'pg1', 'pg2'])
      const { asked } = second
      await waitFor('further answers', () => second.asked > asked + 5)
      expect(logged(from, 'discovery-failed')).toEqual([])
      await from.stop()
      proxy = null
    }
  })

  it('are found later when no Patroni answers at the start', async () => {
    for (const api of apis) api.trouble = 'error'
    const from = await start()
    expect(idsOf(from)).toEqual([])
    await expect(from.client()).rejects.toMatchObject({
      code: expect.stringMatching(/^(57P03|28)/),
    })
    for (const api of apis) api.trouble = 'none'
    await from.waitForNode('pg1', ({ readable, fresh }) => readable && fresh)
    const { rows } = await from.with((db) => db.query('SELECT count(*)::int AS n FROM item'))
    expect(rows).toEqual([{ n: 10 }])
  })

  it('get no reads with the tag noloadbalance', async () => {
    const from = await start()
    state.members = changed('pg1', { tags: { noloadbalance: true, zone: 'b' } })
    await from.waitForNode('pg1', ({ effectiveWeight }) => effectiveWeight === 0)
    const nodes = await showNodes(from)
    const before = nodes.find(({ node }) => node === 'pg1')
    expect(before).toMatchObject({ zone: 'b', weight: 0, state: 'up' })
    await from.with(async (db) => {
      for (let i = 0; i < 20; i++) await db.query('SELECT count(*) FROM item')
    })
    const after = (await showNodes(from)).find(({ node }) => node === 'pg1')
    expect(after?.requests).toBe(before?.requests)
    state.members = all()
    await from.waitForNode('pg1', ({ effectiveWeight }) => effectiveWeight === 1)
  })

  it('may move to another address, the primary too, and nobody notices', async () => {
    const from = await start()
    load = await ReadLoad.start(from, 4)
    const reads = load
    const errors: unknown[] = []
    let isDone = false
    let writes = 0
    const writers = await Promise.all(Array.from({ length: 3 }, () => from.client()))
    const writing = writers.map(async (db) => {
      while (!isDone) {
        await db.query('UPDATE item SET id = id WHERE id = 1').catch((e) => errors.push(e))
        writes += 1
      }
    })
    for (const host of ['localhost', '127.0.0.1', 'localhost']) {
      state.members = all().map((member) => ({ ...member, host }))
      await waitFor(`all nodes at ${host}`, () => {
        const { nodes, primary } = from.proxy.snapshot()
        return nodes.length === 3 && nodes.every(({ spec }) => spec.host === host) && primary
      })
      const before = writes
      await waitFor('further writes', () => writes > before + 30)
    }
    isDone = true
    await Promise.all(writing)
    await Promise.all(writers.map((db) => db.end()))
    expect(errors).toEqual([])
    expect(reads.errors).toEqual([])
    expect(logged(from, 'node-fenced')).toEqual([])
  })
})

describe('the REST API of Patroni', () => {
  it('may ask for a password and a certificate, and show one of its own', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'pgsplit-patroni-'))
    const ca = makeCertificate({ commonName: 'an authority', isAuthority: true })
    const named = { issuer: ca, addresses: ['127.0.0.1'] }
    const server = makeCertificate({ commonName: 'patroni', ...named })
    const client = makeCertificate({ commonName: 'pgsplit', issuer: ca })
    const files = writeCertificate(directory, 'client', client)
    const { certFile: caFile } = writeCertificate(directory, 'ca', ca)
    const api = await FakePatroni.start(state, 0, {
      key: server.keyPem,
      cert: server.pem,
      ca: ca.pem,
      requestCert: true,
      rejectUnauthorized: true,
    })
    apis.push(api)
    const options = { kind: 'patroni', urls: [api.url], timeoutMs: 2000 } as const
    const password = { reveal: () => 'p:ß' }
    const login = { user: 'app', password }
    const known = { ...options, ...login, caFile, ...files }
    expect((await new PatroniSource(known).read()).members).toHaveLength(3)
    expect(api.authorization).toBe(`Basic ${Buffer.from('app:p:ß').toString('base64')}`)
    await expect(new PatroniSource({ ...options, caFile }).read()).rejects.toThrow(api.url)
    await expect(new PatroniSource(options).read()).rejects.toThrow(/certificate/)
    await rm(directory, { recursive: true })
  })
})

describe('pgsplit check', () => {
  it('looks where the nodes are and tries them', async () => {
    const yaml = {
      clusters: {
        main: {
          discovery: { patroni: { urls: apis.map(({ url }) => url) } },
          monitor: { user: 'postgres', password: cluster.password },
        },
      },
    }
    const directory = await mkdtemp(join(tmpdir(), 'pgsplit-check-'))
    const file = join(directory, 'pgsplit.yaml')
    await writeFile(file, JSON.stringify(yaml))
    const { code, out } = await new CliProcess(['check', '--config', file]).ended
    expect(out).toContain('ok    main  patroni  pg0 (leader, running), pg1 (replica, streaming)')
    expect(out).toMatch(/ok {4}main {2}pg1 {2}127\.0\.0\.1:\d+ {2}replica, PostgreSQL/)
    expect(out).toContain('the configuration is valid; nodes that are well: 3')
    expect(code).toBe(0)
    await rm(directory, { recursive: true })
  })
})
