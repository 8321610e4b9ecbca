/** What fails on our side says nothing of the nodes: none of them changes its state. */
import { type ChildProcess, spawn } from 'node:child_process'
import dns from 'node:dns'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../src/embedded/free-port.ts'
import { debianBinDir, type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { proxySettings, startProxyWith, type TestProxy } from '../support/proxy.ts'
import { waitFor } from '../support/wait-for.ts'

const binDir = debianBinDir()
const cli = new URL('../../src/cli.ts', import.meta.url).pathname
const systemLookup = dns.lookup

let cluster: EmbeddedCluster

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop', ...(binDir === null ? {} : { binDir }) })
  await cluster.primary.query('CREATE TABLE item AS SELECT 1 AS id', [], 'shop')
  await cluster.catchUp()
})
afterAll(() => cluster?.stop())

type FakeLookup = (done: (error: Error | null, found: unknown) => void) => void

function setLookup(lookup: FakeLookup | null): void {
  const fake = (_host: string, _options: unknown, done: Parameters<FakeLookup>[0]): void =>
    lookup?.(done)
  dns.lookup = lookup === null ? systemLookup : (fake as unknown as typeof dns.lookup)
  syncBuiltinESMExports()
}

const failing =
  (code: string): FakeLookup =>
  (done) =>
    void setImmediate(() => done(Object.assign(new Error(code), { code }), []))

describe.each([
  ['does not know a name any more', failing('ENOTFOUND')],
  ['is overloaded', failing('EAI_AGAIN')],
  ['is silent', () => {}],
] as const)('while the name service %s', (_, lookup) => {
  let proxy: TestProxy

  beforeAll(async () => {
    const settings = JSON.stringify(proxySettings(cluster, { pool: { size: 8 } }))
    proxy = await startProxyWith(
      cluster,
      JSON.parse(
        settings.replaceAll('127.0.0.1:', 'localhost:').replace('localhost:0', '127.0.0.1:0'),
      ),
    )
    setLookup(lookup)
  })
  afterAll(async () => {
    setLookup(null)
    await proxy?.stop()
  })

  it('new connections to all nodes are opened, and no node is out of service', async () => {
    const states = new Set<string>()
    const watch = setInterval(() => {
      for (const { id, health } of proxy.proxy.snapshot().nodes) states.add(`${id} ${health}`)
    }, 5)
    const clients = await Promise.all(Array.from({ length: 6 }, () => proxy.client()))
    await Promise.all(
      clients.map(async (db) => {
        await db.query('BEGIN')
        await db.query('INSERT INTO item VALUES (2)')
        await db.query('SELECT pg_sleep(0.1)')
        await db.query('ROLLBACK')
        await db.query('BEGIN READ ONLY')
        await db.query('TABLE item')
        await db.query('SELECT pg_sleep(0.1)')
        await db.query('COMMIT')
      }),
    )
    // A report of a lost connection makes the monitor dial anew.
    await cluster.replicas[0]?.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'",
    )
    for (const db of clients) await db.query('TABLE item')
    clearInterval(watch)
    for (const db of clients) await db.end()
    const down = [...states].filter((state) => state.endsWith('down') && !state.startsWith('r1'))
    expect(down).toEqual([])
    await proxy.waitForNode('r1', ({ health }) => health === 'up')
  })
})

describe('with few descriptors', () => {
  let directory: string
  let port: number
  let child: ChildProcess
  let log = ''
  const crowd: net.Socket[] = []

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'pgsplit-few-'))
    port = await freePort()
    const path = join(directory, 'pgsplit.json')
    const settings = proxySettings(cluster, {}, port)
    writeFileSync(path, JSON.stringify({ ...settings, log: { level: 'info' } }))
    child = spawn(
      '/bin/sh',
      ['-c', 'ulimit -n 150; exec "$0" "$@"', process.execPath, cli, 'serve', '--config', path],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    child.stderr?.on('data', (chunk) => {
      log += chunk
    })
    await waitFor('the proxy', () => log.includes('"event":"listening"'))
  })
  afterAll(() => {
    for (const socket of crowd) socket.destroy()
    child?.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  })

  const client = () =>
    new pg.Client({
      connectionString: `postgres://postgres:${cluster.password}@127.0.0.1:${port}/shop`,
    })

  it('says at the start that they are', () => {
    expect(log).toContain('"event":"few_descriptors"')
  })

  it('a client that is one too many hears 53300; nodes stay up, and who is in works on', async () => {
    const inside = client()
    inside.on('error', () => {})
    await inside.connect()
    for (let n = 0; n < 200; n++) {
      crowd.push(net.connect(port, '127.0.0.1').on('error', () => {}))
    }
    const late = await waitFor('a refusal', async () => {
      const db = client()
      db.on('error', () => {})
      try {
        await db.connect()
        await db.end()
        return null
      } catch (error) {
        // Others of this crowd may make room by a reset.
        return (error as { code?: string }).code === '53300' ? error : null
      }
    })
    expect(late).toMatchObject({ code: '53300', message: expect.stringContaining('files') })
    for (let n = 0; n < 20; n++) {
      await inside.query('TABLE item')
      await inside.query('UPDATE item SET id = id')
    }
    await inside.end()
    for (const socket of crowd.splice(0)) socket.destroy()
    await waitFor('another client', async () => {
      const db = client()
      db.on('error', () => {})
      return db.connect().then(
        () => db.end().then(() => true),
        () => false,
      )
    })
    expect(log.split('\n').filter((line) => line.includes('"event":"node_down"'))).toEqual([])
  })
})
