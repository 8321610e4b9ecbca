import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, sql, startCluster, waitFor } from '../support/cluster.ts'
import { query } from '../support/conversation-frames.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import {
  bind,
  describe as describeMessage,
  execute,
  int32,
  message,
  parse,
  RawClient,
  type RawMessage,
  rows,
  sync,
} from '../support/raw-client.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'signal', replicas: 1 })
  await sql(
    cluster.primary.urlFor('signal'),
    "CREATE TABLE item (id int); CREATE ROLE other LOGIN PASSWORD 'other'",
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 3 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const logIn = (port: number): Promise<RawClient> =>
  RawClient.logIn({ port, user: 'postgres', password: cluster.password, database: 'signal' })

/** Without the place in PostgreSQL's source. */
const shown = (messages: readonly RawMessage[]): string[] =>
  messages
    .filter(({ type }) => type !== 'S')
    .map(({ type, body }) => {
      const fields = body.toString('latin1').split('\0')
      return `${type} ${type === 'E' ? fields.filter((field) => !/^[FLR]/.test(field)) : fields}`
    })

/** What both clients hear when one of them says to the server to end the other. */
async function ended(
  port: number,
  say: (processId: number) => readonly Buffer[],
  before: readonly string[] = [],
): Promise<unknown> {
  const [killer, victim] = await Promise.all([logIn(port), logIn(port)])
  for (const text of before) await victim.query(text)
  killer.send(...say(victim.login.processId))
  const answer = await killer.until('Z')
  const last = await victim.until('E')
  await victim.closed()
  expect(await killer.query('SELECT 1').then(rows)).toEqual([['1']])
  killer.end()
  return { answer: shown(answer), last: shown(last) }
}

const terminateText = 'SELECT pg_terminate_backend($1)'
const binary = (id: number, ...results: readonly number[]): Buffer =>
  message('B', '', '', 1, 1, 1, int32(4), int32(id), results.length, ...results)

const calls: Readonly<Record<string, (id: number) => readonly Buffer[]>> = {
  'a Query': (id) => [query(`SELECT pg_terminate_backend(${id})`)],
  'a Query in other words': (id) => [query(`select pg_catalog.pg_terminate_backend( ${id} ) ;`)],
  'a Query that waits for the end': (id) => [query(`SELECT pg_terminate_backend(${id}, 5000)`)],
  'a parameter as text': (id) => [
    parse('', terminateText),
    bind('', '', String(id)),
    describeMessage('P'),
    execute(),
    sync,
  ],
  'a parameter in binary': (id) => [
    parse('', `${terminateText};`),
    binary(id, 1),
    describeMessage('P'),
    execute(),
    sync,
  ],
  'a statement with its shape': (id) => [
    message('P', '', 'SELECT pg_terminate_backend($1::int)', 1, int32(23)),
    describeMessage('S'),
    binary(id),
    execute(),
    sync,
  ],
}

describe('pg_terminate_backend() with the process id of a log-in', () => {
  it.each(Object.entries(calls))('ends that client: %s', async (_name, say) => {
    const direct = await ended(cluster.primary.port, say)
    expect(JSON.stringify(direct)).toContain('administrator command')
    expect(await ended(proxy.port, say)).toEqual(direct)
  })

  it('works with a statement that was prepared before', async () => {
    const results = []
    for (const port of [cluster.primary.port, proxy.port]) {
      const [killer, victim] = await Promise.all([logIn(port), logIn(port)])
      killer.send(parse('kill', terminateText), describeMessage('S', 'kill'), sync)
      const heard = shown(await killer.until('Z'))
      const id = int32(victim.login.processId)
      killer.send(message('B', '', 'kill', 1, 1, 1, int32(4), id, 1, 1), execute(), sync)
      heard.push(...shown(await killer.until('Z')))
      await victim.closed()
      killer.end()
      results.push(heard)
    }
    expect(results[1]).toEqual(results[0])
  })

  it('rolls back what that client had open', async () => {
    const begin = ['BEGIN', 'INSERT INTO item VALUES (1)', 'LOCK TABLE item']
    const say = (id: number) => [query(`SELECT pg_terminate_backend(${id})`)]
    const direct = await ended(cluster.primary.port, say, begin)
    expect(await ended(proxy.port, say, begin)).toEqual(direct)
    expect(await sql(cluster.primary.urlFor('signal'), 'SELECT count(*)::int FROM item')).toEqual([
      { count: 0 },
    ])
  })

  it('ends the client that asks for its own end', async () => {
    const heard = []
    for (const port of [cluster.primary.port, proxy.port]) {
      const client = await logIn(port)
      client.send(query(`SELECT pg_terminate_backend(${client.login.processId})`))
      heard.push(shown(await client.until('E')))
      await client.closed()
    }
    expect(heard[1]?.at(-1)).toEqual(heard[0]?.at(-1))
  })

  it('is of no avail to another role, and not what a new role may', async () => {
    const victim = await proxy.raw()
    const id = victim.login.processId
    const stranger = await proxy.raw({ user: 'other', password: 'other' })
    const text = `SELECT pg_terminate_backend(${id})`
    expect(rows(await stranger.query(text))).toEqual([['f']])
    const lowered = await proxy.raw()
    await lowered.query('SET ROLE other')
    expect(rows(await lowered.query(text))).toEqual([['f']])
    expect(rows(await victim.query('SELECT 7'))).toEqual([['7']])
    for (const client of [victim, stranger, lowered]) client.end()
  })
})

describe('pg_cancel_backend() with the process id of a log-in', () => {
  it('cancels what that client runs, and nothing when it runs nothing', async () => {
    const heard = []
    for (const port of [cluster.primary.port, proxy.port]) {
      const [caller, other] = await Promise.all([logIn(port), logIn(port)])
      other.send(query('SELECT pg_sleep(30), txid_current() /* cancel me */'))
      await waitFor('the statement to run', async () => {
        const found = await sql(
          cluster.primary.url,
          "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%/* cancel me */' AND state = 'active'",
        )
        return found.length > 0
      })
      const text = `SELECT pg_cancel_backend(${other.login.processId})`
      const one = [shown(await caller.query(text)), shown(await other.until('Z'))]
      one.push(shown(await caller.query(text)), shown(await other.query('SELECT 5')))
      heard.push(one)
      caller.end()
      other.end()
    }
    expect(JSON.stringify(heard[0])).toContain('57014')
    expect(heard[1]).toEqual(heard[0])
  })

  it('cancels itself', async () => {
    const heard = []
    for (const port of [cluster.primary.port, proxy.port]) {
      const client = await logIn(port)
      const messages = await client.query(`SELECT pg_cancel_backend(${client.login.processId})`)
      heard.push(JSON.stringify(shown(messages)).includes('57014'))
      heard.push(rows(await client.query('SELECT 5')))
      client.end()
    }
    expect(heard).toEqual([true, [['5']], true, [['5']]])
  })
})
