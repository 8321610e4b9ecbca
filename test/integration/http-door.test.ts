import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { HttpDoor } from '../../src/http/http-door.ts'
import { ClientTls } from '../../src/net/tls-options.ts'
import { makeCertificate, writeCertificate } from '../support/certificates.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { proxySettings, startProxyWith, type TestProxy } from '../support/proxy.ts'
import { waitFor } from '../support/wait-for.ts'
import { SampleHttpSource } from '../unit/http/sample-http-source.ts'

const operatorToken = 'operator-token-0123456789'
const readerToken = 'reader-token-0123456789'

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query('CREATE TABLE journal (n int)', [], 'shop')
  await cluster.primary.query("CREATE ROLE watcher LOGIN PASSWORD 'watches'", [], 'shop')
  await cluster.catchUp()
}, 120_000)

afterEach(async () => {
  await proxy?.stop()
})

afterAll(async () => {
  await cluster?.stop()
})

const settings = (http: Record<string, unknown> = {}) => ({
  ...proxySettings(cluster),
  admin: { users: ['postgres'], readers: ['watcher'] },
  http: {
    listen: '127.0.0.1:0',
    tokens: [
      { name: 'deploy', token: operatorToken, role: 'operator' },
      { name: 'grafana', token: readerToken },
    ],
    ...http,
  },
})

async function start(http: Record<string, unknown> = {}): Promise<void> {
  proxy = await startProxyWith(cluster, settings(http))
}

function port(): number {
  const [address] = proxy.proxy.httpAddresses
  if (address === undefined) throw new Error('there is no HTTP door')
  return address.port
}

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(`http://127.0.0.1:${port()}${path}`, { headers })

/** Rows of a command in the admin database. */
const admin = (command: string) =>
  proxy.with(async (client) => (await client.query<Record<string, string>>(command)).rows, {
    database: 'pgsplit',
  })

const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
})

const post = (path: string, body: unknown, token = operatorToken) =>
  fetch(`http://127.0.0.1:${port()}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

const scrape = async (headers: Record<string, string> = {}) =>
  (await get('/metrics', headers)).text()

/** The value of one sample; NaN: there is none. */
function sample(text: string, name: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1) ?? Number.NaN)
}

const catalogRead = () =>
  waitFor('the catalog to be read', async () => {
    return sample(await scrape(), 'pgsplit_catalog_age_seconds{cluster="main"}') < 30
  })

/** As `start`; what is asked first is judged by the catalog already, and nothing was asked so far. */
async function startKnowing(): Promise<void> {
  await start()
  await proxy.with(() => catalogRead())
}

/** The sum over all samples of this name that have these labels. */
function sumOf(text: string, name: string, ...labels: readonly string[]): number {
  const lines = text.split('\n').filter((one) => one.startsWith(`${name}{`))
  const those = lines.filter((one) => labels.every((label) => one.includes(label)))
  return those.reduce((sum, one) => sum + Number(one.slice(one.lastIndexOf(' '))), 0)
}

describe('the HTTP door of a running pgsplit', () => {
  it('is closed unless it is asked for', async () => {
    proxy = await startProxyWith(cluster, proxySettings(cluster))
    expect(proxy.proxy.httpAddresses).toEqual([])
  })

  it('lets administrators in by their roles of the cluster, each as far as it may', async () => {
    await start()
    const nodes = await get('/api/v1/nodes', basic('postgres', cluster.password))
    expect(nodes.status).toBe(200)
    const { rows } = (await nodes.json()) as { rows: { node: string; role: string }[] }
    expect(rows.map(({ node, role }) => `${node} ${role}`)).toEqual([
      'primary primary',
      'r1 replica',
      'r2 replica',
    ])
    expect((await get('/api/v1/nodes', basic('watcher', 'watches'))).status).toBe(200)
    expect((await get('/api/v1/nodes', basic('watcher', cluster.password))).status).toBe(401)
    expect((await get('/api/v1/nodes')).status).toBe(401)
    // The same roles in the admin database.
    await proxy.with(
      async (client) => {
        expect((await client.query('SHOW NODES')).rows).toHaveLength(3)
        await expect(client.query('DRAIN r1')).rejects.toMatchObject({ code: '42501' })
      },
      { user: 'watcher', password: 'watches', database: 'pgsplit' },
    )
  })

  it('does what an operator asks, and says in the log who asked', async () => {
    await start()
    const drained = await post('/api/v1/drain', { node: 'r1' })
    expect(drained.status).toBe(200)
    await proxy.waitForNode('r1', ({ health }) => health === 'draining')
    expect(sample(await scrape(), 'pgsplit_node_up{cluster="main",node="r1"}')).toBe(0)
    expect((await post('/api/v1/undrain', { node: 'r1' }, readerToken)).status).toBe(403)
    expect((await post('/api/v1/drain', { node: 'r9' })).status).toBe(404)
    await post('/api/v1/undrain', { node: 'r1' })
    await proxy.waitForNode('r1', ({ health }) => health === 'up')
    const line = proxy.log.find((one) => one.includes('"operator_action"')) ?? '{}'
    expect(JSON.parse(line)).toMatchObject({ who: 'deploy', action: 'drain', address: '127.0.0.1' })
    expect(proxy.log.join()).not.toContain(operatorToken)
  })

  it('is not ready as soon as pgsplit drains, and stays open to say so', async () => {
    await start()
    expect((await get('/readyz')).status).toBe(200)
    const client = await proxy.client()
    await client.query('BEGIN')
    await client.query('INSERT INTO journal VALUES (1)')
    const stopped = proxy.proxy.stop({ drain: true })
    const draining = await get('/readyz')
    expect(draining.status).toBe(503)
    expect(await draining.json()).toMatchObject({ reasons: ['pgsplit is draining'] })
    expect((await get('/healthz')).status).toBe(200)
    expect(sample(await scrape(), 'pgsplit_draining')).toBe(1)
    await client.query('COMMIT')
    await stopped
    await expect(get('/healthz')).rejects.toThrow()
  })

  it('is not ready while a cluster has no node that may serve', async () => {
    await start()
    for (const node of ['primary', 'r1']) await post('/api/v1/ban', { node })
    // A replica is left: reads are served.
    expect((await get('/readyz')).status).toBe(200)
    await post('/api/v1/ban', { node: 'r2' })
    const answer = await waitFor('it to be told', async () => {
      const ready = await get('/readyz')
      return ready.status === 503 ? ready : null
    })
    expect(JSON.stringify(await answer.json())).toContain('cluster main has no primary')
  })

  it('counts requests by node as the nodes count them', async () => {
    // No other test reads it: what backends have counted is told late.
    await cluster.primary.query('CREATE TABLE counted (n int)', [], 'shop')
    await cluster.catchUp()
    await startKnowing()
    const scans = async () => {
      const counts: Record<string, number> = {}
      for (const node of [cluster.primary, ...cluster.replicas]) {
        const [row] = await node.query(
          `SELECT coalesce(seq_scan, 0) AS n FROM pg_stat_user_tables WHERE relname = 'counted'`,
          [],
          'shop',
        )
        counts[node.name] = Number(row?.n)
      }
      return counts
    }
    const before = await scans()
    await Promise.all(
      Array.from({ length: 4 }, () =>
        proxy.with(async (client) => {
          for (let i = 0; i < 50; i++) await client.query('SELECT n FROM counted')
        }),
      ),
    )
    await proxy.with(async (client) => {
      for (let i = 0; i < 10; i++) await client.query('INSERT INTO counted VALUES (77)')
      await client.query('INSERT INTO nowhere VALUES (1)').catch(() => {})
    })
    const text = await scrape()
    const count = (name: string, node: string) =>
      sample(text, `pgsplit_${name}{cluster="main",node="${node}"}`)
    // What the nodes' backends have counted is told when they end.
    await proxy.stop()
    const names = [cluster.primary, ...cluster.replicas].map(({ name }, i) => {
      return { name, node: i === 0 ? 'primary' : `r${i}` }
    })
    const excess = await waitFor('the nodes to have told', async () => {
      const after = await scans()
      const more = names.map(({ name, node }) => {
        return (after[name] ?? 0) - (before[name] ?? 0) - count('reads_total', node)
      })
      return more.every((one) => one >= 0) ? { sum: more.reduce((sum, one) => sum + one) } : null
    })
    // On a busy machine one may have been run again elsewhere, and counts where it was answered.
    const retries = sample(text, 'pgsplit_retries_total{cluster="main"}')
    expect(excess.sum).toBeLessThanOrEqual(retries)
    expect(count('reads_total', 'r1') + count('reads_total', 'r2')).toBeGreaterThan(0)
    expect(names.reduce((sum, { node }) => sum + count('reads_total', node), 0)).toBe(200)
    const requests = (node: string) => sumOf(text, 'pgsplit_requests_total', `node="${node}"`)
    expect(requests('primary') - count('reads_total', 'primary')).toBe(11)
    expect(sumOf(text, 'pgsplit_requests_total', 'reason="write"')).toBe(11)
    // In both parts of the latency, too.
    for (const part of ['waiting', 'serving']) {
      const name = `pgsplit_request_${part}_seconds_count`
      expect(sumOf(text, name, 'kind="write"')).toBe(11)
      expect(sumOf(text, name, 'kind="read"')).toBe(200)
    }
    expect(count('request_errors_total', 'primary')).toBe(1)
    const written = 'SELECT count(*) AS n FROM counted WHERE n = 77'
    const rows = await cluster.primary.query(written, [], 'shop')
    expect(Number(rows[0]?.n)).toBe(10)
  })

  it('counts why requests went where they went, their rows, and stale reads avoided', async () => {
    await startKnowing()
    await proxy.with(async (client) => {
      await client.query('SELECT n FROM generate_series(1, 1000) AS n')
      await client.query('SELECT set_config($1, $2, true)', ['search_path', 'public'])
      await client.query('BEGIN')
      await client.query('SELECT count(*) FROM journal')
      await client.query('COMMIT')
      await client.query('/* pgsplit: primary */ SELECT 1')
      await client.query('CREATE TEMP TABLE mine (n int)')
      await client.query('SELECT n FROM mine')
    })
    const byIn = (text: string, reason: string) =>
      sumOf(text, 'pgsplit_requests_total', `reason="${reason}"`)
    let tries = 0
    // Behind that DDL it may be on the primary for a moment.
    const text = await waitFor('a READ ONLY transaction on a replica', async () => {
      tries++
      await proxy.with(async (client) => {
        await client.query('BEGIN READ ONLY')
        await client.query('SELECT count(*) FROM journal')
        await client.query('COMMIT')
      })
      const now = await scrape()
      return byIn(now, 'read_only_transaction') > 0 ? now : null
    })
    const by = (reason: string) => byIn(text, reason)
    expect(by('read')).toBe(1)
    expect(by('transaction')).toBeGreaterThanOrEqual(2)
    expect(by('read_only_transaction')).toBeGreaterThanOrEqual(2)
    expect(by('pinned')).toBe(1)
    expect(sumOf(text, 'pgsplit_rows_total')).toBe(1000 + 3 + tries)
    await admin('SHOW ROUTES').then((rows) => {
      const shown = rows.reduce((sum, { requests }) => sum + Number(requests), 0)
      expect(shown).toBe(sumOf(text, 'pgsplit_requests_total'))
    })
    await proxy.with(async (client) => {
      await Promise.all(cluster.replicas.map((replica) => replica.pauseReplay()))
      try {
        await client.query('INSERT INTO journal VALUES (3)')
        await client.query('SELECT n FROM journal')
      } finally {
        await Promise.all(cluster.replicas.map((replica) => replica.resumeReplay()))
      }
    })
    const avoided = (of: string) => sumOf(of, 'pgsplit_stale_reads_avoided_total')
    expect(avoided(await scrape()) - avoided(text)).toBe(1)
    const latencies = await admin('SHOW LATENCIES')
    for (const row of latencies) {
      expect(Number(row.serve_p50_us)).toBeGreaterThan(0)
      expect(Number(row.serve_p50_us)).toBeLessThanOrEqual(Number(row.serve_p999_us))
    }
  })

  it('tells by database what its clients have had', async () => {
    await start()
    const run = (database: string, text: string) =>
      proxy.with((client) => client.query(text), { database })
    await run('shop', 'INSERT INTO journal VALUES (1)')
    await run('shop', 'INSERT INTO journal VALUES (2)')
    await run('postgres', 'CREATE TEMPORARY TABLE away (n int)')
    const stats = await admin('SHOW STATS')
    const writes = Object.fromEntries(stats.map(({ database, writes }) => [database, writes]))
    expect(writes).toEqual({ shop: '2', postgres: '1' })
    const bytes = stats.map(({ total_received, total_sent }) =>
      [total_received, total_sent].map(Number),
    )
    for (const one of bytes.flat()) expect(one).toBeGreaterThan(0)
  })

  it('counts clients, pins and log-ins that failed', async () => {
    await start()
    const pinned = await proxy.client()
    await pinned.query('CREATE TEMP TABLE mine (n int)')
    await proxy.client({ password: 'wrong' }).catch(() => {})
    await proxy.client({ user: 'nobody', password: 'x' }).catch(() => {})
    const text = await scrape()
    expect(sample(text, 'pgsplit_clients{cluster="main",state="active"}')).toBe(1)
    expect(sample(text, 'pgsplit_pinned_clients{cluster="main",reason="temp"}')).toBe(1)
    expect(sample(text, 'pgsplit_login_failures_total{cause="password"}')).toBe(2)
    expect(sample(text, 'pgsplit_logins_total')).toBe(1)
    expect(sample(text, 'pgsplit_primary_elections_total{cluster="main"}')).toBe(1)
    await catalogRead()
    expect(sample(text, 'pgsplit_replica_lag_seconds{cluster="main",node="r1"}')).toBeGreaterThan(
      -1,
    )
    await pinned.end()
  })

  it('writes what promtool finds no fault with (needs the package prometheus)', async (context) => {
    await start()
    await proxy.with((client) => client.query('SELECT n FROM journal'))
    for (const accept of ['text/plain', 'application/openmetrics-text']) {
      const text = await scrape({ accept })
      const said = await promtool(['check', 'metrics'], text)
      if (said === null) {
        context.skip('promtool is not installed')
        return
      }
      // It reads Prometheus' own text only.
      if (accept === 'text/plain') expect(said).toBe('')
    }
  })

  it('asks as the configuration says after a reload', async () => {
    let http: Record<string, unknown> = {}
    proxy = await startProxyWith(cluster, settings(), () => settings(http))
    expect((await get('/metrics')).status).toBe(200)
    http = { listen: `127.0.0.1:${port()}`, metrics: 'readers', tokens: [] }
    proxy.proxy.reload('operator')
    expect((await get('/metrics')).status).toBe(401)
    const answer = await get('/api/v1/nodes', { authorization: `Bearer ${operatorToken}` })
    expect(answer.status).toBe(401)
    expect((await get('/metrics', basic('watcher', 'watches'))).status).toBe(200)
  })
})

/** What it says, '' when it has nothing to say; null: it is not installed. */
function promtool(args: readonly string[], input: string): Promise<string | null> {
  return new Promise((resolve) => {
    const child = execFile('promtool', [...args], (error, out, err) => {
      resolve((error as NodeJS.ErrnoException | null)?.code === 'ENOENT' ? null : out + err)
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

describe('TLS of the HTTP door', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pgsplit-http-'))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  it('is HTTPS only, asks for certificates, and takes the name of one for a log-in', async () => {
    const authority = makeCertificate({ commonName: 'authority', isAuthority: true })
    const issued = (commonName: string) => makeCertificate({ commonName, issuer: authority })
    const own = makeCertificate({ commonName: 'door', issuer: authority, dnsNames: ['localhost'] })
    const files = writeCertificate(directory, 'door', own)
    const { certFile: ca } = writeCertificate(directory, 'ca', authority)
    const tls = { mode: 'verify-full', cert: files.certFile, key: files.keyFile, ca }
    await start({ tls })
    const asks = (path: string, who: ReturnType<typeof makeCertificate> | null) =>
      new Promise<{ status: number; hsts: string }>((resolve, reject) => {
        const { pem, keyPem } = who ?? { pem: undefined, keyPem: undefined }
        const options = { host: 'localhost', port: port(), path, ca: authority.pem, family: 4 }
        request({ ...options, cert: pem, key: keyPem, agent: false }, (response) => {
          response.resume()
          const hsts = String(response.headers['strict-transport-security'])
          resolve({ status: response.statusCode ?? 0, hsts })
        })
          .on('error', reject)
          .end()
      })
    expect(await asks('/api/v1/nodes', issued('postgres'))).toMatchObject({ status: 200 })
    expect((await asks('/healthz', issued('anybody'))).hsts).toContain('max-age')
    expect((await asks('/api/v1/nodes', issued('anybody'))).status).toBe(401)
    await expect(asks('/healthz', null)).rejects.toThrow()
    await expect(asks('/healthz', makeCertificate({ commonName: 'postgres' }))).rejects.toThrow()
    await expect(get('/healthz')).rejects.toThrow()
  })
})

describe('the bounds of the HTTP door', () => {
  const source = new SampleHttpSource()
  let door: HttpDoor
  const sockets: Socket[] = []

  async function open(maxConnections: number, patienceMs: number): Promise<number> {
    const tls = new ClientTls({ mode: 'disable' })
    const listen = [{ host: '127.0.0.1', port: 0 }]
    door = await HttpDoor.open({ listen, maxConnections, tls, source, patienceMs })
    return door.addresses[0]?.port ?? 0
  }

  async function dial(at: number): Promise<Socket> {
    const socket = connect(at, '127.0.0.1')
    socket.on('error', () => {})
    sockets.push(socket)
    await once(socket, 'connect')
    return socket
  }

  /** All that comes until it is closed. */
  async function heard(socket: Socket): Promise<string> {
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    if (!socket.closed) await once(socket, 'close')
    return Buffer.concat(chunks).toString('latin1')
  }

  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy()
    door.close()
  })

  it('close the quiet for one too many, so that a thousand of them keep nobody out', async () => {
    const at = await open(20, 60_000)
    const quiet = await Promise.all(Array.from({ length: 1000 }, () => dial(at)))
    const answer = await fetch(`http://127.0.0.1:${at}/healthz`)
    expect(await answer.text()).toBe('ok\n')
    await waitFor('all but 20 to be closed', () => {
      return quiet.filter(({ closed }) => !closed).length <= 20
    })
  })

  it('end who says nothing, who says it slowly, and who says too much', async () => {
    const at = await open(20, 200)
    const [silent, slow, long] = await Promise.all([dial(at), dial(at), dial(at)])
    slow.write('GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ')
    long.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`)
    const said = await Promise.all([heard(silent), heard(slow), heard(long)])
    expect(said[1]).toContain('408')
    expect(said[2]).toContain('431')
    const body = await dial(at)
    body.write('POST /api/v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{')
    expect(await heard(body)).not.toContain('200')
    expect(source.done).toEqual([])
  })

  it('are told as a mistake of the configuration when the address is taken', async () => {
    const at = await open(20, 60_000)
    const tls = new ClientTls({ mode: 'disable' })
    const listen = [{ host: '127.0.0.1', port: at }]
    const again = HttpDoor.open({ listen, maxConnections: 20, tls, source })
    await expect(again).rejects.toMatchObject({ path: 'http.listen' })
  })
})
