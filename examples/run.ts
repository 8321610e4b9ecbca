/**
 * run.ts COMMAND…: a primary, two replicas with sample data, and pgsplit, for as long as the command
 * runs. It finds pgsplit by DATABASE_URL and by libpq's PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE,
 * and the servers themselves by PRIMARY_URL, REPLICA_URLS, MONITOR_USER and MONITOR_PASSWORD.
 * At the end the servers themselves say what each of them did. Ends with the command's exit code.
 */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { parseConfig } from '../src/config/parse-config.ts'
import { DEMO_DATABASE, DEMO_PASSWORD, DEMO_USER, fillSampleData } from '../src/demo/sample-data.ts'
import type { EmbeddedNode } from '../src/embedded/embedded-node.ts'
import { startEmbedded } from '../src/embedded/start-embedded.ts'
import { createLogger, startProxy } from '../src/index.ts'

/** What a server counted on the tables of the sample data. */
interface Work {
  readonly scans: number
  readonly written: number
}

const workSql = `
  SELECT sum(seq_scan + coalesce(idx_scan, 0))::int AS scans,
    sum(n_tup_ins + n_tup_upd + n_tup_del)::int AS written
  FROM pg_stat_user_tables`

async function workOf(node: EmbeddedNode): Promise<Work> {
  const [row] = await node.query(workSql, undefined, DEMO_DATABASE)
  return { scans: Number(row?.scans), written: Number(row?.written) }
}

/** A server process hands in its figures at the latest when it ends. */
async function untilClientsLeft(node: EmbeddedNode): Promise<void> {
  const left = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = '${DEMO_USER}'`
  for (let tries = 0; tries < 100; tries++) {
    const [row] = await node.query(left)
    if (row?.n === 0) return
    await sleep(50)
  }
}

/** The catalog of a database is read when its first client comes; until then all goes to the primary. */
async function untilReadsAreSplit(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  for (let tries = 0; tries < 100; tries++) {
    const { rows } = await client.query('EXPLAIN (ROUTE) SELECT count(*) FROM orders')
    if (rows[0]?.node !== 'primary') break
    await sleep(50)
  }
  await client.end()
}

function run(file: string, args: readonly string[], url: string): Promise<number> {
  const urlOf = (node: EmbeddedNode) => node.urlFor(DEMO_DATABASE, DEMO_USER, DEMO_PASSWORD)
  const env = {
    PRIMARY_URL: urlOf(cluster.primary),
    REPLICA_URLS: cluster.replicas.map(urlOf).join(' '),
    MONITOR_USER: 'postgres',
    MONITOR_PASSWORD: cluster.password,
    DATABASE_URL: url,
    PGHOST: '127.0.0.1',
    PGPORT: new URL(url).port,
    PGUSER: DEMO_USER,
    PGPASSWORD: DEMO_PASSWORD,
    PGDATABASE: DEMO_DATABASE,
  }
  const child = spawn(file, args, { stdio: 'inherit', env: { ...process.env, ...env } })
  return new Promise((resolve) => {
    child.on('error', ({ message }) => {
      console.error(`${file} can't be started (${message}); is it installed?`)
      resolve(127)
    })
    child.on('close', (code) => resolve(code ?? 1))
  })
}

const [file, ...args] = process.argv.slice(2)
if (file === undefined) throw new Error('say what to run: node examples/run.ts COMMAND…')
const cluster = await startEmbedded({
  replicas: 2,
  database: DEMO_DATABASE,
  onProgress: console.log,
})
try {
  await fillSampleData(cluster.primary)
  await cluster.catchUp()
  const nodes = [cluster.primary, ...cluster.replicas]
  const before = await Promise.all(nodes.map(workOf))
  const entry = (name: string, node: EmbeddedNode) => ({ name, url: node.urlFor('postgres') })
  const config = parseConfig({
    clusters: {
      main: {
        primary: entry('primary', cluster.primary),
        replicas: cluster.replicas.map((replica, i) => entry(`r${i + 1}`, replica)),
      },
    },
    listen: ['127.0.0.1:0'],
    log: { level: 'warn', format: 'pretty' },
  })
  const proxy = await startProxy(config, createLogger(config.log))
  const port = proxy.addresses[0]?.port
  const url = `postgresql://${DEMO_USER}:${DEMO_PASSWORD}@127.0.0.1:${port}/${DEMO_DATABASE}`
  await untilReadsAreSplit(url)
  console.log(`\n$ ${file} ${args.join(' ')}`)
  process.exitCode = await run(file, args, url)
  await proxy.stop({ drain: false })
  await Promise.all(nodes.map(untilClientsLeft))
  console.log('\nWhat the servers say:')
  for (const [index, node] of nodes.entries()) {
    const { scans, written } = await workOf(node)
    const first = before[index] ?? { scans: 0, written: 0 }
    console.log(
      `${node.name}: ${scans - first.scans} scans, ${written - first.written} rows written`,
    )
  }
} finally {
  await cluster.stop()
}
