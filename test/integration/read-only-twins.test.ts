import type pg from 'pg'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type ServerCluster, startServers, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: ServerCluster
let proxy: TestProxy

const schema = `
CREATE TABLE pr (a int); INSERT INTO pr VALUES (1), (2);
CREATE UNLOGGED TABLE ul (a int); INSERT INTO ul VALUES (3);
CREATE SEQUENCE s;
CREATE FUNCTION reads() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN
  RETURN (SELECT count(*) FROM pr); END$$;
CREATE FUNCTION writes() RETURNS void LANGUAGE plpgsql AS $$BEGIN INSERT INTO pr VALUES (9); END$$;
CREATE ROLE nr; GRANT SELECT ON pr TO nr;
CREATE ROLE repeater LOGIN SUPERUSER PASSWORD 'repeater';
ALTER ROLE repeater SET default_transaction_isolation = 'repeatable read'`

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(schema, [], 'shop')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
  await waitFor('a read on a replica', () =>
    proxy.with(async (db) => {
      await db.query('SELECT a FROM pr')
      const { rows } = await db.query('SHOW pgsplit.last_route')
      return /^r\d/.test(rows[0]['pgsplit.last_route'])
    }),
  )
})

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const reads: Readonly<Record<string, string>> = {
  read: 'SELECT a FROM pr ORDER BY a',
  'volatile function': 'SELECT reads()',
  'unlogged table': 'SELECT a FROM ul',
  statistics: 'SELECT count(*) > 0 AS found FROM pg_stat_activity',
  'node-local function': 'SELECT pg_is_in_recovery()',
}
const seconds: Readonly<Record<string, string>> = {
  ...reads,
  nextval: "SELECT nextval('s')",
  currval: "SELECT currval('s')",
  'temporary table': 'CREATE TEMP TABLE tt (a int)',
  'advisory lock': 'SELECT pg_advisory_xact_lock_shared(5)',
  notify: 'NOTIFY ch',
  'local role': 'SET LOCAL ROLE nr',
  'local setting': "SELECT set_config('work_mem', '5MB', true)",
  cursor: 'DECLARE c CURSOR FOR SELECT a FROM pr ORDER BY a',
  savepoint: 'SAVEPOINT sp',
  'transaction id': 'SELECT pg_current_xact_id() IS NOT NULL AS has',
  'row lock': 'SELECT a FROM pr FOR UPDATE',
  write: 'INSERT INTO pr VALUES (9)',
  'writing function': 'SELECT writes()',
  'read write': 'SET TRANSACTION READ WRITE',
  mistake: 'SELECT 1 / 0',
}
/** Behind both: what a second statement has left must be there, wherever it ran. */
const behind: Readonly<Record<string, readonly string[]>> = {
  cursor: ['FETCH 1 FROM c', 'SELECT reads()', 'FETCH ALL FROM c', 'CLOSE c'],
  savepoint: ['SELECT reads()', 'SELECT 1 / 0', 'ROLLBACK TO sp', 'SELECT a FROM pr ORDER BY a'],
  'local role': ['SELECT current_user', 'SELECT reads()', 'SELECT current_user'],
  'local setting': ['SHOW work_mem', 'SELECT reads()', 'SHOW work_mem'],
}

interface Talk {
  readonly begin: string
  readonly texts: readonly string[]
  readonly isExtended: boolean
}

function* talks(levels: readonly string[], protocols: readonly boolean[]): Generator<Talk> {
  for (const level of levels) {
    const begin = `BEGIN ISOLATION LEVEL ${level}`
    for (const first of [null, ...Object.values(reads)]) {
      for (const [name, second] of Object.entries(seconds)) {
        const last = behind[name] ?? ['SELECT reads()', 'SELECT a FROM pr ORDER BY a']
        const texts = [...(first === null ? [] : [first]), second, ...last]
        for (const isExtended of protocols) yield { begin, texts, isExtended }
      }
    }
  }
}

async function say(client: pg.Client, text: string, isExtended: boolean): Promise<string> {
  try {
    const query = { text, rowMode: 'array' as const, ...(isExtended && { queryMode: 'extended' }) }
    const { command, rows } = await client.query(query)
    return `${command} ${JSON.stringify(rows)}`
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return `${code} ${message}`
  }
}

async function hold(client: pg.Client, { begin, texts, isExtended }: Talk): Promise<string[]> {
  const answers = [await say(client, begin, isExtended)]
  for (const text of texts) answers.push(`${text}: ${await say(client, text, isExtended)}`)
  answers.push(await say(client, 'COMMIT', isExtended))
  return answers
}

/** The same talks directly and through pgsplit. */
async function compare(
  all: Iterable<Talk>,
  settings: readonly string[],
  user = 'postgres',
): Promise<number> {
  const password = user === 'postgres' ? cluster.password : user
  const direct = new Client({ connectionString: cluster.primary.urlFor('shop', user, password) })
  await direct.connect()
  let count = 0
  try {
    await proxy.with(
      async (client) => {
        for (const text of settings) await client.query(text)
        for (const talk of all) {
          const expected = await hold(direct, talk)
          expect({ talk, answers: await hold(client, talk) }).toEqual({ talk, answers: expected })
          count++
        }
      },
      { user, password },
    )
  } finally {
    await direct.end()
  }
  return count
}

const both = [false, true]
/** What the session did last on the primary keeps no read from the replicas. */
const toReplicas = "SET pgsplit.consistency = 'eventual'"

it('answers a READ ONLY transaction as PostgreSQL does, whatever comes first and second', async () => {
  const counts = await Promise.all([
    compare(talks(['READ COMMITTED READ ONLY'], both), [toReplicas]),
    compare(talks(['REPEATABLE READ READ ONLY'], both), []),
    compare(talks(['READ COMMITTED READ ONLY'], both), ["SET pgsplit.route = 'primary'"]),
    compare(talks(['SERIALIZABLE READ ONLY', 'SERIALIZABLE READ ONLY DEFERRABLE'], [false]), []),
  ])
  expect(counts.reduce((sum, count) => sum + count)).toBeGreaterThan(500)
}, 120_000)

it('answers it the same where the levels are defaults', async () => {
  const some = [...talks(['READ COMMITTED READ ONLY'], [false])].filter((_, i) => i % 3 === 0)
  const plain = some.map((talk) => ({ ...talk, begin: 'BEGIN READ ONLY' }))
  const isolation = "SET default_transaction_isolation = 'repeatable read'"
  expect(await compare(plain, [toReplicas])).toBe(plain.length)
  expect(await compare(plain, [isolation])).toBe(plain.length)
  expect(await compare(plain, [toReplicas], 'repeater')).toBe(plain.length)
}, 60_000)

it('runs its reads on a replica, for as long as nothing else is asked', async () => {
  await proxy.with(async (client) => {
    const where = async (): Promise<string> => {
      const { rows } = await client.query('SHOW pgsplit.last_route')
      return String(rows[0]['pgsplit.last_route'])
    }
    await client.query(toReplicas)
    await client.query('BEGIN READ ONLY')
    await client.query("SET LOCAL work_mem = '5MB'")
    await client.query('SAVEPOINT a')
    await client.query('SELECT a FROM pr')
    expect(await where()).toMatch(/^r\d/)
    await client.query('COMMIT')
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await client.query('SELECT a FROM pr')
    expect(await where()).toMatch(/^primary: repeatable read/)
    await client.query('COMMIT')
    // Who asks for it gets it.
    await client.query('/* pgsplit: replica */ BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await client.query('SELECT a FROM pr')
    expect(await where()).toMatch(/^r\d/)
    await client.query('DECLARE c CURSOR FOR SELECT a FROM pr')
    expect(await where()).toMatch(/^r\d/)
    await client.query('COMMIT')
    await client.query("SET pgsplit.route = 'replica'")
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
    await client.query('SELECT a FROM pr')
    expect(await where()).toMatch(/^r\d/)
    await client.query('COMMIT')
  })
})
