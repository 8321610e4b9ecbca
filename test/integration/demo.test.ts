import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import type { DemoTarget, StartDemoProxy } from '../../src/demo/demo-proxy.ts'
import { runDemo } from '../../src/demo/run-demo.ts'
import { processesUnder } from '../../src/embedded/processes.ts'
import { waitFor } from '../support/wait-for.ts'

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url))
// a directory of our own, since other tests may start clusters at the same time
const TEMPORARY = mkdtempSync(join(tmpdir(), 'demo-'))
chmodSync(TEMPORARY, 0o755)
process.env.TMPDIR = TEMPORARY
afterAll(() => rmSync(TEMPORARY, { recursive: true, force: true }))

const nothingLeft = () =>
  readdirSync(TEMPORARY).length === 0 && processesUnder(TEMPORARY).length === 0

/** Stands in for pgsplit: passes every byte on to the primary. */
const relay: StartDemoProxy = async ({ primaryUrl }: DemoTarget) => {
  const { hostname, port } = new URL(primaryUrl)
  const sockets = new Set<Socket>()
  let requests = 0
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => {}))
    client.on('data', () => requests++)
    client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    httpUrl: 'http://127.0.0.1:0',
    dashboardUrl: 'http://127.0.0.1:0/#token=x',
    nodes: () => [
      { name: 'primary', role: 'primary', state: 'up', lagMs: null, requests, reads: requests },
    ],
    stop: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function output() {
  let text = ''
  return { write: (part: string) => (text += part), text: () => text }
}

describe('the demo', () => {
  it('fills a cluster, shows a workload and sums it up from the servers', async () => {
    const out = output()
    expect(
      await runDemo({ startProxy: relay, replicas: 1, forMs: 2000, rate: 200, output: out }),
    ).toBe(0)
    const text = out.text()
    expect(text).toMatch(/Try it: {2}psql postgresql:\/\/demo:demo@127\.0\.0\.1:\d+\/demo/)
    expect(text).toMatch(/requests\/s {2}share of reads\nprimary {2}primary {2}up/)
    expect(text).toMatch(/\d+ requests in 2\.\d s: \d+ reads, \d+ writes, \d+ transactions/)
    expect(text).toMatch(/^ {2}primary {3}primary {2}\d{2,}$/m)
    expect(text).toMatch(/^ {2}replica1 {2}replica {4}0$/m)
    expect(text).toContain('share of the reads that replicas served: 0.0 %')
    expect(text).toMatch(/of which stale: 0\nerrors: none\n$/)
    expect(nothingLeft()).toBe(true)
  })

  it('ends with 1 and tells the errors when the workload meets some', async () => {
    const out = output()
    const breaking: StartDemoProxy = async (target) => {
      const proxy = await relay(target)
      await proxy.stop()
      return { ...proxy, stop: async () => {} }
    }
    expect(await runDemo({ startProxy: breaking, replicas: 0, forMs: 1000, output: out })).toBe(1)
    expect(out.text()).toMatch(/error: .*ECONNREFUSED/)
    expect(out.text()).toMatch(/errors:\n {2}\d+ × .*ECONNREFUSED/)
    expect(nothingLeft()).toBe(true)
  })

  it('leaves nothing behind when pgsplit cannot start', async () => {
    const startProxy: StartDemoProxy = async () => {
      throw new Error('the port is in use')
    }
    await expect(runDemo({ startProxy, replicas: 0, output: output() })).rejects.toThrow(
      'the port is in use',
    )
    expect(nothingLeft()).toBe(true)
  })

  it('ends in order when it is interrupted', async () => {
    const stop = new AbortController()
    const out = output()
    const running = runDemo({ startProxy: relay, replicas: 0, signal: stop.signal, output: out })
    await waitFor('the first table', () => out.text().includes('workload:'))
    stop.abort()
    expect(await running).toBe(0)
    expect(out.text()).toMatch(/errors: none\n$/)
    expect(nothingLeft()).toBe(true)
  })
})

describe('pgsplit demo', () => {
  function start(...args: string[]) {
    const child = spawn(process.execPath, [CLI, 'demo', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
    }
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve))
    return { child, exit, text: () => text }
  }

  it('shows pgsplit at work and ends by itself with 0', async () => {
    const { exit, text } = start('--for', '3s', '--listen', '127.0.0.1:0')
    expect(await exit, text()).toBe(0)
    expect(text()).toMatch(/replica2 +replica/)
    expect(text()).toMatch(/curl http:\/\/127\.0\.0\.1:\d+\/metrics/)
    const share = /share of the reads that replicas served: ([\d.]+) %/.exec(text())?.[1]
    expect(Number(share)).toBeGreaterThan(50)
    expect(text()).toMatch(/errors: none\n$/)
    expect(nothingLeft()).toBe(true)
  })

  it.each(['SIGINT', 'SIGKILL'] as const)('leaves nothing behind after %s', async (signal) => {
    const { child, exit, text } = start('--listen', '127.0.0.1:0')
    await waitFor('the workload', () => text().includes('workload:'), 30_000)
    const [directory = ''] = readdirSync(TEMPORARY)
    expect(processesUnder(join(TEMPORARY, directory)).length).toBeGreaterThan(3)
    child.kill(signal)
    expect(await exit).toBe(signal === 'SIGINT' ? 0 : null)
    await waitFor('everything to be gone', () => nothingLeft() && !existsSync(directory))
  })
})
