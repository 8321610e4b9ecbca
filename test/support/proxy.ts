import pg from 'pg'
import { parseConfig } from '../../src/config/parse-config.ts'
import { createLogger } from '../../src/log.ts'
import { type RunningProxy, startProxy } from '../../src/proxy.ts'
import type { ServerCluster } from '../../src/testing/server-cluster.ts'
import { commitsBetween, transactionsPerNode } from './cluster.ts'
import { RawClient } from './raw-client.ts'
import { waitFor } from './wait-for.ts'

type Section = Readonly<Record<string, unknown>>

/** `PGSPLIT_TRANSACTIONS=optimistic`: every transaction that can begins on a replica. */
const startsEverywhere: Section =
  process.env.PGSPLIT_TRANSACTIONS === 'optimistic'
    ? { transactions: 'optimistic', causalWait: '2s' }
    : {}

/** Sections as a configuration file would have them, over the test's defaults. */
export interface ProxyOverrides {
  readonly monitor?: Section
  readonly routing?: Section
  readonly failover?: Section
  readonly pool?: Section
  readonly auth?: Section
  readonly limits?: Section
  readonly admin?: Section
  readonly databases?: readonly string[]
  /** With it the file names no nodes. */
  readonly discovery?: Section
}

/** Who connects, and to which database; the superuser and the cluster's database when not said. */
export interface Login {
  readonly user?: string
  readonly password?: string
  readonly database?: string
}

/** What a configuration file for this cluster would contain; the nodes are `primary`, `r1`, `r2`. */
export function proxySettings(
  cluster: ServerCluster,
  overrides: ProxyOverrides = {},
  port = 0,
): Record<string, unknown> {
  const { limits, admin, databases, discovery, monitor, routing, ...rest } = overrides
  return {
    listen: [`127.0.0.1:${port}`],
    log: { level: 'silent' },
    ...(limits === undefined ? {} : { limits }),
    ...(admin === undefined ? {} : { admin }),
    clusters: {
      main: {
        ...(databases === undefined ? {} : { databases }),
        ...(discovery === undefined
          ? {
              primary: { url: cluster.primary.url, name: 'primary' },
              replicas: cluster.replicas.map(({ url }, i) => ({ url, name: `r${i + 1}` })),
            }
          : { discovery }),
        // Probes count as transactions where they run; tests that count use another database.
        monitor: {
          database: 'postgres',
          probeInterval: '200ms',
          probeTimeout: '500ms',
          ...(discovery === undefined ? {} : { user: 'postgres', password: cluster.password }),
          ...monitor,
        },
        // A replica that comes back is to get its full share at once.
        routing: { slowStart: '0', failTimeout: '1s', ...startsEverywhere, ...routing },
        ...rest,
      },
    },
  }
}

/** What a client needs to know of a cluster. */
export interface TestedCluster {
  readonly password: string
  readonly database: string
}

/** pgsplit in this process, in front of a test's cluster. */
export class TestProxy<C extends TestedCluster = ServerCluster> {
  readonly proxy: RunningProxy
  readonly cluster: C
  readonly log: readonly string[]

  constructor(proxy: RunningProxy, cluster: C, log: readonly string[]) {
    this.proxy = proxy
    this.cluster = cluster
    this.log = log
  }

  get port(): number {
    const [address] = this.proxy.addresses
    if (address === undefined) throw new Error('the proxy listens nowhere')
    return address.port
  }

  url(login: Login = {}): string {
    const { user = 'postgres', password = this.cluster.password } = login
    const database = login.database ?? this.cluster.database
    return `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${this.port}/${database}`
  }

  /** A connected node-postgres client; its error events land in `errors`. */
  async client(login: Login = {}, config: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: this.url(login),
      connectionTimeoutMillis: 30_000,
      ...config,
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /** Runs `use` with a client of its own. */
  async with<T>(use: (client: pg.Client) => Promise<T>, login: Login = {}): Promise<T> {
    const client = await this.client(login)
    try {
      return await use(client)
    } finally {
      await client.end().catch(() => {})
    }
  }

  /** A client that speaks the protocol message by message. */
  raw(login: Login = {}, parameters: Readonly<Record<string, string>> = {}): Promise<RawClient> {
    const { user = 'postgres', password = this.cluster.password } = login
    const database = login.database ?? this.cluster.database
    return RawClient.logIn({ port: this.port, user, password, database, parameters })
  }

  /** Resolves when routing sees the node in that state. */
  async waitForNode(
    name: string,
    is: (node: ReturnType<RunningProxy['snapshot']>['nodes'][number]) => boolean,
  ): Promise<void> {
    await waitFor(`node ${name} as wanted`, () => {
      const node = this.proxy.snapshot().nodes.find(({ id }) => id === name)
      return node !== undefined && is(node)
    })
  }

  async stop(): Promise<void> {
    await this.proxy.stop({ drain: false })
  }
}

/** Starts pgsplit in front of `cluster` on a free port, and waits until all replicas may serve. */
export async function startTestProxy(
  cluster: ServerCluster,
  overrides: ProxyOverrides = {},
): Promise<TestProxy> {
  return startProxyWith(cluster, proxySettings(cluster, overrides))
}

/** The same with any settings, as a configuration file would have them; a reload asks `again`. */
export async function startProxyWith<C extends TestedCluster>(
  cluster: C,
  settings: Readonly<Record<string, unknown>>,
  again: () => Readonly<Record<string, unknown>> = () => settings,
): Promise<TestProxy<C>> {
  const log: string[] = []
  const logger = createLogger(
    { level: 'info', format: 'json' },
    { write: (line) => void log.push(line) },
  )
  const proxy = await startProxy(parseConfig(settings), logger, () => parseConfig(again()))
  const test = new TestProxy(proxy, cluster, log)
  for (const { id, role } of proxy.snapshot().nodes) {
    if (role === 'replica') await test.waitForNode(id, ({ readable, fresh }) => readable && fresh)
  }
  return test
}

/**
 * Commits per node, asked of the nodes, while `use` works with a pgsplit of its own: its server
 * connections are closed behind it, so that no counters are held back.
 */
export async function commitsDuring(
  cluster: ServerCluster,
  use: (proxy: TestProxy) => Promise<void>,
  overrides: ProxyOverrides = {},
): Promise<Readonly<Record<string, number>>> {
  const before = await transactionsPerNode(cluster)
  const proxy = await startTestProxy(cluster, overrides)
  try {
    await use(proxy)
  } finally {
    await proxy.stop()
  }
  return commitsBetween(before, await transactionsPerNode(cluster))
}
