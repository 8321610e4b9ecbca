import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../src/embedded/free-port.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { proxySettings, startProxyWith, type TestProxy } from '../support/proxy.ts'
import { ReadLoad } from '../support/read-load.ts'
import { waitFor } from '../support/wait-for.ts'

const deploy = (file: string) => fileURLToPath(new URL(`../../deploy/${file}`, import.meta.url))
const hasPrometheus = ['promtool', 'prometheus'].every(
  (program) => spawnSync(program, ['--version']).status === 0,
)

interface Panel {
  readonly id: number
  readonly title: string
  readonly type: string
  readonly gridPos: {
    readonly x: number
    readonly y: number
    readonly w: number
    readonly h: number
  }
  readonly targets: readonly { readonly expr: string }[]
}

const dashboard = JSON.parse(readFileSync(deploy('grafana/pgsplit.json'), 'utf8')) as {
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string }[] }
}

describe('the Grafana dashboard', () => {
  it('has panels of their own ids that do not lie on each other, and no variable that it lacks', () => {
    const { panels, templating } = dashboard
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const taken = new Set<string>()
    for (const { gridPos, title } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`), title).toBe(false)
          taken.add(`${x} ${y}`)
        }
      }
    }
    const known = new Set([...templating.list.map(({ name }) => name), '__rate_interval'])
    const used = JSON.stringify(dashboard).matchAll(/\$\{?([a-z_]+)\}?/g)
    for (const [, name = ''] of used) if (name !== '__all') expect([...known]).toContain(name)
  })
})

describe.skipIf(!hasPrometheus)('a real Prometheus (needs the package prometheus)', () => {
  let cluster: ServerCluster
  let proxy: TestProxy
  let directory: string
  let prometheus: ChildProcess
  let port: number
  let httpPort: number
  let load: ReadLoad

  const settings = () => ({
    ...proxySettings(cluster, { failover: { holdWrites: '60s' } }),
    http: { listen: `127.0.0.1:${httpPort}` },
  })

  beforeAll(async () => {
    cluster = await startServers({ database: 'shop' })
    await cluster.primary.query('CREATE TABLE journal (n int)', [], 'shop')
    await cluster.catchUp()
    ;[port, httpPort] = [await freePort(), await freePort()]
    proxy = await startProxyWith(cluster, settings())
    directory = await mkdtemp(join(tmpdir(), 'pgsplit-prometheus-'))
    await writeFile(join(directory, 'alerts.yml'), hasty(deploy('prometheus/alerts.yml')))
    const config = readFileSync(deploy('prometheus/prometheus.yml'), 'utf8')
      .replaceAll('15s', '200ms')
      .replace('127.0.0.1:9187', `127.0.0.1:${httpPort}`)
    await writeFile(join(directory, 'prometheus.yml'), config)
    prometheus = spawn(
      'prometheus',
      [
        `--config.file=${join(directory, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=error',
      ],
      { stdio: 'ignore' },
    )
    load = await ReadLoad.start(proxy, 4, 'SELECT count(*) FROM journal')
  }, 120_000)

  afterAll(async () => {
    await load?.stop()
    await proxy?.stop()
    if (prometheus !== undefined && prometheus.exitCode === null) {
      prometheus.kill()
      await once(prometheus, 'exit')
    }
    await cluster?.stop()
    if (directory !== undefined) await rm(directory, { recursive: true, force: true })
  })

  /** The rules without their patience: the same causes in seconds. */
  function hasty(file: string): string {
    return readFileSync(file, 'utf8')
      .replaceAll(/for: \d+[ms]/g, 'for: 0s')
      .replaceAll(/\[\d+m\]/g, '[2s]')
      .replace('pgsplit_replica_lag_seconds > 10', 'pgsplit_replica_lag_seconds > 0.5')
  }

  async function ask<T>(path: string): Promise<T> {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)
    return ((await answer.json()) as { data: T }).data
  }

  async function firing(): Promise<string[]> {
    const { alerts } = await ask<{ alerts: { labels: { alertname: string }; state: string }[] }>(
      'alerts',
    )
    return alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname)
  }

  const fires = (name: string) =>
    waitFor(`${name} to fire`, async () => (await firing()).includes(name))
  const clears = (name: string) =>
    waitFor(`${name} to clear`, async () => !(await firing()).includes(name))

  it('finds the configuration and the rules right, and each alert fires and clears in their test', async () => {
    const run = promisify(execFile)
    await run('promtool', ['check', 'config', deploy('prometheus/prometheus.yml')])
    await run('promtool', ['check', 'rules', deploy('prometheus/alerts.yml')])
    await run('promtool', ['test', 'rules', deploy('prometheus/alerts.test.yml')])
  })

  it('has data for each query of the dashboard', async () => {
    const pinned = await proxy.client()
    await pinned.query('CREATE TEMP TABLE mine (n int)')
    await pinned.query('INSERT INTO journal VALUES (1)')
    const exprs = dashboard.panels.flatMap(({ title, targets }) =>
      targets.map(({ expr }) => ({ title, expr })),
    )
    expect(exprs.length).toBeGreaterThan(30)
    for (const { title, expr } of exprs) {
      const query = expr
        .replaceAll(/\$(job|instance|cluster)/g, '.*')
        .replaceAll('$__rate_interval', '2s')
      await waitFor(`data for "${title}": ${query}`, async () => {
        // It is counted, not logged: each shows as a rate for two seconds.
        if (query.includes('login_failures')) {
          await proxy.client({ password: 'wrong' }).catch(() => {})
        }
        const { result } = await ask<{ result: { value: [number, string] }[] }>(
          `query?query=${encodeURIComponent(query)}`,
        )
        return result.some(({ value: [, text] }) => !Number.isNaN(Number(text)))
      })
    }
    await pinned.end()
  })

  it('tells of causes as they come and go', async () => {
    await clears('PgsplitLoginsFail')
    expect(await firing()).toEqual([])

    const [r1] = cluster.replicas
    if (r1 === undefined) throw new Error('there is no replica')
    await r1.stop()
    await fires('PgsplitNodeDown')
    await r1.start()
    await clears('PgsplitNodeDown')

    await Promise.all(cluster.replicas.map((replica) => replica.pauseReplay()))
    await proxy.with((client) => client.query('INSERT INTO journal VALUES (2)'))
    await fires('PgsplitReplicaLags')
    await Promise.all(cluster.replicas.map((replica) => replica.resumeReplay()))
    await clears('PgsplitReplicaLags')

    await proxy.with((admin) => admin.query('PAUSE'), { database: 'pgsplit' })
    await fires('PgsplitPaused')
    await proxy.with((admin) => admin.query('RESUME'), { database: 'pgsplit' })
    await clears('PgsplitPaused')

    await cluster.primary.stop()
    await fires('PgsplitNoPrimary')
    const writer = await proxy.client()
    const write = writer.query('INSERT INTO journal VALUES (3)')
    await fires('PgsplitRequestsHeld')
    await cluster.primary.start()
    await write
    await clears('PgsplitRequestsHeld')
    await clears('PgsplitNoPrimary')
    await writer.end()

    await load.stop()
    await proxy.stop()
    await fires('PgsplitDown')
    proxy = await startProxyWith(cluster, settings())
    await clears('PgsplitDown')
  })
})
