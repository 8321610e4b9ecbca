import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hbaText } from '../../src/embedded/server-settings.ts'
import { type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'

let cluster: EmbeddedCluster
let proxy: TestProxy

const web = { user: 'web', password: 'web' }

beforeAll(async () => {
  cluster = await startCluster({ database: 'shop' })
  await cluster.primary.query(
    `CREATE ROLE web LOGIN PASSWORD 'web';
     CREATE ROLE old; CREATE TABLE pr (a int); INSERT INTO pr VALUES (7);
     GRANT SELECT ON pr TO web, old;
     GRANT CREATE ON SCHEMA public TO web`,
    [],
    'shop',
  )
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
})

afterAll(async () => {
  await proxy?.stop()
  await cluster?.stop()
})

async function where(client: pg.Client): Promise<string> {
  const { rows } = await client.query('SHOW pgsplit.last_route')
  return String(rows[0]['pgsplit.last_route'])
}

/** Nothing that the session has seen keeps its reads from replicas that replay nothing. */
const toReplicas = "SET pgsplit.consistency = 'eventual'"

async function readOnReplica(client: pg.Client, text = 'SELECT a FROM pr'): Promise<void> {
  await waitFor('a read on a replica', async () => {
    await client.query(text)
    return /^r\d/.test(await where(client))
  })
}

describe('a setting that no replica can know yet', () => {
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ['a role', 'CREATE ROLE nr1; GRANT nr1 TO web; GRANT SELECT ON pr TO nr1', ['SET ROLE nr1']],
    [
      'a role by set_config()',
      'CREATE ROLE nr2; GRANT nr2 TO web; GRANT SELECT ON pr TO nr2',
      ["SELECT set_config('role', 'nr2', false)"],
    ],
    ['a membership', 'GRANT old TO web', ['SET ROLE old']],
    [
      'a text search configuration',
      'CREATE TEXT SEARCH CONFIGURATION fresh (COPY = simple)',
      ["SET default_text_search_config = 'public.fresh'"],
    ],
    [
      'a role of one transaction',
      'CREATE ROLE nr3; GRANT nr3 TO web; GRANT SELECT ON pr TO nr3',
      ['BEGIN READ ONLY', 'SET LOCAL ROLE nr3'],
    ],
    [
      'a role of one transaction by set_config()',
      'CREATE ROLE nr4; GRANT nr4 TO web; GRANT SELECT ON pr TO nr4',
      ['BEGIN READ ONLY', "SELECT set_config('role', 'nr4', true)"],
    ],
    [
      'a role of one transaction, behind a read',
      'CREATE ROLE nr5; GRANT nr5 TO web; GRANT SELECT ON pr TO nr5',
      ['BEGIN READ ONLY', 'SELECT a FROM pr', 'SET LOCAL ROLE nr5'],
    ],
    [
      'a role, before a READ ONLY transaction',
      'CREATE ROLE nr6; GRANT nr6 TO web; GRANT SELECT ON pr TO nr6',
      ['SET ROLE nr6', 'BEGIN READ ONLY'],
    ],
    [
      'a role that a built text takes',
      'CREATE ROLE nr7; GRANT nr7 TO web; GRANT SELECT ON pr TO nr7',
      ["DO $$BEGIN EXECUTE 'set ro' || 'le nr7'; END$$"],
    ],
    [
      'a role that a new function takes',
      `CREATE ROLE nr8; GRANT nr8 TO web; GRANT SELECT ON pr TO nr8;
       CREATE OR REPLACE FUNCTION take() RETURNS void LANGUAGE plpgsql AS $$BEGIN SET ROLE nr8; END$$`,
      ['SELECT take()'],
    ],
    [
      'a table access method',
      'CREATE ACCESS METHOD nr9 TYPE TABLE HANDLER heap_tableam_handler',
      ['SET default_table_access_method = nr9'],
    ],
    [
      'a text search configuration of one transaction',
      'CREATE TEXT SEARCH CONFIGURATION fresh2 (COPY = simple)',
      ['BEGIN READ ONLY', "SET LOCAL default_text_search_config = 'public.fresh2'"],
    ],
    [
      'a role by a savepoint that is rolled back to',
      'CREATE ROLE nr0; GRANT nr0 TO web; GRANT SELECT ON pr TO nr0',
      ['BEGIN READ ONLY', 'SET LOCAL ROLE nr0', 'SAVEPOINT a', 'RESET ROLE', 'ROLLBACK TO a'],
    ],
  ]

  it.each(cases)('is no error of the client: %s', async (_, made, texts) => {
    for (const isExtended of [false, true]) {
      await proxy.with(async (client) => {
        const say = (text: string) =>
          client.query({ text, ...(isExtended && { queryMode: 'extended' }) })
        await client.query(toReplicas)
        await readOnReplica(client)
        for (const replica of cluster.replicas) await replica.pauseReplay()
        try {
          if (!isExtended) await cluster.primary.query(made, [], 'shop')
          else await cluster.primary.query(again(made), [], 'shop')
          for (const text of texts) await say(isExtended ? again(text) : text)
          for (let i = 0; i < 5; i++) {
            expect((await say('SELECT a FROM pr')).rows).toEqual([{ a: 7 }])
          }
          if (texts.includes('BEGIN READ ONLY')) await say('COMMIT')
        } finally {
          for (const replica of cluster.replicas) await replica.resumeReplay()
        }
        // As soon as the replicas know it, they serve again.
        await readOnReplica(client)
      }, web)
      await cluster.catchUp()
    }
  })

  /** The same with other names. */
  function again(text: string): string {
    return text
      .replaceAll(/\b(nr\d|fresh2?)\b/g, '$1_x')
      .replace('GRANT old TO web', 'REVOKE old FROM web; GRANT old TO web')
  }
})

const admitted = hbaText()

/** How often the node has refused the role until now, as its log tells. */
async function refusals(node: EmbeddedCluster['primary'], word: string): Promise<number> {
  return (await node.logTail(100_000)).split('\n').filter((line) => line.includes(word)).length
}

async function readsGoOn(word: string): Promise<void> {
  const before = await Promise.all(cluster.replicas.map((node) => refusals(node, word)))
  const client = await proxy.client(web)
  try {
    await client.query(toReplicas)
    for (let i = 0; i < 200; i++) {
      expect((await client.query('SELECT a FROM pr')).rows).toEqual([{ a: 7 }])
    }
    expect(await where(client)).toMatch(/^primary/)
    await client.query('BEGIN READ ONLY')
    await client.query("SET LOCAL work_mem = '5MB'")
    expect((await client.query('SELECT a FROM pr')).rows).toEqual([{ a: 7 }])
    await client.query('COMMIT')
  } finally {
    await client.end()
  }
  for (const [i, node] of cluster.replicas.entries()) {
    const count = (await refusals(node, word)) - (before[i] ?? 0)
    expect(count).toBeGreaterThan(0)
    // Tries are by time, and so more on a busy machine, but far from one for each of the reads.
    expect(count).toBeLessThan(40)
  }
}

describe('a replica that refuses a log-in', () => {
  it('by pg_hba.conf is told of once, not tried for each read, and used when it admits it', async () => {
    const rejecting = hbaText([
      'host all web 127.0.0.1/32 reject',
      'host all all 127.0.0.1/32 scram-sha-256',
    ])
    for (const replica of cluster.replicas) {
      await replica.writeFiles({ 'pg_hba.conf': rejecting })
      await replica.reload()
    }
    // Connections from before are not what is asked for here.
    await proxy.stop()
    proxy = await startTestProxy(cluster)
    await readsGoOn('pg_hba.conf rejects')
    const told = proxy.log.filter((line) => line.includes('"replica_refuses"'))
    expect(told).toHaveLength(cluster.replicas.length)
    expect(told[0]).toContain('pg_hba.conf rejects connection')
    for (const replica of cluster.replicas) {
      await replica.writeFiles({ 'pg_hba.conf': admitted })
      await replica.reload()
    }
    await proxy.with(async (client) => {
      await client.query(toReplicas)
      await readOnReplica(client)
    }, web)
  }, 60_000)

  it('by a log-in trigger that writes is told of once, and not tried for each read', async (context) => {
    if (cluster.version < 17) context.skip()
    await cluster.primary.query(
      `CREATE TABLE logins (who name);
       GRANT INSERT ON logins TO public;
       CREATE FUNCTION note_login() RETURNS event_trigger LANGUAGE plpgsql AS
         $$BEGIN INSERT INTO logins VALUES (session_user); END$$;
       CREATE EVENT TRIGGER note_login ON login EXECUTE FUNCTION note_login()`,
      [],
      'shop',
    )
    try {
      await cluster.catchUp()
      await proxy.stop()
      proxy = await startTestProxy(cluster)
      await readsGoOn('cannot execute INSERT')
      const told = proxy.log.filter((line) => line.includes('"replica_refuses"'))
      expect(told.length).toBeGreaterThanOrEqual(cluster.replicas.length)
      expect(told.length).toBeLessThan(2 * cluster.replicas.length + 1)
    } finally {
      await cluster.primary.query('DROP EVENT TRIGGER note_login', [], 'shop')
    }
    await cluster.catchUp()
  }, 60_000)

  it('by a log-in trigger that refuses a role refuses each of its clients, as directly', async (context) => {
    if (cluster.version < 17) context.skip()
    await proxy.with((client) => client.query('SELECT 1'), web)
    await cluster.primary.query(
      `CREATE TABLE closed (who name); GRANT SELECT ON closed TO public;
       CREATE FUNCTION check_login() RETURNS event_trigger LANGUAGE plpgsql AS
         $$BEGIN IF EXISTS (SELECT FROM closed WHERE who = session_user) THEN
           RAISE EXCEPTION 'closed for %', session_user USING ERRCODE = '28000'; END IF; END$$;
       CREATE EVENT TRIGGER check_login ON login EXECUTE FUNCTION check_login()`,
      [],
      'shop',
    )
    try {
      const busy = await proxy.client(web)
      expect((await busy.query('SELECT a FROM pr')).rows).toEqual([{ a: 7 }])
      await cluster.primary.query("INSERT INTO closed VALUES ('web')", [], 'shop')
      // A pooled connection of the role is there.
      for (let i = 0; i < 3; i++) {
        const refused = { code: '28000', message: 'closed for web', severity: 'FATAL' }
        await expect(proxy.with((client) => client.query('SELECT 1'), web)).rejects.toMatchObject(
          refused,
        )
      }
      expect((await busy.query('SELECT a FROM pr')).rows).toEqual([{ a: 7 }])
      await busy.end()
      await cluster.primary.query('DELETE FROM closed', [], 'shop')
      await proxy.with((client) => client.query('SELECT 1'), web)
    } finally {
      await cluster.primary.query('DROP EVENT TRIGGER check_login', [], 'shop')
    }
  })
})
