/**
 * What DDL costs everybody where a database has many tables: `node test/bench/micro-large-catalog.ts
 * 500 60`: so many schemas with so many tables each (a primary key, three columns). pgsplit runs in a
 * process of its own, eight clients read without a pause, and somebody makes, alters or drops a table
 * every second. Prints ms of reads without and with DDL, how long after its end reads of its own table are
 * back on a replica, and the process's resident size.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { freePort } from '../../src/embedded/free-port.ts'
import { startEmbedded } from '../../src/embedded/start-embedded.ts'
import { residentBytes } from './process-tree.ts'

const [schemas = 500, tables = 60] = process.argv.slice(2).map(Number)
const readers = 8
const quietMs = 10_000
const rounds = 20

const cluster = await startEmbedded({
  replicas: 1,
  settings: { max_locks_per_transaction: '512', autovacuum: 'off' },
})
const port = await freePort()
const child = spawn(
  process.execPath,
  [
    fileURLToPath(new URL('../../src/cli.ts', import.meta.url)),
    'serve',
    ...['--primary', cluster.primary.url],
    ...cluster.replicas.flatMap(({ url }) => ['--replica', url]),
    ...['--listen', `127.0.0.1:${port}`, '--log-level', 'warn'],
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
)
try {
  await fill()
  await measure()
} finally {
  child.kill('SIGTERM')
  await once(child, 'exit')
  await cluster.stop()
}

async function fill(): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.primary.url })
  await client.connect()
  for (let schema = 0; schema < schemas; schema++) {
    const texts = [`CREATE SCHEMA s${schema}`]
    for (let i = 0; i < tables; i++) {
      texts.push(`CREATE TABLE s${schema}.t${schema}_${i} (id int PRIMARY KEY, a text, b numeric)`)
    }
    await client.query(texts.join('; '))
  }
  await client.query('VACUUM ANALYZE')
  await client.end()
  await cluster.catchUp()
}

async function connect(): Promise<pg.Client> {
  const { password, database } = cluster
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database })
  await client.connect()
  return client
}

async function isOnReplica(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query('SHOW pgsplit.last_route')
  return cluster.replicas.some(({ port }) =>
    String(rows[0]['pgsplit.last_route']).includes(`:${port}:`),
  )
}

async function measure(): Promise<void> {
  const { pid = 0 } = child
  const clients = await Promise.all(Array.from({ length: readers }, connect))
  const [own] = clients
  if (own === undefined) return
  for (;;) {
    await own.query('SELECT count(*) FROM s0.t0_0')
    if (await isOnReplica(own)) break
    await sleep(100)
  }
  show('nothing else', await readWhile(clients, sleep(quietMs)), pid)
  const back: number[] = []
  show('DDL each second', await readWhile(clients, runDdl(back)), pid)
  back.sort((a, b) => a - b)
  const middle = back[Math.floor(back.length / 2)] ?? 0
  console.log(
    `own reads back on a replica: median ${middle.toFixed(0)}, most ${back.at(-1)?.toFixed(0)} ms`,
  )
  for (const client of clients) await client.end()
}

/** Times of all reads while it lasts, in order, ms. */
async function readWhile(clients: readonly pg.Client[], work: Promise<unknown>): Promise<number[]> {
  let isOver = false
  const times: number[] = []
  const reading = clients.map(async (client, i) => {
    for (let at = 0; !isOver; at++) {
      const schema = (at * readers + i) % schemas
      const began = performance.now()
      await client.query(`SELECT count(*) FROM s${schema}.t${schema}_0`)
      times.push(performance.now() - began)
    }
  })
  await work
  isOver = true
  await Promise.all(reading)
  return times.sort((a, b) => a - b)
}

async function runDdl(back: number[]): Promise<void> {
  const client = await connect()
  for (let i = 0; i < rounds; i++) {
    await client.query(
      ['CREATE TABLE s0.made (id int)', 'ALTER TABLE s0.made ADD COLUMN a int'][i % 3] ??
        'DROP TABLE s0.made',
    )
    const endedAt = performance.now()
    for (let isBack = i % 3 === 2; !isBack; ) {
      await client.query('SELECT count(*) FROM s0.made')
      isBack = await isOnReplica(client)
    }
    if (i % 3 < 2) back.push(performance.now() - endedAt)
    await sleep(Math.max(0, endedAt + 1_000 - performance.now()))
  }
  await client.end()
}

function show(what: string, times: readonly number[], pid: number): void {
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(1)
  const most = times.at(-1)?.toFixed(1)
  const mb = (residentBytes(pid) / 1e6).toFixed(0)
  console.log(
    `${what}: ${times.length} reads, p50 ${at(0.5)}, p99 ${at(0.99)}, p99.9 ${at(0.999)}, most ${most} ms; ${mb} MB`,
  )
}
