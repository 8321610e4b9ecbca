import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, sql, startCluster } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { RawClient, rows, sqlstate } from '../support/raw-client.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster({ database: 'spelt', replicas: 1 })
  await sql(cluster.primary.urlFor('spelt'), 'CREATE SCHEMA a; CREATE SCHEMA "B"')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 1 } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const long = 'x'.repeat(70)

/** Ways to say a value, by the parameter that SHOW is asked for. */
const spellings: Readonly<Record<string, readonly string[]>> = {
  work_mem: ['= 8192', "= '8192'", "= '8 MB'", '= 010240', "= ' 9216 kB '", '= DEFAULT'],
  'my.x': ['= 007', '= -007', '= +5', '= -0', '= 1.50', '= 01e3', '= .5', '= 5.', '= 2147483648'],
  'my.y': ['= TRUE', '= Word', '= "Word"', "= 'it''s'", `= ${long}`, `= "${'ä'.repeat(40)}"`],
  'my.z': ["= E'a\\tb'", '= $$dollar$$', "= U&'d\\0061t'", `= '${long}'`, "= 'a'\n  'b'", '= 1 '],
  'my.n': ['= - 5', '= /* one */ 3', '= 3 -- three', "= ''", '= 99999999999999999999', '= ON'],
  extra_float_digits: ['= 03', "= '0x2'", '= -15', '= +1', "= '1.4'", '= 0.6'],
  seq_page_cost: ['= 1e0', "= '.5'", '= 007.250', '= 1'],
  search_path: [
    `= a, "B", 'c d'`,
    "= ''",
    `= '"$user", a'`,
    '= "$user", Public',
    '= "select", "values", "begin", "out"',
    `= "${long}", 'a"b'`,
  ],
  temp_tablespaces: ["= ''", '= pg_default', '= \'pg_default\', "pg_default"'],
  datestyle: ['= German', "= 'iso, dmy'", '= SQL, YMD', "= 'US'", '= DEFAULT', '= European'],
  intervalstyle: ['= Postgres_Verbose', "= 'ISO_8601'"],
  timezone: [
    '= 3',
    '= -7.5',
    "= 'europe/berlin'",
    '= UTC',
    "= '+03:30'",
    '= DEFAULT',
    "= 'EST5EDT'",
  ],
  enable_seqscan: ['= OFF', '= 0', "= 'f'", "= 'no'", '= of', '= TRUE', '= tRue'],
  statement_timeout: ['= 90000', "= '1.5min'", "= '2 h'", '= 0'],
  client_min_messages: ['= Warning', "= 'INFO'", '= debug'],
  bytea_output: ['= ESCAPE', "= 'hex'"],
  default_transaction_isolation: ["= 'REPEATABLE READ'", "= 'serializable'"],
  default_text_search_config: ['= english', "= 'pg_catalog.german'", '= pg_catalog.german'],
  application_name: ["= 'ä b'", `= ${long}`, '= 0010'],
  role: ['= NONE', '= "postgres"'],
  synchronous_commit: ['= OFF', '= Remote_Write', "= 'local'", '= 0'],
  backslash_quote: ['= ON', '= 0', "= 'safe_encoding'"],
}

/** Statements of other forms, and what they set. */
const statements: readonly (readonly [string, string])[] = [
  ['SET TIME ZONE 3', 'timezone'],
  ['SET TIME ZONE -7.5', 'timezone'],
  ['SET TIME ZONE LOCAL', 'timezone'],
  ["SET TIME ZONE INTERVAL '-08:15' HOUR TO MINUTE", 'timezone'],
  ["SET SESSION TIME ZONE 'Asia/Kolkata'", 'timezone'],
  ["SET NAMES 'latin-1'", 'client_encoding'],
  ['SET NAMES', 'client_encoding'],
  ["SET SCHEMA 'B'", 'search_path'],
  ['SET XML OPTION DOCUMENT', 'xmloption'],
  [
    'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, DEFERRABLE',
    'default_transaction_isolation',
  ],
  ["SELECT set_config('search_path', 'a,b', false)", 'search_path'],
  ["SELECT set_config('my.x', '007', false)", 'my.x'],
  ["SELECT set_config('timezone', '3', false)", 'timezone'],
  ['SET work_mem FROM CURRENT', 'work_mem'],
  ["SET standard_conforming_strings = off; SET my.e = 'a\\tb'", 'my.e'],
]

const all = [
  ...Object.entries(spellings).flatMap(([name, ways]) =>
    ways.map((way) => [`SET ${name} ${way}`, name] as const),
  ),
  ...statements,
]

/** What SHOW says after the text, and after somebody else has used the connection. */
async function shown(
  client: RawClient,
  [text, name]: readonly [string, string],
  between: () => Promise<unknown>,
): Promise<unknown> {
  const messages = []
  for (const one of text.split('; ')) messages.push(...(await client.query(one)))
  await between()
  const said = rows(await client.query(`SHOW ${name}`))
  await client.query('DISCARD ALL')
  return { text, refused: sqlstate(messages), said }
}

describe('a setting that moves to another server connection', () => {
  it('is shown as it is where it was made, however it was spelt', async () => {
    const { password } = cluster
    const login = { user: 'postgres', password, database: 'spelt' }
    const direct = await RawClient.logIn({ ...login, port: cluster.primary.port })
    const proxied = await proxy.raw()
    const other = await proxy.raw({}, { application_name: 'other' })
    const used: unknown[] = []
    for (const one of all) {
      const expected = await shown(direct, one, async () => {})
      const found = await shown(proxied, one, async () => {
        used.push(...rows(await other.query('CREATE TABLE u (); DROP TABLE u; SELECT 1')))
      })
      expect(found).toEqual(expected)
    }
    expect(used).toHaveLength(all.length)
    for (const client of [direct, proxied, other]) client.end()
  }, 120_000)
})
