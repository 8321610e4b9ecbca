import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EmbeddedCluster, sql, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { bind, close, execute, message, parse, sync } from '../support/raw-client.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

beforeAll(async () => {
  cluster = await startCluster()
  await sql(
    cluster.primary.url,
    'CREATE TABLE item (id int); INSERT INTO item SELECT generate_series(1, 50)',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster, { pool: { size: 2, preparedStatements: 5 } })
}, 120_000)

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

async function lastRoute(query: (text: string) => Promise<unknown>): Promise<string> {
  return JSON.stringify(await query('SHOW pgsplit.last_route'))
}

describe('a statement of SQL PREPARE', () => {
  it('runs on the replicas if it only reads, and pins nobody', async () => {
    await proxy.with(async (client) => {
      await client.query("SET pgsplit.consistency = 'eventual'")
      await waitFor('the catalog', async () => {
        await client.query('SELECT id FROM item')
        return /r\d:/.test(await lastRoute(async (text) => (await client.query(text)).rows))
      })
      await client.query('PREPARE reads (int) AS SELECT id FROM item WHERE id = $1')
      const nodes = new Set<string>()
      for (let i = 1; i <= 8; i++) {
        const { rows } = await client.query(`EXECUTE reads(${i})`)
        expect(rows).toEqual([{ id: i }])
        const route = await lastRoute(async (text) => (await client.query(text)).rows)
        nodes.add(/primary|r1|r2/.exec(route)?.[0] ?? route)
      }
      expect([...nodes].sort()).toEqual(['r1', 'r2'])
      const { rows } = await client.query('SHOW pgsplit.pin')
      expect(JSON.stringify(rows)).not.toContain('prepared')
    })
  })

  it('runs on the primary if it writes, or its arguments do', async () => {
    await proxy.with(async (client) => {
      await client.query('CREATE SEQUENCE prepared_sequence')
      await client.query('PREPARE reads (bigint) AS SELECT count(*) FROM item WHERE id = $1')
      const { rows } = await client.query("EXECUTE reads(nextval('prepared_sequence'))")
      expect(rows).toEqual([{ count: '1' }])
      await client.query('PREPARE writes AS INSERT INTO item VALUES (51) RETURNING id')
      expect((await client.query('EXECUTE writes')).rows).toEqual([{ id: 51 }])
    })
  })

  it('is found by a function that makes up its SQL, by its own name', async () => {
    await proxy.with(async (client) => {
      await client.query(`CREATE FUNCTION explained(what text) RETURNS SETOF text LANGUAGE plpgsql
        AS $$ DECLARE ln text; BEGIN
          FOR ln IN EXECUTE format('explain (costs off) %s', what) LOOP RETURN NEXT ln; END LOOP;
        END $$`)
      const before = await client.query("SELECT * FROM explained('SELECT id FROM item')")
      expect(before.rows).toEqual([{ explained: 'Seq Scan on item' }])
      // What it runs is proved by nothing, so it may have set a parameter that nobody knows.
      const [pin] = (await client.query('SHOW pgsplit.pin')).rows
      expect(pin?.['pgsplit.pin']).toMatch(/^may have /)
      await client.query('PREPARE named AS SELECT id FROM item')
      for (const query of ['BEGIN', "SELECT * FROM explained('execute named')", 'COMMIT']) {
        const { rows } = await client.query(query)
        if (query.startsWith('SELECT')) expect(rows).toEqual(before.rows)
      }
      const text = 'SELECT * FROM explained($1)'
      expect((await client.query(text, ['execute named'])).rows).toEqual(before.rows)
    })
  })

  it('is closed on server connections that have too many, and prepared there again', async () => {
    const client = await proxy.raw()
    for (let i = 0; i < 30; i++) {
      const answer = await client.query(`PREPARE p${i} AS SELECT ${i} FROM item WHERE id = 1`)
      expect(answer.map(({ type }) => type).join('')).toBe('CZ')
    }
    for (let i = 0; i < 60; i++) {
      const answer = await client.query(`EXECUTE p${i % 30}`)
      expect(answer.map(({ type }) => type).join('')).toBe('TDCZ')
      client.send(bind('', `p${(i * 7) % 30}`), execute(), sync)
      expect(await client.answer()).toBe('2DCZ')
    }
    client.end()
    // Asked through pgsplit itself: nobody's names are left where others look.
    const view = await proxy.raw()
    const answer = await view.query('SELECT name FROM pg_prepared_statements')
    expect(answer.map(({ type }) => type).join('')).toBe('TCZ')
    view.end()
  })

  it('is gone with its client', async () => {
    const one = await proxy.raw()
    await one.query('PREPARE mine AS SELECT 1')
    await one.query('SELECT * FROM pg_prepared_statements')
    one.end()
    const other = await proxy.raw()
    for (let i = 0; i < 6; i++) {
      const answer = await other.query('EXECUTE mine')
      expect(answer.map(({ type }) => type).join('')).toBe('EZ')
    }
    other.end()
  })

  it('is known to a Query that ends a segment', async () => {
    const client = await proxy.raw()
    await client.query('PREPARE early AS SELECT 1')
    const one = [parse('', 'SELECT 0'), bind('', ''), execute()]
    client.send(...one, message('Q', 'EXECUTE early; PREPARE late AS SELECT 2; EXECUTE late'))
    expect(await client.answer()).toBe('12DCTDCCTDCZ')
    client.send(sync)
    expect(await client.answer()).toBe('Z')
    expect((await client.query('EXECUTE late')).map(({ type }) => type).join('')).toBe('TDCZ')
    client.send(...one, message('Q', 'DEALLOCATE early; PREPARE later AS SELECT 3; SELECT 1/0'))
    expect(await client.answer()).toBe('12DCCCEZ')
    client.send(sync)
    expect(await client.answer()).toBe('Z')
    expect((await client.query('EXECUTE early')).map(({ type }) => type).join('')).toBe('EZ')
    expect((await client.query('EXECUTE later')).map(({ type }) => type).join('')).toBe('TDCZ')
    client.send(...one, message('Q', 'SELECT 1/0; DEALLOCATE late'), close('S', 'x'), sync)
    expect(await client.answer()).toBe('12DCEZ')
    expect(await client.answer()).toBe('3Z')
    client.end()
  })

  it('is explained by EXPLAIN (ROUTE)', async () => {
    await proxy.with(async (client) => {
      await client.query('PREPARE reads (int) AS SELECT id FROM item WHERE id = $1')
      await client.query('PREPARE writes AS DELETE FROM item WHERE id = 0')
      const classOf = async (text: string): Promise<unknown> =>
        (await client.query(`EXPLAIN (ROUTE) ${text}`)).rows[0].class
      // While the catalog is read anew nothing is proved.
      await expect.poll(() => classOf('EXECUTE reads(1)'), { timeout: 10_000 }).toBe('replica')
      expect(await classOf('EXECUTE writes')).toBe('primary')
      await expect(classOf('EXECUTE nothing')).rejects.toThrow(
        'prepared statement "nothing" does not exist',
      )
    })
  })
})
