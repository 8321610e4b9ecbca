import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adviseCommand } from '../../src/cli/advise.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { proxySettings, startProxyWith, type TestProxy } from '../support/proxy.ts'
import { waitFor } from '../support/wait-for.ts'

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  for (const text of [
    'CREATE TABLE item (id int PRIMARY KEY, n int)',
    'INSERT INTO item SELECT i, i FROM generate_series(1, 10) AS i',
    'CREATE UNLOGGED TABLE scratch (n int)',
    'CREATE SEQUENCE numbers',
    "CREATE VIEW numbered AS SELECT id, nextval('numbers') AS number FROM item",
    "CREATE FUNCTION total(int) RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT sum(n) FROM item WHERE id > $1'",
    "CREATE ROLE watcher LOGIN PASSWORD 'watches'",
  ]) {
    await cluster.primary.query(text, [], 'shop')
  }
  await cluster.catchUp()
  proxy = await startProxyWith(cluster, {
    ...proxySettings(cluster),
    admin: { users: ['postgres'], readers: ['watcher'] },
    http: { listen: '127.0.0.1:0' },
  })
  await proxy.with((client) =>
    waitFor('reads to be proved', async () => {
      await client.query('SELECT count(*) FROM item')
      const { rows } = await client.query('SHOW pgsplit.last_route')
      return /\br[12]\b/.test(JSON.stringify(rows))
    }),
  )
}, 120_000)

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

interface Row {
  readonly query: string
  readonly calls: string
  readonly primary_calls: string
  readonly rows: string
  readonly errors: string
  readonly reason: string | null
  readonly why: string | null
  readonly advice: string | null
}

async function statement(query: string): Promise<Row> {
  const rows = await proxy.with(
    async (client) => (await client.query<Row>('SHOW STATEMENTS')).rows,
    { database: 'pgsplit' },
  )
  const found = rows.find((row) => row.query === query)
  if (found === undefined) {
    throw new Error(`${query} is not among ${rows.map((row) => row.query).join('\n')}`)
  }
  return found
}

/** On the primary or on a replica, as the server itself says. */
async function runsOnReplica(
  run: (client: pg.Client, ask: (text: string) => Promise<unknown>) => Promise<void>,
): Promise<boolean> {
  return proxy.with(async (client) => {
    let onReplica = false
    await run(client, async (text) => {
      await client.query(text)
      const { rows } = await client.query<{ node: string }>('SHOW pgsplit.last_route')
      onReplica = /\br[12]\b/.test(JSON.stringify(rows))
    })
    return onReplica
  })
}

const inTransaction =
  (begin: string, text: string) =>
  async (client: pg.Client, ask: (text: string) => Promise<unknown>): Promise<void> => {
    await client.query(begin)
    await ask(text)
    await client.query('COMMIT')
  }

describe('SHOW STATEMENTS', () => {
  it('adds up statements that differ in literals only, and shows none of them', async () => {
    await proxy.with(async (client) => {
      for (let i = 1; i <= 5; i++) {
        await client.query(`SELECT n FROM item WHERE id = ${i} AND 'secret${i}' <> ''`)
      }
      await client.query('SELECT id FROM item WHERE n = $1', [7])
      await client.query('SELECT id FROM item WHERE n = $1', ['no number']).catch(() => {})
    })
    const row = await statement('select n from item where id = ? and ? <> ?')
    expect(row).toMatchObject({ calls: '5', primary_calls: '0', rows: '5', reason: null })
    const bound = await statement('select id from item where n = $1')
    expect(bound).toMatchObject({ calls: '2', rows: '1', errors: '1' })
    const answer = await fetch(`http://127.0.0.1:${httpPort()}/api/v1/statements`, {
      headers: { authorization: basic('watcher', 'watches') },
    })
    expect(answer.status).toBe(200)
    expect(await answer.text()).not.toMatch(/secret|no number/)
  })

  const planted: readonly {
    readonly title: string
    readonly query: string
    readonly before: Parameters<typeof runsOnReplica>[0]
    readonly reason: string
    readonly why: RegExp
    readonly advice: RegExp | null
    /** What the advice says, done. */
    readonly after?: Parameters<typeof runsOnReplica>[0]
    readonly prepare?: string
  }[] = [
    {
      title: 'a function that is declared VOLATILE',
      query: 'select total(?)',
      before: (_, ask) => ask('SELECT total(3)').then(() => {}),
      reason: 'unproved',
      why: /calls total\(\), which is declared VOLATILE/,
      advice: /ALTER FUNCTION total STABLE/,
      prepare: 'ALTER FUNCTION total STABLE',
      after: (_, ask) => ask('SELECT total(3)').then(() => {}),
    },
    {
      title: 'a transaction that may write',
      query: 'select max(n) from item',
      before: inTransaction('BEGIN', 'SELECT max(n) FROM item'),
      reason: 'transaction',
      why: /in a transaction that may write/,
      advice: /BEGIN READ ONLY/,
      after: inTransaction('BEGIN READ ONLY', 'SELECT max(n) FROM item'),
    },
    {
      title: 'an isolation level that standbys refuse',
      query: 'select min(n) from item',
      before: inTransaction(
        'BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY',
        'SELECT min(n) FROM item',
      ),
      reason: 'isolation',
      why: /isolation level/,
      advice: /READ COMMITTED/,
      after: inTransaction('BEGIN READ ONLY', 'SELECT min(n) FROM item'),
    },
    {
      title: 'a hint',
      query: 'select avg(n) from item',
      before: (_, ask) => ask('/* pgsplit: primary */ SELECT avg(n) FROM item').then(() => {}),
      reason: 'asked',
      why: /a hint or a setting/,
      advice: /leave out the hint/,
      after: (_, ask) => ask('SELECT avg(n) FROM item').then(() => {}),
    },
    {
      title: 'a setting',
      query: 'select count(n) from item',
      before: async (client, ask) => {
        await client.query("SET pgsplit.route = 'primary'")
        await ask('SELECT count(n) FROM item')
      },
      reason: 'asked',
      why: /pgsplit\.route/,
      advice: /the setting/,
      after: (_, ask) => ask('SELECT count(n) FROM item').then(() => {}),
    },
    {
      title: 'a pinned session',
      query: 'select sum(id) from item',
      before: async (client, ask) => {
        await client.query('CREATE TEMP TABLE mine (n int)')
        await ask('SELECT sum(id) FROM item')
      },
      reason: 'pinned',
      why: /keeps its server connection/,
      advice: /over another one/,
      after: (_, ask) => ask('SELECT sum(id) FROM item').then(() => {}),
    },
    {
      title: 'a view that calls nextval()',
      query: 'select number from numbered',
      before: (_, ask) => ask('SELECT number FROM numbered').then(() => {}),
      reason: 'unproved',
      why: /numbered/,
      advice: null,
    },
    {
      title: 'a function of PostgreSQL that writes',
      query: 'select nextval(?)',
      before: (_, ask) => ask("SELECT nextval('numbers')").then(() => {}),
      reason: 'unproved',
      why: /calls nextval\(\)/,
      advice: null,
    },
    {
      title: 'an unlogged table',
      query: 'select n from scratch',
      before: (_, ask) => ask('SELECT n FROM scratch').then(() => {}),
      reason: 'unproved',
      why: /scratch/,
      advice: null,
    },
    {
      title: 'locked rows',
      query: 'select n from item where id = ? for update',
      before: (_, ask) => ask('SELECT n FROM item WHERE id = 1 FOR UPDATE').then(() => {}),
      reason: 'unproved',
      why: /locks rows/,
      advice: null,
    },
    {
      title: 'a write',
      query: 'update item set n = n + ? where id = ?',
      before: (_, ask) => ask('UPDATE item SET n = n + 1 WHERE id = 1').then(() => {}),
      reason: 'write',
      why: /UPDATE writes/,
      advice: null,
    },
  ]

  it.each(planted)('tells of $title', async ({ query, before, reason, why, advice, ...then }) => {
    expect(await runsOnReplica(before)).toBe(false)
    const row = await statement(query)
    expect(row.reason).toBe(reason)
    expect(row.why).toMatch(why)
    if (advice === null) expect(row.advice).toBeNull()
    else expect(row.advice).toMatch(advice)
    const { after, prepare } = then
    if (after === undefined) return
    if (prepare !== undefined) {
      await cluster.primary.query(prepare, [], 'shop')
      await cluster.catchUp()
    }
    await waitFor('it to run on a replica', () => runsOnReplica(after))
  })

  it('keeps apart what is a read of its own and what is not, in the same surroundings', async () => {
    await proxy.with(async (client) => {
      await client.query('BEGIN')
      await client.query('SELECT 1')
      await client.query('DELETE FROM item WHERE id = 10')
      await client.query('COMMIT')
    })
    const row = await statement('delete from item where id = ?')
    expect(row).toMatchObject({ reason: 'transaction', advice: null })
    expect(row.why).toMatch(/DELETE writes/)
  })
})

describe('pgsplit advise', () => {
  it('lists what would move load off the primary, the most of it first', async () => {
    const lines: string[] = []
    const io = {
      env: {},
      stdin: (async function* () {})(),
      print: (line: string) => void lines.push(line),
      complain: () => {},
      onStopSignal: () => () => {},
      onReloadSignal: () => () => {},
    }
    const url = `http://watcher:watches@127.0.0.1:${httpPort()}`
    await adviseCommand(io).parseAsync([url, '--limit', '50'], { from: 'user' })
    const text = lines.join('\n')
    expect(text).toMatch(/% of the primary's time: select max\(n\) from item/)
    expect(text).toContain('BEGIN READ ONLY')
    const shares = [...text.matchAll(/^ *\d+\. ([\d.]+) %/gm)].map(([, share]) => Number(share))
    expect(shares.length).toBeGreaterThanOrEqual(5)
    expect(shares).toEqual(shares.toSorted((one, other) => other - one))
    const wrong = adviseCommand(io).parseAsync([url.replace('watches', 'x')], { from: 'user' })
    await expect(wrong).rejects.toThrow('needs an administrator')
  })
})

function httpPort(): number {
  return proxy.proxy.httpAddresses[0]?.port ?? 0
}

function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}
