import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ServerNode } from '../../src/testing/server-cluster.ts'
import { type ServerCluster, sql, startServers, waitFor } from '../support/cluster.ts'
import { MixedLoad, type WriteKind } from '../support/mixed-load.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { message, rows, sqlstate } from '../support/raw-client.ts'
import { ReadLoad } from '../support/read-load.ts'

const kinds: readonly WriteKind[] = [
  'simple',
  'extended',
  'prepared',
  'transaction',
  'late-begin',
  'text',
]

/** Far below holdWrites (10 s): pgsplit sees a promotion at its next probe, after no timeout. */
const resumeWithinMs = 3_000

let cluster: ServerCluster
let proxy: TestProxy
let reads: ReadLoad
let writes: MixedLoad
const single = new Map<string, pg.Client>()

interface Told {
  readonly code?: string
  readonly message: string
}

const told = (error: unknown): Told => error as Told

/** Commits on the primary wait for `standby`. */
async function makeSynchronous(standby: ServerNode): Promise<void> {
  await cluster.primary.configure({ synchronous_standby_names: standby.name })
  await waitFor('the synchronous standby', async () => {
    const rows = await cluster.primary.query(
      "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND application_name = $1",
      [standby.name],
    )
    return rows.length > 0
  })
}

const replica = (index = 0): ServerNode => {
  const node = cluster.replicas[index]
  if (node === undefined) throw new Error(`no replica ${index}`)
  return node
}

/** What the proxy calls the node. */
const names = new Map<ServerNode, string>()
const nameOf = (node: ServerNode): string => names.get(node) ?? '?'

async function client(key: string): Promise<pg.Client> {
  let known = single.get(key)
  if (known === undefined) {
    known = await proxy.client()
    single.set(key, known)
  }
  return known
}

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await sql(
    cluster.primary.urlFor('shop'),
    `CREATE TABLE item AS SELECT generate_series(1, 10) AS id;
     CREATE TABLE journal (client text, n int)`,
  )
  await cluster.catchUp()
  names.set(cluster.primary, 'primary')
  cluster.replicas.forEach((node, i) => void names.set(node, `r${i + 1}`))
  proxy = await startTestProxy(cluster, { pool: { size: 10 } })
})
afterEach(async () => {
  await reads?.stop()
  await writes?.stop()
  for (const db of single.values()) await db.end().catch(() => {})
  single.clear()
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

async function startLoad(): Promise<void> {
  await proxy.waitForNode(nameOf(replica(0)), ({ readable, fresh }) => readable && fresh)
  await proxy.waitForNode(nameOf(replica(1)), ({ readable, fresh }) => readable && fresh)
  await sql(cluster.primary.urlFor('shop'), 'TRUNCATE journal')
  reads = await ReadLoad.start(proxy, 10)
  writes = await MixedLoad.start(proxy, 18, kinds)
  const { length } = writes.acknowledged
  await waitFor('load', () => writes.acknowledged.length > length + 200 && reads.reads > 200)
}

async function goOn(): Promise<void> {
  const { length } = writes.acknowledged
  const before = reads.reads
  await waitFor('writes to go on', () => writes.acknowledged.length > length + 100)
  await waitFor('reads to go on', () => reads.reads > before + 100)
}

/** Every row whose commit was acknowledged is there, and none twice. */
async function expectNothingLost(): Promise<void> {
  const acknowledged = [...writes.acknowledged]
  const found = await sql<{ row: string; times: number }>(
    cluster.primary.urlFor('shop'),
    "SELECT client || '/' || n AS row, count(*)::int AS times FROM journal GROUP BY client, n",
  )
  const times = new Map(found.map((row) => [row.row, row.times]))
  expect(acknowledged.filter((row) => times.get(row) !== 1)).toEqual([])
  expect(found.filter((row) => row.times !== 1)).toEqual([])
}

/** Only what was in flight was told so, each client once; nobody was disconnected. */
function expectOnlyInFlightTold(): void {
  expect(reads.errors).toEqual([])
  expect(writes.lost).toBe(0)
  const wrong = writes.failures.filter(({ kind, code }) =>
    kind === 'transaction' || kind === 'late-begin' ? !/^0800[67]$/.test(code) : code !== '08007',
  )
  expect(wrong).toEqual([])
  const clients = writes.failures.map((failure) => failure.client)
  expect(clients.length).toBe(new Set(clients).size)
}

/** Promotes, and gives the time in ms from when that can be seen to the first write after it. */
async function promote(node: ServerNode): Promise<number> {
  const promoted = cluster.failover(node)
  const visibleMs = await waitFor(
    'the promotion',
    async () => {
      const [row] = await node.query('SELECT pg_is_in_recovery() AS r').catch(() => [])
      return row?.r === false ? performance.now() : 0
    },
    15_000,
    5,
  )
  await waitFor('a write after it', () => writes.lastAtMs > visibleMs, 15_000, 2)
  const resumedMs = performance.now() - visibleMs
  await promoted
  return resumedMs
}

describe('a primary that is killed while a replica is promoted', () => {
  it('costs only what was in flight, and no client its connection that holds nothing there', async () => {
    await makeSynchronous(replica(0))
    await startLoad()
    const listening = await client('listening')
    await listening.query('LISTEN news')
    const silenced = new Promise<Error>((resolve) => listening.once('error', resolve))
    const temporary = await client('temporary')
    const bereft = new Promise<Error>((resolve) => temporary.once('error', resolve))
    await temporary.query('CREATE TEMP TABLE mine (id int)')
    const inBlock = await client('in a block')
    await inBlock.query('BEGIN')
    await inBlock.query("INSERT INTO journal VALUES ('never', 1)")
    const copying = await proxy.raw()
    copying.send(message('Q', 'COPY journal FROM STDIN'))
    await copying.until('G')
    copying.send(message('d', Buffer.from('copied\t1\n')))
    const idle = await client('idle')
    await idle.query('SELECT 1')
    const begun = await client('begun')
    await begun.query('BEGIN')
    const from = cluster.primary
    await from.kill()
    const meanwhile = reads.reads
    await waitFor('the loss', () => proxy.proxy.snapshot().primary === null)
    const held = begun.query("INSERT INTO journal VALUES ('held', 1)")
    const single = idle.query("INSERT INTO journal VALUES ('held', 2)")
    await waitFor('reads meanwhile', () => reads.reads > meanwhile + 100)
    const resumedMs = await promote(replica(0))
    expect((await held).rowCount).toBe(1)
    await begun.query('COMMIT')
    expect((await single).rowCount).toBe(1)

    // Told without having asked, as by PostgreSQL: its table is nowhere else.
    const pinned = told(await bereft)
    expect(pinned).toMatchObject({ code: '57P01' })
    // It would wait for good.
    expect(told(await silenced)).toMatchObject({ code: '57P01' })
    const again = await client('listening again')
    await again.query('LISTEN news')
    const heard = new Promise((resolve) => again.once('notification', resolve))
    await idle.query('NOTIFY news')
    await heard

    expect(sqlstate(await copying.until('Z'))).toMatch(/^0800[67]$/)
    copying.send(message('d', Buffer.from('copied\t2\n')), message('c'))
    expect(rows(await copying.query('SELECT 1'))).toEqual([['1']])
    copying.end()

    expect(told(await inBlock.query('SELECT 1').catch((e) => e)).code).toBe('08006')
    expect(told(await inBlock.query('SELECT 1').catch((e) => e)).code).toBe('25P02')
    await inBlock.query('ROLLBACK')
    await goOn()
    expectOnlyInFlightTold()
    await reads.stop()
    await writes.stop()
    await expectNothingLost()
    const special = await sql(
      cluster.primary.urlFor('shop'),
      "SELECT client, n FROM journal WHERE client IN ('held', 'never', 'copied') ORDER BY n",
    )
    expect(special).toEqual([
      { client: 'held', n: 1 },
      { client: 'held', n: 2 },
    ])
    expect(resumedMs).toBeLessThan(resumeWithinMs)
    await cluster.rejoin(from)
  })
})

describe('a planned switchover: the primary is shut down fast, a replica promoted', () => {
  it('costs only what was in flight, and the old primary comes back as a replica', async () => {
    await makeSynchronous(replica(0))
    await startLoad()
    const idle = await client('idle')
    await idle.query('BEGIN')
    const from = cluster.primary
    const to = replica(0)
    await from.stop('fast')
    await waitFor('the loss', () => proxy.proxy.snapshot().primary === null)
    const held = idle.query("INSERT INTO journal VALUES ('held', 1)")
    const before = reads.reads
    await waitFor('reads meanwhile', () => reads.reads > before + 100)
    const resumedMs = await promote(to)
    expect((await held).rowCount).toBe(1)
    await idle.query('COMMIT')
    await from.follow(to)
    await from.start()
    await proxy.waitForNode(
      nameOf(from),
      ({ role, readable, fresh }) => role === 'replica' && readable && fresh,
    )
    await goOn()
    expectOnlyInFlightTold()
    await reads.stop()
    await writes.stop()
    await expectNothingLost()
    expect(resumedMs).toBeLessThan(resumeWithinMs)
    await cluster.rejoin(from)
  })
})

describe('a primary that is frozen while a replica is promoted', () => {
  it('is left when the new one is elected, and fenced when it is thawed', async () => {
    await makeSynchronous(replica(0))
    await startLoad()
    const inBlock = await client('in a block')
    await inBlock.query('BEGIN')
    await inBlock.query("INSERT INTO journal VALUES ('never', 1)")
    const from = cluster.primary
    await from.freeze()
    const stuck = inBlock.query("INSERT INTO journal VALUES ('never', 2)").catch((e) => e)
    await waitFor('the loss', () => proxy.proxy.snapshot().primary === null)
    const before = reads.reads
    await waitFor('reads meanwhile', () => reads.reads > before + 100)
    const resumedMs = await promote(replica(0))
    expect(told(await stuck).code).toBe('08006')
    expect(told(await inBlock.query('SELECT 1').catch((e) => e)).code).toBe('25P02')
    await inBlock.query('ROLLBACK')
    await goOn()
    await from.thaw()
    await proxy.waitForNode(nameOf(from), ({ fenced }) => fenced !== null)
    await goOn()
    await goOn()
    expectOnlyInFlightTold()
    await reads.stop()
    await writes.stop()
    // Nothing of pgsplit stays, not even what watches the catalog, once the server has seen that
    // nobody is there any more; but for commits that were in flight, which wait there for a standby
    // that will never answer.
    await waitFor('the end of what ran', async () => {
      const left = await sql(
        from.urlFor('shop'),
        `SELECT FROM pg_stat_activity
         WHERE datname = 'shop' AND pid <> pg_backend_pid() AND backend_type = 'client backend'
           AND wait_event IS DISTINCT FROM 'SyncRep'`,
      )
      return left.length === 0
    })
    await expectNothingLost()
    expect(resumedMs).toBeLessThan(resumeWithinMs)
    await cluster.rejoin(from)
  })
})
