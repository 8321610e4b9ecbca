import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, sql, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { oneOf, type Random, seededNumbers } from '../support/seeded-numbers.ts'

const tenants = ['acme', 'bolt', 'coda', 'dune', 'echo', 'fuse']

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'tenants' })
  await sql(
    cluster.primary.urlFor('tenants'),
    `CREATE ROLE app LOGIN PASSWORD 'app';
     CREATE TABLE bill (tenant text, amount int);
     INSERT INTO bill SELECT t, i FROM unnest('{${tenants}}'::text[]) t, generate_series(1, 3) i;
     ALTER TABLE bill ENABLE ROW LEVEL SECURITY;
     CREATE POLICY own ON bill USING (tenant = current_setting('my.tenant'));
     CREATE TABLE note (tenant text, text text);
     INSERT INTO note SELECT t, 'of ' || t FROM unnest('{${tenants}}'::text[]) t;
     INSERT INTO note VALUES ('', 'of nobody');
     ALTER TABLE note ENABLE ROW LEVEL SECURITY;
     CREATE POLICY own ON note USING (tenant = current_setting('my.tenant', true));
     CREATE POLICY unset ON note USING (current_setting('my.tenant', true) IS NULL AND tenant = 'acme');
     GRANT ALL ON bill, note TO app`,
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 2, checkoutTimeout: '20s' } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

/** A client and what PostgreSQL would have in `my.tenant`: null = never set. */
interface Tenant {
  readonly db: pg.Client
  now: string | null
}

const app = { user: 'app', password: 'app' }

/** Looks at both tables on a replica or the primary; what comes must be the tenant's own. */
async function look({ db, now }: Tenant, random: Random): Promise<void> {
  const where = oneOf(random, ['', '/* pgsplit: primary */ ', '/* pgsplit: replica */ '])
  const bills = await db.query(`${where}SELECT DISTINCT tenant FROM bill`).then(
    ({ rows }) => rows.map(({ tenant }) => tenant),
    (error) => error.code,
  )
  const expected = now === null ? '42704' : now === '' ? [] : [now]
  expect(bills, `bills of ${now} ${where}`).toEqual(expected)
  if (now === null) return
  const notes = await db.query({
    text: `${where}SELECT tenant FROM note WHERE tenant > $1`,
    values: [random(2) === 0 ? '' : 'A'],
  })
  expect(notes.rows).toEqual(now === '' ? [] : [{ tenant: now }])
}

async function lookInBlock(tenant: Tenant, local: string | null): Promise<void> {
  const { rows } = await tenant.db.query('SELECT tenant FROM note')
  const now = local ?? tenant.now
  expect(rows, `in a block, ${now}`).toEqual([{ tenant: now === null ? 'acme' : now }])
}

type Deed = (tenant: Tenant, random: Random) => Promise<void>

const deeds: readonly Deed[] = [
  async (tenant, random) => {
    const own = oneOf(random, tenants)
    await tenant.db.query(
      oneOf(random, [
        `SET my.tenant = '${own}'`,
        `SELECT set_config('my.tenant', '${own}', false)`,
      ]),
    )
    tenant.now = own
  },
  async (tenant, random) => {
    const own = oneOf(random, tenants)
    await tenant.db.query(oneOf(random, ['BEGIN', 'BEGIN READ ONLY']))
    await tenant.db.query(`SET LOCAL my.tenant = '${own}'`)
    await lookInBlock(tenant, own)
    await tenant.db.query(oneOf(random, ['COMMIT', 'ROLLBACK']))
    tenant.now ??= ''
  },
  async (tenant, random) => {
    const own = oneOf(random, tenants)
    await tenant.db.query('BEGIN')
    await tenant.db.query("SELECT set_config('my.tenant', $1, true)", [own])
    await lookInBlock(tenant, own)
    await tenant.db.query('COMMIT')
    tenant.now ??= ''
  },
  async (tenant, random) => {
    await tenant.db.query('BEGIN')
    await tenant.db.query(`SET my.tenant = '${oneOf(random, tenants)}'`)
    if (random(2) === 0) await tenant.db.query('SELECT 1/0').catch(() => {})
    await tenant.db.query('ROLLBACK')
    tenant.now ??= ''
  },
  async (tenant, random) => {
    const own = oneOf(random, tenants)
    await tenant.db.query('BEGIN')
    await tenant.db.query(`SET my.tenant = '${own}'`)
    await tenant.db.query('SAVEPOINT a')
    await tenant.db.query(`SET my.tenant = '${oneOf(random, tenants)}'`)
    await tenant.db.query('ROLLBACK TO a')
    await lookInBlock(tenant, own)
    await tenant.db.query('COMMIT')
    tenant.now = own
  },
  async (tenant) => {
    await tenant.db.query('RESET my.tenant')
    tenant.now = ''
  },
  async (tenant, random) => {
    await tenant.db.query(oneOf(random, ['RESET ALL', 'DISCARD ALL']))
    if (tenant.now !== null) tenant.now = ''
  },
  async (tenant) => {
    if (tenant.now === null || tenant.now === '') return
    const { rowCount } = await tenant.db.query('UPDATE bill SET amount = amount + 1')
    expect(rowCount).toBe(3)
  },
]

describe('rows that belong to my.tenant, with 2 server connections per node', () => {
  it.each([1, 2])(
    'are seen by nobody else on any node, whatever 10 sessions do, seed %i',
    async (seed) => {
      const live = async (me: number): Promise<void> => {
        const random = seededNumbers(seed * 1_000_003 + me * 7919)
        for (let lives = 0; lives < 3; lives++) {
          const tenant: Tenant = { db: await proxy.client(app), now: null }
          // At first it has set nothing, and sees what PostgreSQL shows such a session: an error.
          await look(tenant, random)
          for (let i = 0; i < 12; i++) {
            await oneOf(random, deeds)(tenant, random)
            await look(tenant, random)
          }
          await tenant.db.end()
        }
      }
      await Promise.all(Array.from({ length: 10 }, (_none, me) => live(me)))
    },
    120_000,
  )
})
