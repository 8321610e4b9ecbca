import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ServerCluster, sql, startServers } from '../support/cluster.ts'
import { bindWith } from '../support/conversation-frames.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import {
  bind,
  close,
  describe as describeMessage,
  execute,
  parse,
  type RawClient,
  type RawMessage,
  sqlstate,
  sync,
} from '../support/raw-client.ts'

let cluster: ServerCluster
let proxy: TestProxy
const clients: RawClient[] = []

beforeAll(async () => {
  cluster = await startServers()
  proxy = await startTestProxy(cluster, { pool: { size: 3 } })
}, 120_000)

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

afterEach(() => {
  for (const client of clients.splice(0)) client.end()
})

beforeEach(async () => {
  await sql(
    cluster.primary.url,
    `DROP TABLE IF EXISTS shape, other;
     CREATE TABLE shape (id int, name text); INSERT INTO shape VALUES (1, 'one');
     CREATE TABLE other (id int)`,
  )
  await cluster.catchUp()
  // pgsplit has heard of it, too.
  const client = await connect()
  await client.query('COMMENT ON TABLE shape IS NULL')
  await client.query('SELECT * FROM shape')
})

async function connect(): Promise<RawClient> {
  const client = await proxy.raw()
  clients.push(client)
  return client
}

async function say(client: RawClient, ...frames: Buffer[]): Promise<RawMessage[]> {
  client.send(...frames, sync)
  return client.until('Z')
}

const types = (messages: readonly RawMessage[]): string => messages.map(({ type }) => type).join('')

const binary = (): Buffer => bindWith({ statement: 's', results: [1] })

/** Other clients hold what connections there are, so that the next request gets another one. */
async function onOtherConnections(use: () => Promise<void>): Promise<void> {
  const holders: RawClient[] = []
  for (let i = 0; i < 2; i++) {
    const holder = await connect()
    await holder.query('BEGIN')
    await holder.query('INSERT INTO other VALUES (1)')
    holders.push(holder)
    await use()
  }
  for (const holder of holders) await holder.query('ROLLBACK')
}

const changed = 'ALTER TABLE shape ADD COLUMN more int DEFAULT 7'

/** A statement that runs on the primary, so that the test knows the connections. */
const text = 'UPDATE shape SET name = name RETURNING *'

describe('a statement whose result type DDL has changed', () => {
  it('never gives rows of another shape to a client that was told of the old one', async () => {
    const one = await connect()
    const other = await connect()
    const told = await say(one, parse('s', text), describeMessage('S', 's'))
    expect(types(told)).toBe('1tTZ')
    expect(types(await say(one, binary(), execute()))).toBe('2DCZ')
    await other.query(changed)
    const check = async (): Promise<void> => {
      const answer = await say(one, binary(), execute())
      expect(types(answer)).toBe('EZ')
      expect(sqlstate(answer)).toBe('0A000')
      expect(String(answer[0]?.body)).toContain('RRevalidateCachedQuery')
    }
    await check()
    await onOtherConnections(check)
    await check()
    expect(types(await say(one, close('S', 's'), parse('s', text)))).toBe('31Z')
    const anew = async (): Promise<void> => {
      const answer = await say(one, binary(), execute())
      expect(types(answer)).toBe('2DCZ')
      expect(answer[1]?.body.readInt16BE(0)).toBe(3)
    }
    await anew()
    await onOtherConnections(anew)
  })

  it('is refused where it was never prepared before, too', async () => {
    const one = await connect()
    await say(one, parse('s', text), describeMessage('S', 's'))
    await (await connect()).query(changed)
    // Whoever has prepared it is busy: no server would say a word.
    await onOtherConnections(async () => {
      expect(sqlstate(await say(one, binary(), execute()))).toBe('0A000')
    })
  })

  it('is refused in a transaction, which is then aborted', async () => {
    const one = await connect()
    await say(one, parse('s', text), describeMessage('S', 's'))
    await (await connect()).query(changed)
    await onOtherConnections(async () => {
      await one.query('BEGIN')
      expect(sqlstate(await say(one, binary(), execute()))).toBe('0A000')
      expect(sqlstate(await say(one, binary(), execute()))).toMatch('25P02')
      await one.query('ROLLBACK')
    })
  })

  it('is prepared anew, unnoticed, for a segment that describes it', async () => {
    const one = await connect()
    await say(one, parse('s', text), describeMessage('S', 's'))
    await say(one, bind('', 's'), execute())
    await (await connect()).query(changed)
    const portal = async (): Promise<void> => {
      const answer = await say(one, bind('', 's'), describeMessage('P'), execute())
      expect(types(answer)).toBe('2TDCZ')
      expect(answer[1]?.body.readInt16BE(0)).toBe(3)
    }
    await portal()
    await onOtherConnections(portal)
    await (await connect()).query('ALTER TABLE shape DROP COLUMN more')
    const statement = async (): Promise<void> => {
      const answer = await say(one, describeMessage('S', 's'), binary(), execute())
      expect(types(answer)).toBe('tT2DCZ')
      expect(answer[1]?.body.readInt16BE(0)).toBe(2)
    }
    await statement()
    await onOtherConnections(statement)
    // The description of the last segment holds from here on.
    expect(types(await say(one, binary(), execute()))).toBe('2DCZ')
  })

  it('is prepared anew for SQL EXECUTE', async () => {
    const one = await connect()
    await one.query(`PREPARE p AS ${text}`)
    const run = async (columns: number): Promise<void> => {
      const answer = await one.query('EXECUTE p')
      expect(types(answer)).toBe('TDCZ')
      expect(answer[0]?.body.readInt16BE(0)).toBe(columns)
    }
    await run(2)
    await onOtherConnections(() => run(2))
    await (await connect()).query(changed)
    await run(3)
    await onOtherConnections(() => run(3))
    await one.query('BEGIN')
    await run(3)
    await (await connect()).query('SELECT 1')
    await one.query('ALTER TABLE shape DROP COLUMN more')
    expect(sqlstate(await one.query('EXECUTE p'))).toBe('0A000')
    await one.query('ROLLBACK')
    await run(3)
  })

  it('of a read is treated alike on the replicas', async () => {
    const one = await connect()
    const read = 'SELECT * FROM shape'
    await say(one, parse('s', read), describeMessage('S', 's'))
    for (let i = 0; i < 6; i++) expect(types(await say(one, binary(), execute()))).toBe('2DCZ')
    await (await connect()).query(changed)
    await cluster.catchUp()
    for (let i = 0; i < 12; i++) {
      expect(sqlstate(await say(one, binary(), execute()))).toBe('0A000')
    }
    await say(one, close('S', 's'), parse('s', read))
    for (let i = 0; i < 12; i++) {
      const answer = await say(one, binary(), execute())
      expect(types(answer)).toBe('2DCZ')
      expect(answer[1]?.body.readInt16BE(0)).toBe(3)
    }
  })

  it('stays what it was when DDL has changed something else', async () => {
    const one = await connect()
    const two = await connect()
    await say(one, parse('s', text), describeMessage('S', 's'))
    for (let i = 0; i < 3; i++) {
      await two.query(`ALTER TABLE other ADD COLUMN c${i} int`)
      await onOtherConnections(async () => {
        expect(types(await say(one, binary(), execute()))).toBe('2DCZ')
      })
      await say(two, parse(`t${i}`, text), bind('', `t${i}`), execute())
    }
  })

  it('is told of by the server when its table is gone', async () => {
    const one = await connect()
    await say(one, parse('s', text), describeMessage('S', 's'))
    await (await connect()).query('DROP TABLE shape')
    expect(sqlstate(await say(one, binary(), execute()))).toBe('42P01')
    await onOtherConnections(async () => {
      expect(sqlstate(await say(one, binary(), execute()))).toBe('42P01')
    })
  })
})
