import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ServerCluster, sql, startServers } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { oneOf, type Random, seededNumbers } from '../support/seeded-numbers.ts'

/** PGSPLIT_TENANT_READS=200000 makes it long, PGSPLIT_TENANT_SEED another one. */
const reads = Number(process.env.PGSPLIT_TENANT_READS ?? 3_000)
const seed = Number(process.env.PGSPLIT_TENANT_SEED ?? 1)
const tenants = Array.from({ length: 30 }, (_, i) => `tenant${i}`)

let cluster: ServerCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startServers({ database: 'app' })
  await sql(
    cluster.primary.urlFor('app'),
    `CREATE ROLE app LOGIN PASSWORD 'app';
     CREATE TABLE bill (tenant text, amount int);
     INSERT INTO bill SELECT 'tenant' || t, i FROM generate_series(0, 29) t, generate_series(1, 3) i;
     ALTER TABLE bill ENABLE ROW LEVEL SECURITY;
     CREATE POLICY own ON bill USING (tenant = current_setting('app.tenant', true));
     CREATE FUNCTION be(t text) RETURNS void LANGUAGE plpgsql AS $$
       BEGIN PERFORM set_config('app.tenant', t, false); END $$;
     CREATE FUNCTION be_built(t text) RETURNS void LANGUAGE plpgsql AS $$
       BEGIN EXECUTE format('set app.tenant = %L', t); END $$;
     CREATE FUNCTION be_nested(t text) RETURNS void LANGUAGE sql AS 'SELECT be_built(t)';
     CREATE FUNCTION be_atomic(t text) RETURNS text LANGUAGE sql
       BEGIN ATOMIC SELECT set_config('app.tenant', t, false); END;
     CREATE PROCEDURE be_called(t text) LANGUAGE plpgsql AS $$ BEGIN PERFORM be(t); END $$;
     CREATE TABLE login (tenant text);
     CREATE FUNCTION on_login() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN PERFORM be(new.tenant); RETURN new; END $$;
     CREATE TRIGGER t BEFORE INSERT ON login FOR EACH ROW EXECUTE FUNCTION on_login();
     GRANT ALL ON bill, login TO app`,
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 8, checkoutTimeout: '60s' } })
})
afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

const ways: readonly ((tenant: string) => string)[] = [
  (tenant) => `SELECT be('${tenant}')`,
  (tenant) => `SELECT be_built('${tenant}')`,
  (tenant) => `SELECT be_nested('${tenant}')`,
  (tenant) => `SELECT be_atomic('${tenant}')`,
  (tenant) => `CALL be_called('${tenant}')`,
  (tenant) => `INSERT INTO login VALUES ('${tenant}')`,
  (tenant) => `DO $$BEGIN EXECUTE format('set app.tenant = %L', '${tenant}'); END$$`,
  (tenant) => `DO $$BEGIN PERFORM set_config('app.tenant', '${tenant}', false); END$$`,
  (tenant) => `SET app.tenant = '${tenant}'`,
]

const look = `SELECT current_setting('app.tenant', true) AS setting,
  (SELECT string_agg(DISTINCT tenant, ' ') FROM bill) AS seen`

/** One client's life, told statement by statement: what to say, and whether it is a read. */
function* life(random: Random, mine: string): Generator<readonly string[]> {
  yield ['', look]
  for (let deeds = 1 + random(3); deeds > 0; deeds--) {
    const set = oneOf(random, ways)(mine)
    const kind = random(6)
    if (kind === 0) yield ['BEGIN', set, look, 'COMMIT']
    else if (kind === 1) yield ['BEGIN', set, look, 'ROLLBACK']
    else if (kind === 2) yield [`${set}; SELECT 1/0`]
    else yield [set]
    for (let looks = 1 + random(5); looks > 0; looks--) {
      yield [`${oneOf(random, ['', '/* pgsplit: primary */ ', '/* pgsplit: replica */ '])}${look}`]
    }
  }
}

async function said(db: pg.Client, text: string): Promise<string> {
  try {
    const result = await db.query(text)
    const last = Array.isArray(result) ? result.at(-1) : result
    return JSON.stringify(last.rows)
  } catch (error) {
    return String((error as { code?: string }).code ?? error)
  }
}

describe('thirty tenants under row security', () => {
  it('see their own rows and settings, as on connections of their own', async () => {
    const login = { user: 'app', password: 'app' }
    const wrong: string[] = []
    let looked = 0
    const be = async (mine: string, me: number): Promise<void> => {
      const random = seededNumbers(seed * 1_000_003 + me * 7919)
      while (looked < reads && wrong.length < 20) {
        const direct = new pg.Client({
          ...login,
          host: '127.0.0.1',
          port: cluster.primary.port,
          database: 'app',
        })
        await direct.connect()
        const proxied = await proxy.client(login)
        const done: string[] = []
        for (const texts of life(random, mine)) {
          for (const text of texts) {
            if (text === '') continue
            const [expected, heard] = await Promise.all([said(direct, text), said(proxied, text)])
            if (text.endsWith(look)) {
              looked++
              const { seen } = JSON.parse(heard)[0] ?? {}
              if (seen !== null && seen !== mine) wrong.push(`${mine} sees the rows of ${seen}`)
            }
            done.push(text.replace(look, 'look'))
            if (heard !== expected) wrong.push(`${mine}: ${done}: ${heard}, directly ${expected}`)
          }
        }
        await Promise.all([direct.end(), proxied.end()])
      }
    }
    await Promise.all(tenants.map(be))
    expect(wrong).toEqual([])
    expect(looked).toBeGreaterThanOrEqual(reads)
  }, 7_200_000)
})
