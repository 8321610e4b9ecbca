import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ScriptedClient } from '../support/scripted-client.ts'
import { ScriptedCluster } from '../support/scripted-cluster.ts'
import { front } from '../support/scripted-messages.ts'

let cluster: ScriptedCluster

beforeEach(() => {
  cluster = new ScriptedCluster({ replicas: 2, pool: { size: 1, checkoutTimeoutMs: 60_000 } })
})
afterEach(() => cluster.close())

const read = 'SELECT node()'

/** Holds the connection to the node that the router gives it. */
async function hold(): Promise<{ readonly client: ScriptedClient; readonly node: string }> {
  const client = cluster.connect()
  await client.query('BEGIN READ ONLY')
  const answer = await client.query(read)
  return { client, node: /D (\S+)/.exec(answer)?.[1] ?? answer }
}

function waiting(): number[] {
  return [0, 1, 2].map((node) => cluster.scope().pool(node).waiting)
}

const waits = (counts: readonly number[]) => expect.poll(waiting).toEqual(counts)

describe('a read whose node has no free connection', () => {
  it('takes the next replica, then the primary, and then waits for whichever is free first', async () => {
    const holders = [await hold(), await hold(), await hold()]
    expect(holders.map(({ node }) => node).sort()).toEqual(['primary', 'r1', 'r2'])
    const first = cluster.connect()
    const second = cluster.connect()
    first.send(front.query(read))
    second.send(front.query(read))
    await waits([2, 2, 2])
    expect(first.unseen + second.unseen).toBe('')
    await holders.find(({ node }) => node === 'r2')?.client.query('COMMIT')
    expect(await first.ready()).toContain('D r2')
    expect(await second.ready()).toContain('D r2')
    expect(waiting()).toEqual([0, 0, 0])
    for (const { client } of holders) client.vanish()
    await expect.poll(() => cluster.inUse).toBe(0)
  })

  it('leaves every queue when its client goes or cancels it, and takes nothing along', async () => {
    const holders = [await hold(), await hold(), await hold()]
    const gone = cluster.connect()
    const cancelled = cluster.connect()
    const last = cluster.connect()
    for (const client of [gone, cancelled, last]) client.send(front.query(read))
    await waits([3, 3, 3])
    gone.vanish()
    await waits([2, 2, 2])
    await cancelled.session.cancel()
    expect(await cancelled.ready()).toContain('57014')
    await waits([1, 1, 1])
    for (const { client } of holders) await client.query('COMMIT')
    expect(await last.ready()).toContain('D ')
    expect(waiting()).toEqual([0, 0, 0])
    await expect.poll(() => cluster.inUse).toBe(0)
  })

  it('waits on where it can when one of the nodes takes nobody any more', async () => {
    const holders = [await hold(), await hold(), await hold()]
    const client = cluster.connect()
    client.send(front.query(read))
    await waits([1, 1, 1])
    cluster.scope().pool(1).failWaiters(new Error('gone'))
    expect(waiting()).toEqual([1, 0, 1])
    await holders.find(({ node }) => node === 'primary')?.client.query('COMMIT')
    expect(await client.ready()).toContain('D primary')
    expect(client.session.route.text).toMatch(/^primary: .*no replica had a free server connection/)
  })

  it('is refused when all have been taken for too long', async () => {
    cluster.close()
    cluster = new ScriptedCluster({ replicas: 2, pool: { size: 1, checkoutTimeoutMs: 50 } })
    await hold()
    await hold()
    await hold()
    expect(await cluster.connect().query(read)).toBe('E 53300 · Z I')
  })
})
