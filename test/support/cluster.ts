import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import pg from 'pg'
import type { EmbeddedCluster } from '../../src/embedded/embedded-cluster.ts'
import { type EmbeddedOptions, startEmbedded } from '../../src/embedded/start-embedded.ts'
import { ContainerCluster } from '../../src/testing/container-cluster.ts'
import type { ServerCluster } from '../../src/testing/server-cluster.ts'
import { waitFor } from './wait-for.ts'

export { EmbeddedCluster } from '../../src/embedded/embedded-cluster.ts'
export { EmbeddedNode } from '../../src/embedded/embedded-node.ts'
export type { ServerCluster, ServerNode } from '../../src/testing/server-cluster.ts'
export { waitFor } from './wait-for.ts'

const DEBIAN = '/usr/lib/postgresql/15/bin'

/**
 * Debian's PostgreSQL 15 with the contrib extensions, or null. Tests that need it are skipped
 * visibly: `describe.skipIf(debianBinDir() === null)('… (needs /usr/lib/postgresql/15)', …)`.
 */
export function debianBinDir(): string | null {
  return existsSync(`${DEBIAN}/postgres`) ? DEBIAN : null
}

/**
 * A primary with two replicas for a test; `stop()` it in `afterAll`. The binaries are those of
 * `binDir`, else of the directory in PGSPLIT_TEST_BIN_DIR, else the embedded ones.
 */
export function startCluster(options: EmbeddedOptions = {}): Promise<EmbeddedCluster> {
  const binDir = options.binDir ?? process.env.PGSPLIT_TEST_BIN_DIR
  return startEmbedded({ ...options, ...(binDir === undefined ? {} : { binDir }) })
}

/** What the servers of `startServers` run in: PGSPLIT_TEST_PROVIDER, `embedded` when not set. */
export const testProvider = process.env.PGSPLIT_TEST_PROVIDER ?? 'embedded'

/**
 * The same for tests that know no more of their servers than what both providers can do: processes
 * here, or containers of PGSPLIT_TEST_IMAGE, which has contrib, too. `npm run test:containers`.
 */
export async function startServers(
  options: Pick<EmbeddedOptions, 'replicas' | 'database' | 'password' | 'settings' | 'binDir'> = {},
): Promise<ServerCluster> {
  if (testProvider === 'embedded') return startCluster(options)
  if (testProvider !== 'containers') {
    throw new Error(`PGSPLIT_TEST_PROVIDER is ${testProvider}; say containers or embedded`)
  }
  return ContainerCluster.start({
    image: process.env.PGSPLIT_TEST_IMAGE ?? 'postgres:17',
    replicas: options.replicas ?? 2,
    database: options.database ?? 'postgres',
    username: 'postgres',
    password: options.password ?? randomBytes(18).toString('base64url'),
    settings: options.settings ?? {},
    hasSlots: true,
    startTimeoutMs: 60_000,
  })
}

/** Loads `test/corpus/schema.sql` into a database of the cluster and waits for the replicas. */
export async function loadCorpusSchema(
  cluster: ServerCluster,
  database = cluster.database,
): Promise<void> {
  const file = new URL('../corpus/schema.sql', import.meta.url)
  // its foreign server was made to point back at a server without passwords on this port
  const text = readFileSync(file, 'utf8')
    .replaceAll('54701', String(cluster.primary.port))
    .replaceAll("dbname 'postgres'", `dbname '${database}'`)
    .replaceAll("(user 'postgres')", `(user 'postgres', password '${cluster.password}')`)
  await sql(cluster.primary.urlFor(database), text)
  await cluster.catchUp()
}

/** Runs a text of one or more statements on a connection of its own; the rows of the last one. */
export async function sql<Row extends pg.QueryResultRow = Record<string, unknown>>(
  url: string,
  text: string,
  values?: readonly unknown[],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    const result: pg.QueryResult<Row> | pg.QueryResult<Row>[] = await client.query<Row>(
      text,
      values === undefined ? undefined : [...values],
    )
    return (Array.isArray(result) ? result.at(-1)?.rows : result.rows) ?? []
  } finally {
    await client.end().catch(() => {})
  }
}

/** What a node's `pg_stat_database` counts for one database. */
export interface NodeCounters {
  readonly node: string
  readonly commits: number
  readonly rollbacks: number
  /** Whether no session can hold back counters that it hasn't reported. */
  readonly settled: boolean
}

/**
 * Transactions per node as the servers count them, to prove routing by asking them. A session
 * reports its counters once a second while it is busy, and 10 s after its last transaction when it
 * stays connected ("pgstat.c", PGSTAT_IDLE_INTERVAL): the answer comes as soon as all nodes together
 * count `atLeast` commits, or every session is gone or idle for so long, or after 13 s.
 * A log-in counts as a transaction of its own; our readings are done in another database and don't.
 */
export async function transactionsPerNode(
  cluster: ServerCluster,
  database = cluster.database,
  atLeast = Number.POSITIVE_INFINITY,
): Promise<readonly NodeCounters[]> {
  const deadline = performance.now() + 13_000
  return waitFor(
    'the transaction counters of the nodes',
    async () => {
      const counters = await readCounters(cluster, database)
      const sum = counters.reduce((commits, node) => commits + node.commits, 0)
      const settled = counters.every((node) => node.settled)
      return settled || sum >= atLeast || performance.now() > deadline ? counters : undefined
    },
    20_000,
    100,
  )
}

/** `after - before` of two `transactionsPerNode`, commits by node name. */
export function commitsBetween(
  before: readonly NodeCounters[],
  after: readonly NodeCounters[],
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    after.map(({ node, commits }) => [
      node,
      commits - (before.find((counters) => counters.node === node)?.commits ?? 0),
    ]),
  )
}

async function readCounters(cluster: ServerCluster, database: string): Promise<NodeCounters[]> {
  const running = cluster.nodes.filter(({ isRunning }) => isRunning)
  return Promise.all(
    running.map(async (node) => {
      const [row] = await node.query(
        `SELECT xact_commit::int AS commits, xact_rollback::int AS rollbacks,
           NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1
             AND backend_type = 'client backend'
             AND state_change > clock_timestamp() - interval '10.5 s') AS settled
         FROM pg_stat_database WHERE datname = $1`,
        [database],
        'template1',
      )
      return {
        node: node.name,
        commits: Number(row?.commits ?? 0),
        rollbacks: Number(row?.rollbacks ?? 0),
        settled: row?.settled === true,
      }
    }),
  )
}
