import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSessions } from '../../src/drizzle/index.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { type HistoryClient, proxyClients, sessionClients } from '../support/history-client.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { seededNumbers } from '../support/seeded-numbers.ts'

/**
 * synchronous_commit is off for a commit in every way there is. It hides: in code that the client
 * calls, in what a table does, in defaults, in the server's files. Only the process that commits
 * knows, and nothing of it can be asked for.
 */
const plain = 'update own set v = $2::int where id = $1::int'
const writers: readonly (readonly [name: string, write: string])[] = [
  ['SET LOCAL in a function', 'select w_local($1, $2)'],
  ['set_config() in a function', 'select w_config($1, $2)'],
  ['a text that is put together', 'select w_execute($1, $2)'],
  ['a procedure', 'call w_procedure($1, $2)'],
  ['a CTE around a function', 'with x as (select w_local($1, $2)) select count(*) from x'],
  ['a trigger', 'update triggered set v = $2::int where id = $1::int'],
  ['a rule', 'update ruled set v = $2::int where id = $1::int'],
  ['a deferred trigger', 'update deferred set v = $2::int where id = $1::int'],
  [
    'a default of another table',
    'with x as (insert into defaulted (id) values ($1::int)) update own set v = $2::int where id = $1::int',
  ],
  [
    'a check of another table',
    'with x as (insert into checked values ($1::int)) update own set v = $2::int where id = $1::int',
  ],
  ['an operator', 'update own set v = $2::int where id = $1::int and id #&# id'],
  ['an INSTEAD OF trigger', 'update instead set v = $2::int where id = $1::int'],
  ['a view', 'select v from writing_view where i = $1::int and x = $2::int'],
]

const schema = `
CREATE TABLE own (id int PRIMARY KEY, v int);
INSERT INTO own SELECT g, 0 FROM generate_series(1, 64) g;
CREATE FUNCTION w_local(i int, x int) RETURNS int LANGUAGE plpgsql AS $$BEGIN
  SET LOCAL synchronous_commit = off; UPDATE own SET v = x WHERE id = i; RETURN x; END$$;
CREATE FUNCTION w_config(i int, x int) RETURNS int LANGUAGE sql AS $$
  SELECT set_config('synchronous_commit', 'off', true); UPDATE own SET v = x WHERE id = i RETURNING v$$;
CREATE FUNCTION w_execute(i int, x int) RETURNS void LANGUAGE plpgsql AS $$BEGIN
  EXECUTE 'set local synchronous' || '_commit = off'; UPDATE own SET v = x WHERE id = i; END$$;
CREATE FUNCTION off() RETURNS void LANGUAGE plpgsql AS $$BEGIN
  PERFORM set_config('synchronous' || chr(95) || 'commit', 'off', true); END$$;
CREATE PROCEDURE w_procedure(i int, x int) LANGUAGE plpgsql AS $$BEGIN
  SET LOCAL synchronous_commit = off; UPDATE own SET v = x WHERE id = i; COMMIT; END$$;
CREATE TABLE triggered AS SELECT * FROM own;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  PERFORM off(); UPDATE own SET v = NEW.v WHERE id = NEW.id; RETURN NEW; END$$;
CREATE TRIGGER tell AFTER UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TABLE deferred AS SELECT * FROM own;
CREATE CONSTRAINT TRIGGER tell AFTER UPDATE ON deferred DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION tell();
CREATE FUNCTION off_too() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM off(); RETURN 1; END$$;
CREATE TABLE defaulted (id int, n int DEFAULT off_too());
CREATE TABLE checked (id int CHECK (off_too() > 0));
CREATE FUNCTION off_at(int, int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN PERFORM off(); RETURN true; END$$;
CREATE OPERATOR #&# (LEFTARG = int, RIGHTARG = int, FUNCTION = off_at);
CREATE VIEW instead AS SELECT * FROM own;
CREATE TRIGGER tell INSTEAD OF UPDATE ON instead FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TABLE ruled AS SELECT * FROM own;
CREATE RULE tell AS ON UPDATE TO ruled DO ALSO
  (SELECT off(); UPDATE own SET v = NEW.v WHERE id = NEW.id);
CREATE VIEW writing_view AS SELECT i, x, w_local(i, x) AS v
  FROM generate_series(1, 64) i, generate_series(1, 4000) x;
CREATE ROLE lazy LOGIN PASSWORD 'lazy';
CREATE ROLE lazy_here LOGIN PASSWORD 'lazy';
GRANT ALL ON own TO lazy, lazy_here`

let cluster: ServerCluster
let proxy: TestProxy
let sessions: ReturnType<typeof createSessions>

beforeAll(async () => {
  cluster = await startServers({ database: 'shop' })
  await cluster.primary.query(schema, [], 'shop')
  await cluster.catchUp()
  proxy = await startTestProxy(cluster)
  sessions = createSessions({
    primary: cluster.primary.urlFor('shop'),
    replicas: cluster.replicas.map((node) => node.urlFor('shop')),
  })
  await sessions.ready
})

afterAll(async () => {
  await sessions?.close()
  await proxy?.stop()
  await cluster?.stop()
})

type Write = (client: HistoryClient, id: number, v: number) => Promise<unknown>

/** Each client writes its row and reads it back after up to 8 ms; those that saw less. */
async function staleReads(
  open: () => Promise<HistoryClient>,
  write: Write,
  rounds = 40,
): Promise<number> {
  let stale = 0
  const work = async (client: HistoryClient, id: number): Promise<void> => {
    const random = seededNumbers(id)
    const text = 'SELECT v FROM own WHERE id = $1'
    const read = async (): Promise<number> => {
      const { rows } = await client.query({ text, values: [id] })
      return Number((rows[0] as { v?: unknown }).v)
    }
    let v = await read()
    for (let round = 0; round < rounds; round++) {
      await write(client, id, ++v)
      // Not to wait for anything: a client that thinks.
      await sleep(random(9))
      if ((await read()) !== v) stale++
    }
    await client.end()
  }
  const clients = Array.from({ length: 8 }, async (_, i) => work(await open(), i + 1))
  await Promise.all(clients)
  return stale
}

const ask =
  (text: string): Write =>
  (client, id, v) =>
    client.query({ text, values: [id, v] })

const inBlock: Write = async (client, id, v) => {
  await client.query({ text: 'BEGIN' })
  await client.query({ text: 'select off()' })
  await client.query({ text: plain, values: [id, v] })
  await client.query({ text: 'COMMIT' })
}

const doBlock: Write = (client, id, v) =>
  client.query({
    text: `do $$begin set local synchronous_commit = off; update own set v = ${v} where id = ${id}; end$$`,
  })

const viaProxy = (login = {}) => proxyClients(proxy.url(login))('session', () => {})
const viaSessions = () => sessionClients(sessions)('session', () => {})

describe('shows a client its own commit that did not wait for the flush', () => {
  it.each(writers)('by %s', async (_, text) => {
    expect(await staleReads(viaProxy, ask(text))).toBe(0)
    expect(await staleReads(viaSessions, ask(text))).toBe(0)
  })

  it('by a function of its transaction, or a DO block', async () => {
    expect(await staleReads(viaProxy, inBlock)).toBe(0)
    expect(await staleReads(viaProxy, doBlock)).toBe(0)
    expect(await staleReads(viaSessions, inBlock)).toBe(0)
    expect(await staleReads(viaSessions, doBlock)).toBe(0)
  })

  it('by a configuration that changes while it writes', async () => {
    let isOver = false
    const toggling = (async () => {
      for (let i = 0; !isOver; i++) {
        await cluster.primary.configure({ synchronous_commit: i % 2 === 0 ? 'off' : 'on' })
        await sleep(40)
      }
      await cluster.primary.configure({ synchronous_commit: 'on' })
    })()
    try {
      expect(await staleReads(viaProxy, ask(plain), 80)).toBe(0)
      expect(await staleReads(viaSessions, ask(plain), 80)).toBe(0)
    } finally {
      isOver = true
      await toggling
    }
  })

  it("by a role's default, everywhere or in this database", async () => {
    // Only here: what stands in the catalog is easily seen.
    await cluster.primary.query(
      `ALTER ROLE lazy SET synchronous_commit = off;
       ALTER ROLE lazy_here IN DATABASE shop SET synchronous_commit = 'off'`,
      [],
      'shop',
    )
    const login = (user: string) => () => viaProxy({ user, password: 'lazy' })
    expect(await staleReads(login('lazy'), ask(plain))).toBe(0)
    expect(await staleReads(login('lazy_here'), ask(plain))).toBe(0)
  })
})
