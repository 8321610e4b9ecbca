/**
 * The cluster that the documents speak of, in a network of its own (`unshare -n` around this): a
 * primary at 10.0.0.1:5432, replicas at 10.0.0.2 and 10.0.0.3, superuser `postgres` with the password
 * of its argument, an application's role `app` with database `shop`. Ports are free there, whatever
 * runs beside it. Prints one line when it stands, and ends when its standard input does.
 */
import { spawnSync } from 'node:child_process'
import net from 'node:net'
import { conninfo } from '../../src/embedded/server-settings.ts'
import { startEmbedded } from '../../src/embedded/start-embedded.ts'
import { sql, waitFor } from './cluster.ts'

const password = process.argv[2] ?? ''

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
}

/** Passes on to a port of 127.0.0.1, where the connection seems to come from `source`. */
async function relay(host: string, port: number, to: number, source: string): Promise<void> {
  const server = net.createServer((near) => {
    const far = net.connect({ host: '127.0.0.1', port: to, localAddress: source })
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
    near.pipe(far)
    far.pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
}

ip('link', 'set', 'lo', 'up')
const addresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3']
for (const address of addresses) ip('addr', 'add', `${address}/32`, 'dev', 'lo')
const all = ['all', 'replication'].flatMap((what) =>
  ['127.0.0.1/32', '10.0.0.0/24'].map((from) => `host ${what} all ${from} scram-sha-256`),
)
const cluster = await startEmbedded({ replicas: 2, password, hba: all })
for (const [i, node] of cluster.nodes.entries()) {
  await relay(addresses[i] ?? '', 5432, node.port, '127.0.0.1')
  if (node === cluster.primary) continue
  const port = 15432 + i
  await relay('127.0.0.1', port, cluster.primary.port, addresses[i] ?? '')
  const login = { user: 'postgres', password, application_name: node.name }
  const way = conninfo({ host: '127.0.0.1', port, ...login }).replaceAll("'", "''")
  await node.query(`ALTER SYSTEM SET primary_conninfo = '${way}'`)
  await node.reload()
}
await cluster.primary.query("CREATE ROLE app LOGIN PASSWORD 'its-own-password'")
await cluster.primary.query('CREATE DATABASE shop OWNER app')
await sql(
  cluster.primary.urlFor('shop', 'app', 'its-own-password'),
  `CREATE TABLE orders (id serial PRIMARY KEY, item text);
   CREATE FUNCTION total(i int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT i'`,
)
await waitFor('replicas that stream from their own addresses', async () => {
  const [row] = await cluster.primary.query(
    "SELECT count(*)::int AS n FROM pg_stat_replication WHERE client_addr <<= '10.0.0.0/24'",
  )
  return row?.n === 2
})
await cluster.catchUp()
console.log('the stage stands')
process.stdin.resume()
process.stdin.on('close', () => void cluster.stop().then(() => process.exit(0)))
