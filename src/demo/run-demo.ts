import { setTimeout as sleep } from 'node:timers/promises'
import type { EmbeddedCluster } from '../embedded/embedded-cluster.ts'
import { freePort, isFree } from '../embedded/free-port.ts'
import { startEmbedded } from '../embedded/start-embedded.ts'
import { waitUntil } from '../embedded/wait-until.ts'
import type { DemoProxy, StartDemoProxy } from './demo-proxy.ts'
import { demoSummary, demoTable, type Sample, type Totals } from './demo-table.ts'
import {
  ACCOUNTS,
  DEMO_DATABASE,
  DEMO_PASSWORD,
  DEMO_USER,
  fillSampleData,
  ORDERS,
} from './sample-data.ts'
import { type Output, Screen } from './screen.ts'
import { Workload } from './workload.ts'

export interface RunDemoOptions {
  readonly startProxy: StartDemoProxy
  readonly replicas: number
  /** Ends by itself after this time under load, in milliseconds; undefined = never. */
  readonly forMs?: number | undefined
  /** Default: 127.0.0.1:6432, or any free port when somebody listens there. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined
  /** Ends the demo: Ctrl-C. */
  readonly signal?: AbortSignal
  /** Requests per second. Default 400. */
  readonly rate?: number
  readonly binDir?: string | undefined
  /** Default: standard output. */
  readonly output?: Output
}

const CLIENTS = 16
const RATE = 400
const PREFERRED_PORT = 6432
const PREFERRED_HTTP_PORT = 9187
const SETTLE_TIMEOUT_MS = 12_000

/**
 * Starts a primary, replicas and pgsplit on this machine and shows them at work until `signal` or
 * `forMs`. Gives the exit code: 0, or 1 when the workload met an error. Rejects when something
 * can't be started. Nothing is left behind in any case.
 */
export async function runDemo(options: RunDemoOptions): Promise<number> {
  const screen = new Screen(options.output ?? process.stdout)
  const startedAt = performance.now()
  const step = (text: string) =>
    screen.print(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${text}`)
  const cluster = await startEmbedded({
    replicas: options.replicas,
    database: DEMO_DATABASE,
    onProgress: step,
    ...(options.binDir === undefined ? {} : { binDir: options.binDir }),
  })
  let proxy: DemoProxy | undefined
  let workload: Workload | undefined
  try {
    step(`filling in ${ACCOUNTS} accounts and ${ORDERS} orders`)
    await fillSampleData(cluster.primary)
    await cluster.catchUp()
    if (options.signal?.aborted === true) return 0
    proxy = await options.startProxy({
      primaryUrl: cluster.primary.urlFor('postgres'),
      replicaUrls: cluster.replicas.map((replica) => replica.urlFor('postgres')),
      listen: options.listen ?? { host: '127.0.0.1', port: await portNear(PREFERRED_PORT) },
      httpListen: { host: '127.0.0.1', port: await portNear(PREFERRED_HTTP_PORT) },
    })
    step(`pgsplit listens on ${proxy.host}:${proxy.port}`)
    screen.print('', ...invitation(proxy), '')
    workload = new Workload({
      url: clientUrl(proxy),
      clients: CLIENTS,
      rate: options.rate ?? RATE,
      onError: (text) => screen.print(`error: ${text}`),
    })
    const before = await commitsPerNode(cluster)
    const seconds = await showLoad(options, screen, workload, proxy)
    await workload.stop()
    const stopping = proxy
    proxy = undefined
    await stopping.stop()
    const after = await settledCommits(cluster)
    screen.print('', ...demoSummary(totals(workload, seconds, cluster, before, after)))
    return workload.errorCount === 0 ? 0 : 1
  } finally {
    await workload?.stop()
    await proxy?.stop().catch(() => {})
    await cluster.stop()
  }
}

/** Shows the workload once a second until the end; gives its length in seconds. */
async function showLoad(
  { signal, forMs }: RunDemoOptions,
  screen: Screen,
  workload: Workload,
  proxy: DemoProxy,
): Promise<number> {
  const start = performance.now()
  const deadline = start + (forMs ?? Number.POSITIVE_INFINITY)
  workload.start()
  let last = sample(workload, proxy)
  while (signal?.aborted !== true && performance.now() < deadline) {
    const wait = Math.min(1000, deadline - performance.now())
    await sleep(wait, undefined, signal === undefined ? {} : { signal }).catch(() => {})
    const now = sample(workload, proxy)
    // a last part of a second has no rates worth showing
    if (now.atMs - last.atMs < 500) break
    screen.show(demoTable(last, now))
    last = now
  }
  return (performance.now() - start) / 1000
}

function totals(
  workload: Workload,
  seconds: number,
  cluster: EmbeddedCluster,
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): Totals {
  const { reads, writes, transactions, readBack, errors } = workload
  const nodes = cluster.nodes.map(({ name }) => ({
    name,
    role: name === cluster.primary.name ? 'primary' : 'replica',
    commits: (after.get(name) ?? 0) - (before.get(name) ?? 0),
  }))
  return { seconds, reads, writes, transactions, readBack, errors, nodes }
}

function sample(workload: Workload, proxy: DemoProxy): Sample {
  return {
    atMs: performance.now(),
    nodes: proxy.nodes(),
    reads: workload.reads,
    writes: workload.writes,
    transactions: workload.transactions,
    errors: workload.errorCount,
  }
}

function invitation(proxy: DemoProxy): string[] {
  return [
    `Try it:  psql ${clientUrl(proxy)}`,
    '         SELECT count(*) FROM orders;',
    '         SHOW pgsplit.last_route;',
    `Look:    ${proxy.dashboardUrl}`,
    `Scrape:  curl ${proxy.httpUrl}/metrics`,
    'Ctrl-C ends it and removes everything.',
  ]
}

function clientUrl({ host, port }: DemoProxy): string {
  const named = host.includes(':') ? `[${host}]` : host
  return `postgresql://${DEMO_USER}:${DEMO_PASSWORD}@${named}:${port}/${DEMO_DATABASE}`
}

/** That one if nobody has it, else any. */
async function portNear(preferred: number): Promise<number> {
  return (await isFree(preferred)) ? preferred : freePort()
}

const COMMITS = 'SELECT xact_commit::int AS commits FROM pg_stat_database WHERE datname = $1'
const SESSIONS = 'SELECT 1 FROM pg_stat_activity WHERE datname = $1 AND backend_type = $2 LIMIT 1'

/** Committed transactions in the demo's database, by node, as the servers count them. */
async function commitsPerNode(cluster: EmbeddedCluster): Promise<ReadonlyMap<string, number>> {
  const commits = new Map<string, number>()
  for (const node of cluster.nodes) {
    const [row] = await node.query(COMMITS, [DEMO_DATABASE])
    commits.set(node.name, Number(row?.commits ?? 0))
  }
  return commits
}

/** The same when every session is gone: sessions report their counters at the latest then. */
async function settledCommits(cluster: EmbeddedCluster): Promise<ReadonlyMap<string, number>> {
  await waitUntil(
    'the sessions of the demo to end',
    async () => {
      const open = cluster.nodes.map((node) =>
        node.query(SESSIONS, [DEMO_DATABASE, 'client backend']),
      )
      return (await Promise.all(open)).every((rows) => rows.length === 0)
    },
    SETTLE_TIMEOUT_MS,
  ).catch(() => {})
  return commitsPerNode(cluster)
}
