import { afterAll, beforeAll, expect, describe as group, it } from 'vitest'
import { type ServerCluster, sql, startServers } from '../support/cluster.ts'
import { bindWith, query } from '../support/conversation-frames.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import {
  bind,
  close,
  describe,
  execute,
  flush,
  parse,
  RawClient,
  type RawMessage,
  rows,
  sqlstate,
  sync,
} from '../support/raw-client.ts'
import { holdConversation, type Said } from '../support/said-frames.ts'
import { oneOf, type Random, seededNumbers } from '../support/seeded-numbers.ts'
import { waitFor } from '../support/wait-for.ts'

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ replicas: 1 })
  await sql(cluster.primary.url, 'CREATE TABLE item (id int PRIMARY KEY)')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 4 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** What is said to PostgreSQL, and what to pgsplit: commands that behave alike. */
type Text = readonly [direct: string, proxied: string]
const same = (text: string): Text => [text, text]
const show: Text = ['SHOW work_mem', 'SHOW pgsplit.max_lag']
const set: Text = ["SET work_mem = '5MB'", "SET pgsplit.max_lag = '5s'"]
const badSet: Text = ["SET work_mem = 'no'", "SET pgsplit.max_lag = 'no'"]
const reset: Text = ['RESET work_mem', 'RESET pgsplit.max_lag']
const texts: readonly Text[] = [
  show,
  show,
  show,
  set,
  badSet,
  reset,
  ['SHOW work_mem /* of us */ ;', ' show "pgsplit"."max_lag" /* of us */ ;'],
  same('SELECT 1 AS one'),
  same('SELECT g FROM generate_series(1, 3) g'),
  same('SELECT 1/0'),
  same('BEGIN'),
  same('COMMIT'),
  same('ROLLBACK'),
  same('SAVEPOINT a'),
  same('ROLLBACK TO a'),
  same('nonsense'),
  same(''),
]
const simple: readonly Text[] = [
  ...texts,
  [`SELECT 1; ${show[0]}`, `SELECT 1; ${show[1]}`],
  [`${show[0]}; ${set[0]}; SELECT 2; ${show[0]}`, `${show[1]}; ${set[1]}; SELECT 2; ${show[1]}`],
  [`SELECT 1; ${badSet[0]}; SELECT 2`, `SELECT 1; ${badSet[1]}; SELECT 2`],
  [`BEGIN; ${show[0]}`, `BEGIN; ${show[1]}`],
  [`${show[0]}; SELECT 1/0`, `${show[1]}; SELECT 1/0`],
  [`${show[0]}; ROLLBACK`, `${show[1]}; ROLLBACK`],
  same('DEALLOCATE ALL'),
  same('DISCARD ALL'),
  same('EXECUTE s1'),
]

/** One conversation: messages in any order, with Flush and Sync between them anywhere. */
function conversation(random: Random): Said[] {
  const pick = <T>(list: readonly T[]): T => oneOf(random, list)
  const said: Said[] = []
  const say = (shown: string, direct: Buffer, proxied = direct, waits = false): void => {
    said.push({ shown, direct, proxied, waits })
  }
  const name = (): string => pick(['', '', 's1', 's2'])
  const portal = (): string => pick(['', '', '', 'p1'])
  for (let left = 3 + random(14); left > 0; left--) {
    const kind = random(22)
    if (kind < 4) {
      const [s, [direct, proxied]] = [name(), pick(texts)]
      say(`P(${s}, ${proxied})`, parse(s, direct), parse(s, proxied))
    } else if (kind < 8) {
      const [p, s] = [portal(), name()]
      const results = pick([[], [], [0], [1], [0, 1]])
      say(`B(${p}, ${s}, ${results})`, bindWith({ portal: p, statement: s, results }))
    } else if (kind < 10) {
      const s = name()
      say(`D(S ${s})`, describe('S', s))
    } else if (kind < 12) {
      const p = portal()
      say(`D(P ${p})`, describe('P', p))
    } else if (kind < 15) {
      const [p, limit] = [portal(), pick([0, 0, 1, 2])]
      say(`E(${p}, ${limit})`, execute(p, limit))
    } else if (kind < 16) {
      const [what, s] = pick([
        ['S', name()],
        ['P', portal()],
      ] as const)
      say(`C(${what} ${s})`, close(what, s))
    } else if (kind < 18) {
      // What drivers do, in one go.
      const [s, [direct, proxied]] = [name(), pick(texts)]
      say(`P(${s}, ${proxied})`, parse(s, direct), parse(s, proxied))
      if (random(2) === 0) {
        say(`D(S ${s})`, describe('S', s))
        if (random(2) === 0) say('H', flush, flush, random(2) === 0)
      }
      say(`B(, ${s})`, bind('', s))
      say('D(P )', describe('P', ''))
      say('E(, 0)', execute())
    } else if (kind < 19) say('H', flush, flush, random(2) === 0)
    else if (kind < 21) say('S', sync, sync, random(2) === 0)
    else {
      // A Query inside a segment is a matter of its own: `compare/`.
      const [direct, proxied] = pick(simple)
      say('S', sync)
      say(`Q(${proxied})`, query(direct), query(proxied), random(2) === 0)
    }
  }
  say('S', sync, sync, true)
  return said
}

/** All but names and values. */
function shape({ type, body }: RawMessage): string {
  if (type === 'T') {
    const columns: string[] = []
    let at = 2
    for (let left = body.readUInt16BE(0); left > 0; left--) {
      const end = body.indexOf(0, at)
      columns.push(body.toString('hex', end + 1, end + 19))
      at = end + 19
    }
    return `T ${columns.join()}`
  }
  if (type === 'D') return `D ${body.readUInt16BE(0)}`
  if (type === 'E' || type === 'N') {
    const fields = body.toString('latin1').split('\0')
    return `${type} ${fields.filter((field) => /^[SCP]/.test(field)).join()}`
  }
  return `${type} ${body.toString('latin1')}`
}

group('a command of pgsplit is what a SHOW or SET of PostgreSQL is to its client', () => {
  it('whatever its messages are split into, and among whatever others', {
    timeout: 120_000,
  }, async () => {
    const rounds = Number(process.env.PGSPLIT_OWN_ROUNDS ?? 300)
    const seed = Number(process.env.PGSPLIT_OWN_SEED ?? 1)
    const login = { user: 'postgres', password: cluster.password, database: 'postgres' }
    for (let round = seed; round < seed + rounds; round++) {
      const said = conversation(seededNumbers(round))
      const run = (port: number, side: 'direct' | 'proxied'): Promise<string[]> =>
        holdConversation({ ...login, port }, said, side, round, shape)
      const [direct, proxied] = await Promise.all([
        run(cluster.primary.port, 'direct'),
        run(proxy.port, 'proxied'),
      ])
      // EXECUTE of a ROLLBACK TO ends PostgreSQL 18 itself.
      if (direct.some((line) => line.startsWith('!'))) continue
      const what = `${round}: ${said.map(({ shown }) => shown).join(' · ')}`
      expect(proxied, what).toEqual(direct)
    }
  })

  const logIn = (): Promise<RawClient> =>
    RawClient.logIn({
      port: proxy.port,
      user: 'postgres',
      password: cluster.password,
      database: 'postgres',
    })
  const types = (messages: readonly RawMessage[]): string =>
    messages.map(({ type }) => type).join('')

  /** As asyncpg's fetch() and postgres.js do. */
  async function fetchLater(
    client: RawClient,
    text: string,
    ...values: string[]
  ): Promise<RawMessage[]> {
    client.send(parse('', text), describe('S'), flush)
    const head = await client.until('T')
    client.send(bind('', '', ...values), execute(), sync)
    return [...head, ...(await client.until('Z'))]
  }

  it('with a Flush between Parse and Bind, and by name as often as it is asked', async () => {
    const client = await logIn()
    const heard = await fetchLater(client, 'SHOW pgsplit.cluster')
    expect(types(heard)).toBe('1tT2DCZ')
    expect(rows(heard)).toEqual([['main']])
    expect(rows(await fetchLater(client, 'SHOW pgsplit.causal_token'))).toHaveLength(1)
    client.send(parse('s', 'SHOW pgsplit.route'), sync)
    expect(types(await client.until('Z'))).toBe('1Z')
    for (const route of ['auto', 'primary', 'replica']) {
      await client.query(`SET pgsplit.route = ${route}`)
      client.send(bind('', 's'), describe('P'), execute(), sync)
      const answer = await client.until('Z')
      expect(types(answer)).toBe('2TDCZ')
      expect(answer[1]?.body.toString('latin1')).toContain('pgsplit.route')
      expect(rows(answer)).toEqual([[route]])
    }
    client.send(parse('', 'SET pgsplit.route = auto'), describe('S'), flush)
    await client.until('n')
    client.send(bind('', ''), execute(), sync)
    expect(types(await client.until('Z'))).toBe('2CZ')
    expect(rows(await client.query('SHOW pgsplit.route'))).toEqual([['auto']])
    client.end()
  })

  it('of three columns, with parameters, and in binary form', async () => {
    const client = await logIn()
    const plain = await fetchLater(client, 'EXPLAIN (ROUTE) SELECT * FROM item')
    expect(rows(plain)[0]?.slice(1, 2)).toEqual(['replica'])
    const bound = await fetchLater(client, 'EXPLAIN (ROUTE) SELECT * FROM item WHERE id = $1', '1')
    // One parameter of type int4.
    expect(bound[1]?.body.toString('hex')).toBe('000100000017')
    expect(bound[2]?.body.readUInt16BE(0)).toBe(3)
    expect(rows(bound)).toHaveLength(1)
    expect(rows(bound)[0]?.[1]).toBe('replica')
    for (const results of [[1], [1, 1, 1]]) {
      client.send(
        parse('', 'EXPLAIN (ROUTE) DELETE FROM item WHERE id = $1'),
        bindWith({ values: ['1'], results }),
        describe('P'),
        execute(),
        sync,
      )
      const answer = await client.until('Z')
      expect(types(answer)).toBe('12TDCZ')
      expect(answer[2]?.body.readUInt16BE(answer[2].body.length - 2)).toBe(1)
      expect(rows(answer)[0]?.slice(0, 2)).toEqual(['primary', 'primary'])
    }
    client.end()
  })

  it('in one text with others, where what it shows is of that text', async () => {
    const client = await logIn()
    const heard = await client.query(
      'SELECT 1 AS a; SHOW pgsplit.last_route; SET pgsplit.max_lag = 9; SHOW pgsplit.max_lag',
    )
    expect(types(heard)).toBe('TDCTDCCTDCZ')
    expect(rows(heard)[1]?.[0]).toMatch(/^(primary|r1): /)
    expect(rows(heard)[2]).toEqual(['9ms'])
    const refused = await client.query("SELECT 1; SET pgsplit.max_lag = 'x'; SELECT 2")
    expect(types(refused)).toBe('TDCEZ')
    expect(sqlstate(refused)).toBe('22023')
    expect(rows(await client.query('SHOW pgsplit.max_lag'))).toEqual([['9ms']])
    // Where PostgreSQL finds an error is a place in the client's text.
    const misplaced = await client.query('SHOW pgsplit.pin; SELECT nothing')
    expect(misplaced.find(({ type }) => type === 'E')?.body.toString()).toContain('\0P26\0')
    client.end()
  })

  it('leaves no trace in what it shows', async () => {
    const client = await logIn()
    await client.query('SELECT count(*) FROM item')
    const [[before] = []] = rows(await client.query('SHOW pgsplit.last_route'))
    for (let i = 0; i < 3; i++) {
      expect(rows(await fetchLater(client, 'SHOW pgsplit.last_route'))).toEqual([[before]])
    }
    client.end()
  })

  it('shows no position that a write in front of it is not in', async () => {
    const client = await logIn()
    for (const text of ['SHOW pgsplit.causal_token']) {
      client.send(
        parse('', 'INSERT INTO item VALUES (1)'),
        bind('', ''),
        execute(),
        parse('', text),
        bind('', ''),
        execute(),
        sync,
      )
      expect(sqlstate(await client.until('Z'))).toBe('25001')
      expect(sqlstate(await client.query(`INSERT INTO item VALUES (1); ${text}`))).toBe('25001')
    }
    expect(rows(await client.query('SELECT count(*) FROM item'))).toEqual([['0']])
    client.end()
  })

  it.each(['cancel', 'terminate'])('pg_%s_backend of a client of pgsplit', async (does) => {
    const [client, victim] = await Promise.all([logIn(), logIn()])
    victim.send(query('SELECT pg_sleep(60)'))
    await waitFor('the victim to run', async () => {
      const text =
        "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
      const nodes = [cluster.primary, ...cluster.replicas]
      const running = await Promise.all(nodes.map(({ url }) => sql(url, text)))
      return running.flat().length > 0
    })
    const heard = await fetchLater(
      client,
      `SELECT pg_${does}_backend($1) AS done`,
      String(victim.login.processId),
    )
    expect(types(heard)).toBe('1tT2DCZ')
    expect(rows(heard)).toEqual([['t']])
    expect(sqlstate(await victim.until('E'))).toBe(does === 'cancel' ? '57014' : '57P01')
    client.end()
    victim.end()
  })
})
