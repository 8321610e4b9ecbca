/**
 * What looking for changes of the catalog costs the primary: CPU time of the server process that is
 * asked. `node test/bench/micro-catalog.ts 300 30000`: for databases of so many tables.
 */
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { prepareConnection, probeChanges } from '../../src/catalog/load-catalog.ts'
import { startEmbedded } from '../../src/embedded/start-embedded.ts'

const looks = 100
/** The kernel's clock ticks, which `/proc` counts in. */
const ticksPerSecond = 100
const perTransaction = 200

const cluster = await startEmbedded({ replicas: 0, settings: { autovacuum: 'off' } })
try {
  for (const tables of process.argv.slice(2).map(Number)) await measure(tables)
} finally {
  await cluster.stop()
}

async function measure(tables: number): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.primary.url })
  await client.connect()
  await client.query('CREATE SCHEMA IF NOT EXISTS many')
  for (let from = 0; from < tables; from += perTransaction) {
    const to = Math.min(tables, from + perTransaction)
    await client.query(
      `DO $$BEGIN FOR i IN ${from} .. ${to - 1} LOOP EXECUTE format(
        'CREATE TABLE IF NOT EXISTS many.t%s (id int PRIMARY KEY, a text, b numeric)', i); END LOOP; END$$`,
    )
  }
  await client.query('VACUUM ANALYZE')
  await prepareConnection(client)
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  const pid = rows[0]?.pid ?? 0
  const quietMs = await perLook(pid, async () => {
    let last = await probeChanges(client)
    for (let i = 0; i < looks; i++) last = await probeChanges(client, { last })
  })
  const briefMs = await perLook(pid, async () => {
    const last = { ...(await probeChanges(client)), snapshot: 'another' }
    for (let i = 0; i < looks; i++) await probeChanges(client, { last, isBrief: true })
  })
  const wholeMs = await perLook(pid, async () => {
    for (let i = 0; i < looks; i++) await probeChanges(client)
  })
  const figures = [quietMs, briefMs, wholeMs].map((ms) => ms.toFixed(2)).join(', ')
  console.log(`${tables} tables: ms a look, nothing committed / brief / whole: ${figures}`)
  await client.end()
}

async function perLook(pid: number, look: () => Promise<void>): Promise<number> {
  const before = cpuMs(pid)
  await look()
  return (cpuMs(pid) - before) / looks
}

function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond
}
