import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { bind, close, execute, parse, type RawClient, sync } from '../support/raw-client.ts'

let cluster: ServerCluster
let proxy: TestProxy

const isolation = "SELECT current_setting('transaction_isolation')"
const repeatable = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'

beforeAll(async () => {
  cluster = await startServers()
  proxy = await startTestProxy(cluster)
}, 120_000)

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** From here on no server connection has any of the session's statements. */
async function loseServers(client: RawClient): Promise<void> {
  for (const node of cluster.nodes) {
    await node.query(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )
  }
  // What it was told of the loss, if anything, it is told here.
  await client.query('ROLLBACK')
}

/** Types of the answer, an error with its SQLSTATE, a row with its first value. */
async function answer(client: RawClient): Promise<string> {
  const messages = await client.until('Z')
  return messages
    .filter(({ type }) => !'SNA'.includes(type))
    .map(({ type, body }) => {
      if (type === 'E') return `E${/C(\w{5})\0/.exec(body.toString())?.[1]}`
      return type === 'D' ? `D(${body.toString('utf8', 6)})` : type
    })
    .join('')
}

async function words(client: RawClient): Promise<string> {
  const messages = await client.until('Z')
  const error = messages.find(({ type }) => type === 'E')
  return /\0M([^\0]*)/.exec(error?.body.toString() ?? '')?.[1] ?? ''
}

describe('a statement that the server connection lacks', () => {
  it('is prepared where it is first used, not in front of a BEGIN of the segment', async () => {
    const client = await proxy.raw()
    client.send(parse('b', repeatable), parse('q', isolation), sync)
    expect(await answer(client)).toBe('11Z')
    await loseServers(client)
    client.send(bind('', 'b'), execute(), bind('', 'q'), execute(), sync)
    expect(await answer(client)).toBe('2C2D(repeatable read)CZ')
    client.end()
  })

  it('is prepared behind a SET TRANSACTION of the segment', async () => {
    const client = await proxy.raw()
    client.send(
      parse('b', 'BEGIN'),
      parse('s', 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'),
      parse('q', isolation),
      sync,
    )
    expect(await answer(client)).toBe('111Z')
    await loseServers(client)
    const begin = [bind('', 'b'), execute()]
    const run = [bind('', 's'), execute(), bind('', 'q'), execute(), sync]
    client.send(...begin, ...run)
    expect(await answer(client)).toBe('2C2C2D(serializable)CZ')
    await client.query('ROLLBACK')
    await loseServers(client)
    client.send(...begin, sync, ...run)
    expect(await answer(client)).toBe('2CZ')
    expect(await answer(client)).toBe('2C2D(serializable)CZ')
    await client.query('ROLLBACK')
    await loseServers(client)
    expect(await typesOf(client, 'BEGIN')).toBe('CZ')
    client.send(...run)
    expect(await answer(client)).toBe('2C2D(serializable)CZ')
    client.end()
  })

  it('is prepared there, too, when it is the unnamed one of an earlier segment', async () => {
    const client = await proxy.raw()
    client.send(parse('b', repeatable), parse('', isolation), sync)
    expect(await answer(client)).toBe('11Z')
    await loseServersBeside(client)
    client.send(bind('', 'b'), execute(), bind('', ''), execute(), sync)
    expect(await answer(client)).toBe('2C2D(repeatable read)CZ')
    client.end()
  })

  it('is prepared in front of a deferred BEGIN when SQL EXECUTE runs it', async () => {
    const client = await proxy.raw()
    await client.query(`PREPARE q AS ${isolation}`)
    await loseServers(client)
    expect(await typesOf(client, 'BEGIN')).toBe('CZ')
    expect(await typesOf(client, 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; EXECUTE q')).toBe(
      'CTDCZ',
    )
    await client.query('ROLLBACK')
    await loseServers(client)
    expect(await typesOf(client, 'BEGIN ISOLATION LEVEL REPEATABLE READ; EXECUTE q')).toBe('CTDCZ')
    await client.query('ROLLBACK')
    await loseServers(client)
    client.send(parse('b', repeatable), parse('e', 'EXECUTE q'), sync)
    expect(await answer(client)).toBe('11Z')
    client.send(bind('', 'b'), execute(), bind('', 'e'), execute(), sync)
    expect(await answer(client)).toBe('2C2D(repeatable read)CZ')
    client.end()
  })

  it('fails where it is used, when it can no longer be prepared', async () => {
    const client = await proxy.raw()
    await client.query('CREATE TABLE short_lived (id int)')
    client.send(parse('one', 'SELECT 1'), parse('gone', 'SELECT id FROM short_lived'), sync)
    expect(await answer(client)).toBe('11Z')
    await client.query('DROP TABLE short_lived')
    await loseServers(client)
    client.send(bind('', 'one'), execute(), bind('', 'gone'), execute(), sync)
    expect(await answer(client)).toBe('2D(1)CE42P01Z')
    client.send(bind('', 'one'), execute(), sync)
    expect(await answer(client)).toBe('2D(1)CZ')
    client.end()
  })
})

describe('a named Parse', () => {
  it('is refused in a failed block, though the connection has its statement', async () => {
    const client = await proxy.raw()
    client.send(parse('a', 'SELECT 1 AS one'), sync)
    expect(await answer(client)).toBe('1Z')
    await client.query('BEGIN')
    client.send(bind('', 'a'), execute(), sync)
    expect(await answer(client)).toBe('2D(1)CZ')
    await client.query('SELECT 1/0')
    client.send(parse('b', 'SELECT 1 AS one'), sync)
    expect(await answer(client)).toBe('E25P02Z')
    client.send(parse('r', 'ROLLBACK'), bind('', 'r'), execute(), sync)
    expect(await answer(client)).toBe('12CZ')
    client.send(bind('', 'b'), execute(), sync)
    expect(await answer(client)).toBe('E26000Z')
    client.end()
  })

  it('of a text that the session has under another name is told apart in errors', async () => {
    const client = await proxy.raw()
    client.send(parse('first', 'SELECT 7'), parse('second', 'SELECT 7'), sync)
    expect(await answer(client)).toBe('11Z')
    client.send(bind('', 'second', 'x'), execute(), sync)
    expect(await words(client)).toContain('prepared statement "second"')
    client.send(bind('', 'first', 'x'), execute(), sync)
    expect(await words(client)).toContain('prepared statement "first"')
    await client.query('PREPARE third AS SELECT 8')
    await client.query('PREPARE fourth AS SELECT 8')
    expect(await typesOf(client, 'DEALLOCATE third; EXECUTE fourth')).toBe('CTDCZ')
    client.send(bind('', 'third'), execute(), sync)
    expect(await words(client)).toContain('prepared statement "third"')
    client.send(close('S', 'first'), bind('', 'second'), execute(), sync)
    expect(await answer(client)).toBe('32D(7)CZ')
    client.end()
  })
})

async function typesOf(client: RawClient, text: string): Promise<string> {
  const messages = await client.query(text)
  return messages
    .map(({ type }) => type)
    .filter((type) => !'SNA'.includes(type))
    .join('')
}

/** As `loseServers`, but without a Query, which would drop the unnamed statement. */
async function loseServersBeside(client: RawClient): Promise<void> {
  const other = await proxy.raw()
  await loseServers(other)
  other.end()
  client.send(sync)
  expect(await answer(client)).toBe('Z')
}
