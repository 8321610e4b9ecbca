import net from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../src/embedded/free-port.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { DnsServer } from '../support/dns-server.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { ReadLoad } from '../support/read-load.ts'

let cluster: EmbeddedCluster
let dns: DnsServer
let proxy: TestProxy | null = null
let load: ReadLoad | null = null

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
  dns = await DnsServer.start({})
})
afterEach(async () => {
  await load?.stop()
  await proxy?.stop()
  load = null
  proxy = null
  await dns.stop()
})
afterAll(async () => {
  await cluster?.stop()
})

/** Names of the nodes as SRV targets. */
const targetOf = (i: number) => `pg-${i}.db.test:${cluster.nodes[i]?.port}`

function nameTargets(): void {
  Object.assign(dns.records, {
    'SRV _postgresql._tcp.db.test': [0, 1, 2].map(targetOf),
    'SRV _primary._tcp.db.test': [targetOf(0)],
    'A pg-0.db.test': ['127.0.0.1'],
    'A pg-1.db.test': ['127.0.0.1'],
    'A pg-2.db.test': ['127.0.0.1'],
  })
}

async function start(names: object, timing: object = {}): Promise<TestProxy> {
  const discovery = {
    dns: { servers: [dns.address], ...names },
    interval: '100ms',
    timeout: '200ms',
    removeAfter: '300ms',
    ...timing,
  }
  proxy = await startTestProxy(cluster, { discovery, pool: { size: 8 } })
  return proxy
}

const srv = { read: '_postgresql._tcp.db.test', write: '_primary._tcp.db.test' }
const idsOf = (from: TestProxy) => from.proxy.snapshot().nodes.map(({ id }) => id)
const logged = (from: TestProxy, event: string) =>
  from.log.filter((line) => JSON.parse(line).event === event)

async function showNodes(from: TestProxy): Promise<Record<string, unknown>[]> {
  return from.with(async (admin) => (await admin.query('SHOW NODES')).rows, { database: 'pgsplit' })
}

describe('nodes that SRV records name', () => {
  it('are called as their targets are, and judged by what they say themselves', async () => {
    nameTargets()
    // The write service names a replica.
    dns.records['SRV _primary._tcp.db.test'] = [targetOf(2)]
    const from = await start(srv)
    expect(await showNodes(from)).toMatchObject([
      { node: 'pg-0', role: 'primary', source: 'dns: read' },
      { node: 'pg-1', role: 'replica', source: 'dns: read' },
      { node: 'pg-2', role: 'replica', source: 'dns: read, write' },
    ])
    await from.with(async (db) => {
      expect((await db.query('UPDATE item SET id = id')).rowCount).toBe(10)
    })
  })

  it('come and go under load, and no client notices', async () => {
    nameTargets()
    const from = await start(srv)
    load = await ReadLoad.start(from, 6)
    const reads = load
    for (let round = 0; round < 2; round++) {
      dns.records['SRV _postgresql._tcp.db.test'] = [targetOf(0), targetOf(2)]
      await waitFor('pg-1 to leave', () => !idsOf(from).includes('pg-1'))
      dns.records['SRV _postgresql._tcp.db.test'] = [targetOf(2), targetOf(1), targetOf(0)]
      await from.waitForNode('pg-1', ({ readable, fresh }) => readable && fresh)
      const before = reads.reads
      await waitFor('further reads', () => reads.reads > before + 100)
    }
    expect(reads.errors).toEqual([])
  })

  it.each(['servfail', 'silent'] as const)(
    'stay when the server is %s, which is told once',
    async (trouble) => {
      nameTargets()
      const from = await start(srv)
      load = await ReadLoad.start(from, 4)
      const reads = load
      for (const key of Object.keys(dns.records)) dns.records[key] = trouble
      await waitFor('the failure', () => logged(from, 'discovery-failed').length > 0)
      const { asked } = dns
      await waitFor('further questions', () => dns.asked > asked + 6)
      const before = reads.reads
      await waitFor('further reads', () => reads.reads > before + 100)
      expect(reads.errors).toEqual([])
      expect(idsOf(from)).toEqual(['pg-0', 'pg-1', 'pg-2'])
      expect(logged(from, 'discovery-failed')).toHaveLength(1)
      nameTargets()
      await waitFor('the recovery', () => logged(from, 'discovery-recovered').length > 0)
    },
  )

  it('leave when their names have been gone for long, all but the primary that serves', async () => {
    nameTargets()
    const from = await start({ ...srv, keepFor: '500ms' })
    for (const key of Object.keys(dns.records)) delete dns.records[key]
    await waitFor('the replicas to leave', () => idsOf(from).length === 1)
    expect(idsOf(from)).toEqual(['pg-0'])
    await from.with(async (db) => {
      expect((await db.query('UPDATE item SET id = id')).rowCount).toBe(10)
      expect((await db.query('SELECT count(*)::int AS n FROM item')).rows).toEqual([{ n: 10 }])
    })
    nameTargets()
    await from.waitForNode('pg-2', ({ readable, fresh }) => readable && fresh)
  })

  it('are looked up again when the answer expires, however long the interval', async () => {
    nameTargets()
    dns.ttl = 1
    const from = await start(srv, { interval: '1h' })
    dns.records['SRV _postgresql._tcp.db.test'] = [targetOf(0), targetOf(2)]
    await waitFor('pg-1 to leave', () => !idsOf(from).includes('pg-1'))
  })
})

// Other systems have no 127.0.0.2.
describe.skipIf(process.platform !== 'linux')('nodes that addresses name', () => {
  let port: number
  const relays: { server: net.Server; to: number }[] = []
  const sockets = new Set<net.Socket>()

  /** Every server at an address of its own, all with one port. */
  beforeAll(async () => {
    port = await freePort()
    for (const [i, node] of cluster.nodes.entries()) {
      const server = net.createServer((client) => {
        const upstream = net.connect(node.port, '127.0.0.1')
        for (const socket of [client, upstream]) {
          sockets.add(socket)
          socket.on('error', () => {})
          socket.on('close', () => {
            client.destroy()
            upstream.destroy()
          })
        }
        client.pipe(upstream).pipe(client)
      })
      await new Promise<void>((resolve) => server.listen(port, `127.0.0.${i + 2}`, resolve))
      relays.push({ server, to: node.port })
    }
  })
  afterAll(() => {
    for (const { server } of relays) server.close()
    for (const socket of sockets) socket.destroy()
  })

  it('are found under the names of a read service and a write service, and after a failover', async () => {
    Object.assign(dns.records, {
      'A ro.db.test': ['127.0.0.4', '127.0.0.3'],
      'A rw.db.test': ['127.0.0.2'],
    })
    const from = await start({ read: 'ro.db.test', write: 'rw.db.test', port })
    expect(await showNodes(from)).toMatchObject([
      { node: '127.0.0.3', role: 'replica', source: 'dns: read' },
      { node: '127.0.0.4', role: 'replica', source: 'dns: read' },
      { node: '127.0.0.2', role: 'primary', source: 'dns: write' },
    ])
    load = await ReadLoad.start(from, 4)
    const reads = load
    const [, successor] = cluster.nodes
    if (successor === undefined) throw new Error('no replica')
    await cluster.primary.stop()
    await cluster.failover(successor)
    const address = `127.0.0.${relays.findIndex(({ to }) => to === cluster.primary.port) + 2}`
    // The DNS comes late: the role is the node's own to tell.
    await waitFor('the new primary', () => from.proxy.snapshot().primary?.id === address)
    await from.with(async (db) => {
      expect((await db.query('UPDATE item SET id = id')).rowCount).toBe(10)
    })
    dns.records['A rw.db.test'] = [address]
    dns.records['A ro.db.test'] = ['127.0.0.3', '127.0.0.4']
    await waitFor('the old primary to leave', () => !idsOf(from).includes('127.0.0.2'))
    const before = reads.reads
    await waitFor('further reads', () => reads.reads > before + 100)
    expect(reads.errors).toEqual([])
    const nodes = await showNodes(from)
    expect(nodes.find(({ node }) => node === address)).toMatchObject({ source: 'dns: read, write' })
  })
})
