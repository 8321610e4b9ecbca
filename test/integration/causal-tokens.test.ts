import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { waitFor } from '../support/wait-for.ts'

let cluster: EmbeddedCluster
/** Two instances of pgsplit in front of the same cluster. */
let here: TestProxy
let there: TestProxy
/** A third one, which never splits. */
let unsplit: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    'CREATE TABLE item (id int PRIMARY KEY, v int); INSERT INTO item VALUES (1, 0)',
    [],
    'shop',
  )
  await cluster.catchUp()
  here = await startTestProxy(cluster)
  there = await startTestProxy(cluster)
  unsplit = await startTestProxy(cluster, { routing: { consistency: 'primary' } })
  // Until the catalog is known, all goes to the primary.
  for (const proxy of [here, there]) {
    await waitFor('a read on a replica', () =>
      proxy.with(async (client) => {
        await value(client)
        const { rows } = await client.query('SHOW pgsplit.last_route')
        return /^r\d/.test(rows[0]['pgsplit.last_route'])
      }),
    )
  }
})
afterAll(async () => {
  await here?.stop()
  await there?.stop()
  await unsplit?.stop()
  await cluster?.stop()
})

async function value(client: pg.Client, hint = ''): Promise<number> {
  const { rows } = await client.query(`${hint} SELECT v FROM item WHERE id = 1`)
  return rows[0].v
}

async function tokenOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query('SHOW pgsplit.causal_token')
  return rows[0]['pgsplit.causal_token']
}

const options = (text: string): pg.ClientConfig => ({ options: `-c ${text}` })

describe('with replicas that replay nothing', () => {
  /** What the replicas have, and what the primary has. */
  let old = 0
  let token = ''

  beforeEach(async () => {
    for (const replica of cluster.replicas) await replica.resumeReplay()
    await cluster.catchUp()
    for (const replica of cluster.replicas) await replica.pauseReplay()
    await here.with(async (client) => {
      old = await value(client)
      await client.query('UPDATE item SET v = v + 1 WHERE id = 1')
      expect(await value(client)).toBe(old + 1)
      token = await tokenOf(client)
    })
    return async () => {
      for (const replica of cluster.replicas) await replica.resumeReplay()
    }
  })

  it('a token lets a client of another instance see what was written here', async () => {
    await there.with(async (client) => {
      // Without it a replica answers, which knows nothing of it: the test itself works.
      expect(await value(client)).toBe(old)
      await client.query(`SET pgsplit.causal_token = '${token}'`)
      for (let i = 0; i < 5; i++) expect(await value(client)).toBe(old + 1)
      await client.query('BEGIN READ ONLY')
      expect(await value(client)).toBe(old + 1)
      await client.query('COMMIT')
    })
    const told = await there.client({}, options(`pgsplit.causal_token=${token}`))
    expect(await value(told)).toBe(old + 1)
    await told.end()
  })

  it('the level of consistency is told by startup options, SET and hint', async () => {
    const eventual = await here.client({}, options('pgsplit.consistency=eventual'))
    await eventual.query('UPDATE item SET v = v + 1 WHERE id = 1')
    expect(await value(eventual)).toBe(old)
    expect(await value(eventual, '/* pgsplit: consistency=primary */')).toBe(old + 2)
    await eventual.query("SET pgsplit.consistency = 'primary'")
    expect(await value(eventual)).toBe(old + 2)
    await eventual.query('RESET pgsplit.consistency')
    expect(await value(eventual)).toBe(old)
    await eventual.end()
    await here.with(async (client) => {
      await client.query('UPDATE item SET v = v + 1 WHERE id = 1')
      expect(await value(client)).toBe(old + 3)
      expect(await value(client, '/* pgsplit: consistency=eventual */')).toBe(old)
      expect(await value(client)).toBe(old + 3)
    })
    await unsplit.with(async (client) => expect(await value(client)).toBe(old + 3))
  })
})

describe('a token', () => {
  it('that is malformed is refused, at log-in too, and changes nothing', async () => {
    await there.with(async (client) => {
      const before = await tokenOf(client)
      for (const text of [
        'x',
        '1/0',
        '0/0/1',
        '1/0/123456789',
        '99999999999/0/1',
        '1/0/1@',
        '-1/0/1',
      ]) {
        await expect(client.query(`SET pgsplit.causal_token = '${text}'`)).rejects.toMatchObject({
          code: '22023',
        })
      }
      expect(await tokenOf(client)).toBe(before)
    })
    await expect(there.client({}, options('pgsplit.causal_token=nonsense'))).rejects.toMatchObject({
      code: '22023',
    })
  })

  it('of another cluster is refused, and tells which', async () => {
    await there.with(async (client) => {
      await client.query('UPDATE item SET v = v WHERE id = 1')
      const [position, identifier] = (await tokenOf(client)).split('@')
      const [row] = await cluster.primary.query(
        'SELECT system_identifier::text AS id FROM pg_control_system()',
      )
      expect(identifier).toBe(row?.id)
      await expect(
        client.query(`SET pgsplit.causal_token = '${position}@${BigInt(identifier ?? 0) + 1n}'`),
      ).rejects.toMatchObject({
        code: '22023',
        message: expect.stringContaining('another cluster'),
      })
    })
  })

  it('of before a promotion holds behind it', async () => {
    const token = await here.with(async (client) => {
      await client.query('UPDATE item SET v = v + 1 WHERE id = 1')
      return await tokenOf(client)
    })
    await cluster.catchUp()
    const [row] = await cluster.primary.query('SELECT v FROM item WHERE id = 1', [], 'shop')
    const former = cluster.primary
    const [next] = cluster.replicas
    if (next === undefined) throw new Error('no replica')
    await former.kill()
    await cluster.failover(next)
    await cluster.rejoin(former)
    await waitFor('the new primary', () => {
      const { primary, timeline } = there.proxy.snapshot()
      return primary !== null && Number(timeline) > Number(token.split('/')[0])
    })
    await there.with(async (client) => {
      await client.query(`SET pgsplit.causal_token = '${token}'`)
      expect(await value(client)).toBe(row?.v)
      await client.query('UPDATE item SET v = v + 1 WHERE id = 1')
      expect(await value(client)).toBe(Number(row?.v) + 1)
      expect(Number((await tokenOf(client)).split('/')[0])).toBe(Number(token.split('/')[0]) + 1)
    })
  })
})
