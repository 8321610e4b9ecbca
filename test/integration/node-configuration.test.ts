import { sql } from 'drizzle-orm'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isLevelled } from '../../src/catalog/node-parameters.ts'
import { createSessions } from '../../src/drizzle/index.ts'
import { createSessions as createJsSessions } from '../../src/drizzle/postgres-js/index.ts'
import { type ServerCluster, type ServerNode, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: ServerCluster
let proxy: TestProxy
let direct: pg.Client
let through: pg.Client

interface Parameter {
  readonly name: string
  readonly context: string
  readonly vartype: string
  readonly setting: string
  readonly min_val: string | null
  readonly max_val: string | null
  readonly enumvals: string[] | null
}

/** Other values for parameters that are texts. */
const TEXTS: Readonly<Record<string, string>> = {
  datestyle: 'German, DMY',
  timezone: 'Asia/Kathmandu',
  timezone_abbreviations: 'Australia',
  default_text_search_config: 'pg_catalog.german',
  search_path: 'elsewhere, public',
  lc_monetary: 'C.UTF-8',
  lc_numeric: 'C.UTF-8',
  lc_time: 'C.UTF-8',
  application_name: 'of the node',
  restrict_nonsystem_relation_kind: 'foreign-table',
}

function otherValue({
  name,
  vartype,
  setting,
  min_val,
  max_val,
  enumvals,
}: Parameter): string | null {
  if (name === 'default_transaction_isolation') return 'repeatable read'
  if (name === 'client_min_messages') return 'warning'
  if (vartype === 'bool') return setting === 'on' ? 'off' : 'on'
  if (vartype === 'enum') return enumvals?.find((value) => value !== setting) ?? null
  if (vartype === 'string') return TEXTS[name.toLowerCase()] ?? null
  if (name.endsWith('timeout')) return '3600000'
  const more = Number(setting) + 1
  return more <= Number(max_val) ? String(more) : String(min_val)
}

/** Each shows a setting in what it answers. */
const QUERIES = [
  "SELECT v, v::text, to_char(v, 'TMMonth') FROM thing",
  "SELECT v - interval '1 day 2 hours', age(v, 'epoch') FROM thing",
  "SELECT interval '1 year 2 mons -3 days 04:05:06'",
  "SELECT v AT TIME ZONE 'UTC', now() - now(), extract(timezone FROM v) FROM thing",
  "SELECT '03.02.2024'::date, '2024-02-03 04:05 EST'::timestamptz",
  'SELECT bytes, bytes::text, f, f::text, f4, f4::text FROM thing',
  "SELECT to_tsvector('running houses'), to_tsquery('running')",
  "SELECT '1.5'::money, to_char(1234.5, '9G999D9L')",
  "SELECT '{1,NULL}'::text[], quote_ident('select'), quote_ident('plain')",
  'SELECT xmlelement(name a, bytes), note FROM thing',
  "SELECT pg_get_viewdef('seen'::regclass), pg_get_indexdef('thing_pkey'::regclass)",
  'SELECT NULL = NULL AS same, id FROM thing WHERE note = NULL',
  "SELECT current_schemas(true), to_regclass('thing')",
  "SELECT current_setting('app.mode', true), id FROM thing",
  "SELECT current_setting('work_mem'), current_setting('log_statement'), id FROM thing",
  'SELECT count(*) FROM thing WHERE words @@ to_tsquery($$run$$)',
]

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(
    `CREATE SCHEMA elsewhere;
     CREATE TABLE thing (id int PRIMARY KEY, v timestamptz, bytes bytea, f float8, f4 float4,
       note text, words tsvector);
     INSERT INTO thing VALUES (1, '2024-02-03 04:05:06.789+00', '\\x00ff41', 0.1 + 0.2, 0.1, NULL,
       to_tsvector('english', 'he was running'));
     CREATE VIEW seen AS SELECT id AS "select", v FROM thing;
     CREATE TABLE elsewhere.thing AS SELECT * FROM thing WHERE false;
     CREATE ROLE tenant LOGIN PASSWORD 'tenant';
     GRANT SELECT ON thing, seen TO tenant;
     ALTER ROLE tenant SET extra_float_digits = -3;
     ALTER DATABASE shop SET intervalstyle = 'sql_standard'`,
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { routing: { balancer: 'round-robin' } })
  direct = new pg.Client({ connectionString: cluster.primary.urlFor('shop') })
  await direct.connect()
  through = await proxy.client()
}, 120_000)

afterAll(async () => {
  await through?.end()
  await direct?.end()
  await proxy?.stop()
  await cluster?.stop()
})

async function configure(node: ServerNode, values: ReadonlyMap<string, string>): Promise<void> {
  for (const [name, value] of values) {
    const set = node.query(`ALTER SYSTEM SET ${name} = '${value}'`)
    // PostgreSQL 15 takes no parameters of nobody's there.
    await (name.includes('.') ? set.catch(() => {}) : set)
  }
  await node.query('SELECT pg_reload_conf()')
}

async function parameters(): Promise<Parameter[]> {
  const { rows } = await direct.query<Parameter>(
    'SELECT name, context, vartype, setting, min_val, max_val, enumvals FROM pg_settings',
  )
  return rows
}

const levelled = async () =>
  (await parameters()).filter(
    ({ name, context }) =>
      // Some show nothing but who asks, or would end the connections of the test.
      isLevelled(name, context) &&
      !['client_encoding', 'standard_conforming_strings'].includes(name),
  )

/** Every answer of both replicas, and what the primary gives directly. */
async function differences(db: pg.Client, model: pg.Client): Promise<string[]> {
  const found = new Set<string>()
  const texts = [
    ...QUERIES,
    ...(await levelled()).map(({ name }) => `SELECT current_setting('${name}'), id FROM thing`),
  ]
  for (const text of texts) {
    const expected = await answer(model, text)
    for (let i = 0; i < 3; i++) {
      const got = await answer(db, text)
      if (got !== expected) found.add(`${text}: ${got} in place of ${expected}`)
    }
  }
  return [...found]
}

async function answer(db: pg.Client, text: string): Promise<string> {
  try {
    const types = { getTypeParser: () => (value: string) => value }
    const { rows } = await db.query({
      text,
      rowMode: 'array',
      types,
    } as unknown as pg.QueryArrayConfig)
    return JSON.stringify(rows)
  } catch (error) {
    return `error: ${(error as pg.DatabaseError).code}`
  }
}

/** Nodes that answer reads now. */
async function nodesOf(db: pg.Client): Promise<Set<string>> {
  const nodes = new Set<string>()
  for (let i = 0; i < 10; i++) {
    await db.query('SELECT id FROM thing')
    const { rows } = await db.query('SHOW pgsplit.last_route')
    nodes.add(String(rows[0]['pgsplit.last_route']).split(':')[0] ?? '')
  }
  return nodes
}

async function expectAlike(what: string): Promise<void> {
  let left: string[] = ['nothing was compared']
  await waitFor(
    `all nodes to answer alike ${what}`,
    async () => {
      left = await differences(through, direct)
      return left.length === 0
    },
    30_000,
  ).catch(() => {})
  expect(left).toEqual([])
}

describe('a cluster whose nodes are configured apart', () => {
  it('answers from replicas as the primary does', async () => {
    const [r1, r2] = cluster.replicas
    if (r1 === undefined || r2 === undefined) throw new Error('there are no two replicas')
    const changed = new Map<string, string>()
    for (const parameter of await levelled()) {
      const value = otherValue(parameter)
      if (value !== null) changed.set(parameter.name, value)
    }
    expect(changed.size).toBeGreaterThan(25)
    // The node's own business, whose values are told of the primary nevertheless.
    changed.set('work_mem', '7MB').set('log_statement', 'ddl')
    const names = [...changed]
    await configure(r1, changed)
    await configure(r2, new Map(names.filter((_, i) => i % 2 === 0)))
    await expectAlike('while replicas have values of their own')
    await waitFor('both replicas to read', async () => {
      const nodes = await nodesOf(through)
      return nodes.has('r1') && nodes.has('r2')
    })
    expect(proxy.log.some((line) => line.includes('settings_levelled'))).toBe(true)
  }, 90_000)

  it('keeps the order of who may say what: server, database, role, client, session', async () => {
    const user = { user: 'tenant', password: 'tenant' }
    const options = '-c bytea_output=escape'
    const own = new pg.Client({
      connectionString: proxy.url({ database: 'shop', ...user }),
      options,
    })
    const model = new pg.Client({
      connectionString: cluster.primary.urlFor('shop').replace(/\/\/[^@]*@/, '//tenant:tenant@'),
      options,
    })
    await Promise.all([own.connect(), model.connect()])
    for (const setting of [
      "SET datestyle = 'SQL'",
      'RESET datestyle',
      'RESET ALL',
      'DISCARD ALL',
    ]) {
      await Promise.all([own.query(setting), model.query(setting)])
      expect(await differences(own, model)).toEqual([])
    }
    await Promise.all([own.end(), model.end()])
  }, 60_000)

  it('follows what changes while sessions live: roles, and the primary itself', async () => {
    await cluster.primary.query("ALTER DATABASE shop SET bytea_output = 'escape'", [], 'shop')
    await cluster.catchUp()
    direct = await again(direct)
    await expectAlike('after ALTER DATABASE')
    await configure(
      cluster.primary,
      new Map([
        ['datestyle', 'SQL, DMY'],
        ['timezone', 'America/New_York'],
        ['extra_float_digits', '-2'],
        ['app.mode', 'of the primary'],
      ]),
    )
    direct = await again(direct)
    await expectAlike('after a change on the primary')
  }, 90_000)

  it('shows an in-process door the same', async () => {
    const nodes = {
      primary: cluster.primary.urlFor('shop'),
      replicas: cluster.replicas.map((node) => node.urlFor('shop')),
    }
    const text = `SELECT v::text AS v, f::text AS f, interval '1 day'::text AS i, bytes::text AS b,
      current_setting('TimeZone') AS z FROM thing`
    const { rows } = await direct.query(text)
    for (const sessions of [createSessions(nodes), createJsSessions(nodes)]) {
      await sessions.ready
      for (let i = 0; i < 6; i++) {
        const result = await sessions.getSession().execute(sql.raw(text))
        const got = Array.isArray(result) ? [...result] : (result as { rows: unknown[] }).rows
        expect(got).toEqual(rows)
      }
      await sessions.close()
    }
  }, 60_000)

  async function again(client: pg.Client): Promise<pg.Client> {
    await client.end()
    const next = new pg.Client({ connectionString: cluster.primary.urlFor('shop') })
    await next.connect()
    return next
  }
})
