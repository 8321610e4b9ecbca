import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sql, waitFor } from '../support/cluster.ts'
import { missingForPatroni, PatroniCluster } from '../support/patroni.ts'
import { startProxyWith, type TestProxy } from '../support/proxy.ts'
import { ReadLoad } from '../support/read-load.ts'
import { WriteLoad } from '../support/write-load.ts'

const missing = missingForPatroni()
if (process.env.CI === 'true' && missing.length > 0) {
  throw new Error(`this needs ${missing.join(', ')}: .ci/run installs patroni and etcd-server`)
}
const needs = missing.length === 0 ? '' : ` (skipped: needs ${missing.join(', ')})`

describe.skipIf(missing.length > 0)(`a cluster under a real Patroni${needs}`, () => {
  let cluster: PatroniCluster
  let proxy: TestProxy<PatroniCluster>
  let reads: ReadLoad
  let writes: WriteLoad

  beforeAll(async () => {
    cluster = await PatroniCluster.start(3)
    const leader = await waitFor('the leader', () => cluster.leader())
    await sql(
      cluster.url(leader),
      'CREATE TABLE item AS SELECT generate_series(1, 10) AS id; CREATE TABLE journal (client int, n int)',
    )
    proxy = await startProxyWith(cluster, {
      listen: ['127.0.0.1:0'],
      clusters: {
        main: {
          discovery: { patroni: { urls: cluster.urls }, interval: '500ms', removeAfter: '500ms' },
          monitor: {
            user: 'postgres',
            password: cluster.password,
            probeInterval: '200ms',
            probeTimeout: '1s',
          },
          routing: { slowStart: '0', failTimeout: '1s' },
          pool: { size: 10 },
        },
      },
    })
    reads = await ReadLoad.start(proxy, 6)
    writes = await WriteLoad.start(proxy, 4)
  })
  afterAll(async () => {
    await reads?.stop()
    await writes?.stop()
    await proxy?.stop()
    await cluster?.stop()
  })

  const primary = () => proxy.proxy.snapshot().primary?.id
  const admitted = (name: string) =>
    proxy.waitForNode(name, ({ readable, fresh, role }) => role === 'replica' && readable && fresh)

  async function goOn(): Promise<void> {
    const { length } = writes.acknowledged
    const before = reads.reads
    await waitFor('writes to go on', () => writes.acknowledged.length > length + 50, 30_000)
    await waitFor('reads to go on', () => reads.reads > before + 100)
  }

  /** Every row whose commit was acknowledged is there, once. */
  async function nothingIsLost(): Promise<void> {
    const acknowledged = [...writes.acknowledged]
    const rows = await sql<{ row: string; times: number }>(
      cluster.url(primary() ?? ''),
      "SELECT client || '/' || n AS row, count(*)::int AS times FROM journal GROUP BY client, n",
    )
    const times = new Map(rows.map((row) => [row.row, row.times]))
    expect(acknowledged.filter((row) => times.get(row) !== 1)).toEqual([])
  }

  /** Only what was in flight was told so; everything else was held. */
  function nobodyNoticed(allowed = /^0800[67]$/): void {
    expect(reads.errors).toEqual([])
    expect(writes.lost).toBe(0)
    expect([...writes.refused.keys()].filter((code) => !allowed.test(code))).toEqual([])
  }

  it('is found, with who leads it', async () => {
    expect(primary()).toBe(await cluster.leader())
    const admin = await proxy.client({ database: 'pgsplit' })
    const { rows } = await admin.query('SHOW NODES')
    await admin.end()
    expect(rows.map(({ node }) => node).sort()).toEqual(['pg1', 'pg2', 'pg3'])
    const leader = rows.find(({ role }) => role === 'primary')
    expect(leader).toMatchObject({ node: primary(), source: 'patroni: leader, running' })
    await goOn()
    nobodyNoticed()
  })

  it('is followed through a switchover: clients stay, reads go on, writes come back', async () => {
    const from = primary() ?? ''
    const to = await waitFor('a synchronous standby', async () => {
      const members = await cluster.members()
      return members.find(({ role }) => role === 'sync_standby')?.name
    })
    const before = reads.reads
    await cluster.switchover(from, to)
    await waitFor('the new primary', () => primary() === to, 30_000)
    expect(reads.reads).toBeGreaterThan(before)
    await goOn()
    await admitted(from)
    await goOn()
    await nothingIsLost()
    nobodyNoticed()
  }, 150_000)

  it('is followed when its leader is killed, which is admitted again when it is back', async () => {
    const killed = primary() ?? ''
    await waitFor('a synchronous standby', async () =>
      (await cluster.members()).some(({ role }) => role === 'sync_standby'),
    )
    cluster.killNode(killed)
    await waitFor('the loss', () => primary() !== killed)
    const before = reads.reads
    await waitFor('reads meanwhile', () => reads.reads > before + 50)
    const to = await waitFor('the new primary', primary, 40_000)
    expect(to).not.toBe(killed)
    await goOn()
    await nothingIsLost()
    cluster.startNode(killed)
    await waitFor(
      'it to come back',
      async () => {
        const members = await cluster.members()
        return members.some(
          ({ name, state }) => name === killed && /running|streaming/.test(state ?? ''),
        )
      },
      60_000,
    )
    await admitted(killed)
    await goOn()
    await nothingIsLost()
    // Patroni may need longer to notice than requests are held.
    nobodyNoticed(/^(0800[67]|57P03)$/)
  }, 150_000)
})
