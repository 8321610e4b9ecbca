import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadCatalog, prepareConnection, probeChanges } from '../../src/catalog/load-catalog.ts'
import { Classifier } from '../../src/sql/classifier.ts'
import type { StatementClass } from '../../src/sql/statement-class.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'

/** Objects that do something unseen in the text of who uses them; `sets()` sets app.x. */
const SCHEMA = `
  SET check_function_bodies = off;
  CREATE FUNCTION sets() RETURNS text LANGUAGE plpgsql AS
    $$begin execute format('set app.x = %L', 1); return 'x'; end$$;
  CREATE FUNCTION hides(t text) RETURNS text LANGUAGE plpgsql AS $$begin execute t; return t; end$$;
  CREATE FUNCTION nested() RETURNS text LANGUAGE sql AS 'select sets()';
  CREATE FUNCTION atomic() RETURNS text LANGUAGE sql BEGIN ATOMIC
    SELECT set_config('app.x', 'a', false); END;
  CREATE FUNCTION atomic_open(n text) RETURNS text LANGUAGE sql BEGIN ATOMIC
    SELECT set_config(n, 'a', false); END;
  CREATE FUNCTION by_default(t text DEFAULT sets()) RETURNS text LANGUAGE sql AS 'select 1::text';
  CREATE FUNCTION alias(text, text, boolean) RETURNS text LANGUAGE internal STRICT IMMUTABLE
    AS 'set_config_by_name';
  CREATE FUNCTION configured() RETURNS int LANGUAGE sql SET app.y = 'a' AS 'select 1';
  CREATE FUNCTION writes_on() RETURNS void LANGUAGE sql AS 'insert into on_insert values (1)';
  CREATE PROCEDURE calls() LANGUAGE plpgsql AS $$begin perform nested(); end$$;
  CREATE VIEW a_view AS SELECT sets();
  CREATE VIEW a_setting AS SELECT set_config('app.x', 'a', false);
  CREATE VIEW a_view_of_view AS SELECT * FROM a_view;
  CREATE TABLE plain (a int PRIMARY KEY, t text DEFAULT now()::text CHECK (t <> ''), s serial);
  CREATE FUNCTION on_row() RETURNS trigger LANGUAGE plpgsql AS $$begin perform sets(); return new; end$$;
  CREATE TABLE on_insert (a int);
  CREATE TRIGGER t BEFORE INSERT ON on_insert FOR EACH ROW EXECUTE FUNCTION on_row();
  CREATE TABLE on_truncate (a int);
  CREATE TRIGGER t BEFORE TRUNCATE ON on_truncate EXECUTE FUNCTION on_row();
  CREATE TABLE with_default (a int, t text DEFAULT sets());
  CREATE TABLE with_check (a int, t text CHECK (sets() IS NOT NULL));
  CREATE TABLE ruled (a int);
  CREATE RULE r AS ON UPDATE TO ruled DO ALSO SELECT sets();
  CREATE TABLE writes_elsewhere (a int);
  CREATE RULE r AS ON DELETE TO writes_elsewhere DO ALSO INSERT INTO on_insert VALUES (1);
  CREATE TABLE guarded (a int);
  CREATE POLICY p ON guarded USING (sets() IS NOT NULL);
  ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
  CREATE TABLE parent (a int) PARTITION BY LIST (a);
  CREATE TABLE child PARTITION OF parent FOR VALUES IN (1);
  CREATE TRIGGER t BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION on_row();
  CREATE TABLE referrer (a int REFERENCES plain ON DELETE CASCADE);
  CREATE TRIGGER t AFTER DELETE ON referrer FOR EACH ROW EXECUTE FUNCTION on_row();
  CREATE DOMAIN dom AS text CHECK (sets() IS NOT NULL);
  CREATE TABLE with_domain (d dom);
  CREATE TYPE pair AS (x int);
  CREATE FUNCTION to_pair(text) RETURNS pair LANGUAGE plpgsql AS $$begin perform sets(); return row(1); end$$;
  CREATE CAST (text AS pair) WITH FUNCTION to_pair(text);
  CREATE FUNCTION op(text, text) RETURNS boolean LANGUAGE plpgsql AS $$begin perform sets(); return true; end$$;
  CREATE OPERATOR @@@@ (leftarg = text, rightarg = text, function = op);
  CREATE FUNCTION step(text, text) RETURNS text LANGUAGE sql AS 'select sets()';
  CREATE AGGREGATE agg(text) (sfunc = step, stype = text);
  CREATE MATERIALIZED VIEW made AS SELECT 1 AS a;
  CREATE FUNCTION quiet(t text) RETURNS void LANGUAGE plpgsql AS $$begin
    execute format('insert into %I (a) values ($1)', t) using 1; end$$;
  CREATE FUNCTION on_quiet() RETURNS trigger LANGUAGE plpgsql AS $$begin
    new.a := new.a + 1; if tg_op = 'INSERT' then perform count(*) from plain; end if; return new; end$$;
  CREATE TABLE quiet_table (a int);
  CREATE TRIGGER t BEFORE INSERT OR UPDATE ON quiet_table FOR EACH ROW EXECUTE FUNCTION on_quiet()`

/** What a replica must not read, or plan with. */
const READS = `
  CREATE FUNCTION imm(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$begin perform pg_advisory_lock(2); return 1; end$$;
  CREATE TYPE sorted AS (x int);
  CREATE FUNCTION sorted_cmp(sorted, sorted) RETURNS int LANGUAGE plpgsql AS
    $$begin perform pg_advisory_lock(1); return 0; end$$;
  CREATE FUNCTION sorted_lt(sorted, sorted) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'select true';
  CREATE OPERATOR <<< (leftarg = sorted, rightarg = sorted, function = sorted_lt);
  CREATE OPERATOR CLASS sorted_ops DEFAULT FOR TYPE sorted USING btree AS
    OPERATOR 1 <<<, FUNCTION 1 sorted_cmp(sorted, sorted);
  CREATE TABLE of_sorted (a sorted);
  CREATE TABLE top (a int);
  CREATE TABLE below (CHECK (imm(5) = 1)) INHERITS (top);
  CREATE TABLE by_expression (a int);
  CREATE INDEX ON by_expression (imm(a));
  CREATE TABLE by_predicate (a int);
  CREATE INDEX ON by_predicate (a) WHERE imm(5) = 1;
  CREATE TABLE by_statistics (a int, b int);
  CREATE STATISTICS st ON (imm(a)), b FROM by_statistics;
  CREATE TABLE by_key (a int) PARTITION BY RANGE ((imm(a)));
  CREATE FUNCTION int_cmp(int, int) RETURNS int LANGUAGE sql AS 'select 0';
  CREATE OPERATOR CLASS int_odd_ops FOR TYPE int4 USING btree AS
    OPERATOR 1 <, OPERATOR 3 =, OPERATOR 5 >, FUNCTION 1 int_cmp(int, int);
  CREATE TABLE by_class (a int);
  CREATE INDEX ON by_class (a int_odd_ops);
  CREATE TYPE odd_range AS RANGE (subtype = int4, subtype_opclass = int_odd_ops);
  CREATE TABLE harmless (a int DEFAULT imm(5), CHECK (a > 0))`

let servers: ServerCluster
/** Loads the catalog. */
let client: pg.Client
/** Makes and changes things. */
let maker: pg.Client
const classifier = new Classifier()

function judge(sql: string): StatementClass {
  const text = Buffer.from(sql)
  return classifier.classify(text, 0, text.length, 'standard')
}

/** Names of what is set, `local` ones too; other effects by their kinds. */
function effectsOf(sql: string): string[] {
  return judge(sql).effects.flatMap((effect) => {
    if (effect.kind === 'set') return [`${effect.local ? 'local ' : ''}${effect.name}`]
    if (effect.kind === 'ddl' || effect.kind === 'copy') return []
    return [effect.kind]
  })
}

beforeAll(async () => {
  servers = await startServers({ replicas: 0 })
  client = new pg.Client({ connectionString: servers.primary.url })
  await client.connect()
  maker = new pg.Client({ connectionString: servers.primary.url })
  await maker.connect()
  await maker.query(`${SCHEMA};${READS}`)
  await prepareConnection(client)
  classifier.setCatalog(await loadCatalog(client))
})

afterAll(async () => {
  await client?.end()
  await maker?.end()
  await servers?.stop()
})

describe('what a statement may leave in its session', () => {
  it.each([
    'SELECT sets()',
    'SELECT nested()',
    'SELECT atomic()',
    'SELECT by_default()',
    'CALL calls()',
    'SELECT * FROM a_view',
    'SELECT * FROM a_setting',
    'SELECT * FROM a_view_of_view',
    'INSERT INTO on_insert VALUES (1)',
    'COPY on_insert FROM STDIN',
    'MERGE INTO on_insert o USING plain ON true WHEN NOT MATCHED THEN INSERT VALUES (1)',
    'WITH w AS (INSERT INTO on_insert VALUES (1) RETURNING 1) SELECT * FROM w',
    'SELECT writes_on()',
    'TRUNCATE on_truncate',
    'INSERT INTO with_default (a) VALUES (1)',
    'UPDATE with_default SET t = DEFAULT',
    'INSERT INTO with_check VALUES (1)',
    'UPDATE ruled SET a = 1',
    'DELETE FROM writes_elsewhere',
    'SELECT * FROM guarded',
    'DELETE FROM guarded',
    'INSERT INTO parent VALUES (1)',
    'DELETE FROM plain',
    "SELECT 'a'::dom",
    "SELECT dom 'a'",
    'INSERT INTO with_domain VALUES ($1)',
    "SELECT 'a'::text::pair",
    "SELECT 'a' @@@@ 'b'",
    'SELECT agg(t) FROM plain',
    'CREATE INDEX ON plain (sets())',
    'ALTER TABLE plain ALTER a TYPE text USING sets()',
    'CREATE TABLE other AS SELECT sets()',
    'ALTER TABLE with_check ADD b int',
    "DO $$begin execute 'select sets()'; end$$",
    'DO $$begin insert into on_insert values (1); end$$',
    "SELECT quiet('any')",
    'EXPLAIN ANALYZE INSERT INTO on_insert VALUES (1)',
    'DECLARE c CURSOR FOR SELECT sets()',
  ])('%s sets app.x', (sql) => {
    expect(effectsOf(sql)).toContain('app.x')
    expect(judge(sql).effects.some(({ kind }) => kind === 'unproved')).toBe(false)
  })

  it.each([
    "SELECT hides('x')",
    "SELECT atomic_open('x')",
    "SELECT alias('a', 'b', false)",
    'SELECT neither_known(1)',
    'INSERT INTO plain VALUES (neither_known(1))',
    'CALL neither_known()',
    'INSERT INTO neither_known VALUES (1)',
    'UPDATE s.neither_known SET a = 1',
    'DELETE FROM ONLY neither_known',
    'MERGE INTO neither_known USING plain ON true WHEN MATCHED THEN DELETE',
    'DELETE FROM plain USING neither_known',
    'COPY neither_known FROM STDIN',
    'TRUNCATE TABLE neither_known',
    'SELECT * FROM neither_known',
    "SELECT neither_known '5'",
    "SELECT query_to_xml('select 1', false, false, '')",
    "SELECT table_to_xml('plain', false, false, '')",
    "SELECT pg_create_physical_replication_slot('x', false, true)",
    'DO $$begin execute v; end$$',
    'DO $$begin perform neither_known(1); end$$',
    "DO LANGUAGE plpython3u 'x'",
    'VACUUM neither_known',
    'FROBNICATE plain',
  ])('%s is not proved', (sql) => {
    expect(effectsOf(sql)).toContain('unproved')
  })

  it.each([
    'SELECT 1',
    'SELECT * FROM plain WHERE a = 1 ORDER BY t LIMIT 5',
    "INSERT INTO plain (a, t) VALUES (1, 'a') ON CONFLICT (a) DO UPDATE SET t = excluded.t",
    'UPDATE plain SET t = lower(t) WHERE a IN (1, 2) RETURNING *',
    'INSERT INTO quiet_table (a) SELECT a FROM plain',
    'UPDATE quiet_table q SET a = 1 FROM plain p JOIN quiet_table x USING (a) WHERE p.a = q.a',
    'DELETE FROM on_insert',
    'SELECT * FROM with_check, with_default, on_insert',
    'COPY plain FROM STDIN',
    'TRUNCATE quiet_table',
    'MERGE INTO quiet_table q USING plain p ON p.a = q.a WHEN MATCHED THEN UPDATE SET a = 2',
    'CREATE TABLE fresh (a int PRIMARY KEY, b text DEFAULT now()::text, UNIQUE (b))',
    'CREATE INDEX ON plain (lower(t))',
    'ALTER TABLE plain ADD b int',
    'CREATE VIEW another AS SELECT sets()',
    'CREATE TRIGGER t2 AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION on_row()',
    'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$select sets()$$',
    'REFRESH MATERIALIZED VIEW made',
    'DO $$declare x int := 5; begin if x > 4 then update plain set a = x; end if; end$$',
    "DO $$begin execute 'update plain set a = 1'; end$$",
    'LOCK TABLE plain',
    'NOTIFY c',
    'VACUUM plain',
    "SELECT nextval('plain_s_seq')",
    'SELECT pg_notify($1, $2), clock_timestamp(), random(), gen_random_uuid()',
    'DROP TABLE plain',
    'GRANT SELECT ON plain TO public',
  ])('%s is proved to leave nothing', (sql) => {
    // What is sent to others stays in no session.
    expect(effectsOf(sql).filter((effect) => effect !== 'notify')).toEqual([])
  })

  it('tells the parameters that stay known behind a transaction', () => {
    expect(effectsOf('SELECT configured()')).toEqual(['local app.y'])
  })

  it('has what event triggers do for every DDL, and what is made anew for what relies on it', async () => {
    await maker.query(`BEGIN;
      CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS
        $$begin perform sets(); end$$;
      CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION on_event();
      CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE sql AS 'select $2'`)
    const before = await probeChanges(client)
    await maker.query('COMMIT')
    const other = new Classifier()
    expect(before.state).not.toBe('')
    other.setCatalog(await loadCatalog(client))
    const effects = (sql: string) => {
      const text = Buffer.from(sql)
      return JSON.stringify(other.classify(text, 0, text.length, 'standard').effects)
    }
    for (const sql of ['CREATE TABLE x ()', 'DROP TABLE plain', 'COMMENT ON TABLE plain IS NULL']) {
      expect(effects(sql), sql).toContain('app.x')
    }
    expect(effects("DO $$begin execute format('select %L', 'a'); end$$")).toContain('unproved')
    expect(effects('SELECT sets()')).toContain('unproved')
    await maker.query('DROP EVENT TRIGGER e; DROP FUNCTION public.format(text, text)')
  })

  it('is looked at again after every change of what it depends on', async () => {
    let { state } = await probeChanges(client)
    for (const sql of [
      'CREATE TRIGGER t3 AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION on_quiet()',
      'ALTER TABLE plain DISABLE TRIGGER t3',
      "ALTER TABLE plain ALTER t SET DEFAULT 'a'",
      'ALTER TABLE plain ADD CONSTRAINT positive CHECK (a > 0)',
      'CREATE INDEX ON plain ((a + 1))',
      'CREATE STATISTICS st2 ON (a + 1), t FROM plain',
      'ALTER TABLE referrer ADD CONSTRAINT again FOREIGN KEY (a) REFERENCES plain',
      'CREATE OPERATOR CLASS more_ops FOR TYPE int4 USING hash AS OPERATOR 1 =, FUNCTION 1 hashint4(int4)',
      'CREATE RULE r2 AS ON INSERT TO ruled DO ALSO NOTIFY x',
      'CREATE POLICY p2 ON plain WITH CHECK (a > 0)',
    ]) {
      await maker.query(sql)
      const after = await probeChanges(client)
      expect(after.state, sql).not.toBe(state)
      state = after.state
    }
  })
})

describe('what a replica may read', () => {
  it.each([
    'SELECT * FROM of_sorted ORDER BY a',
    'SELECT row(1)::sorted',
    'SELECT * FROM top',
    'SELECT * FROM below',
    'SELECT * FROM by_expression',
    'SELECT * FROM by_predicate',
    'SELECT * FROM by_statistics',
    'SELECT * FROM by_key',
    'SELECT * FROM by_class',
    'SELECT odd_range(1, 2)',
    "SELECT neither_known '5'",
  ])('is not %s', (sql) => {
    expect(['primary', 'pin']).toContain(judge(sql).verdict)
  })

  it('is a table with such a default, and every other type', () => {
    expect(judge('SELECT * FROM harmless ORDER BY a').verdict).toBe('replica')
    expect(judge("SELECT DISTINCT t FROM plain WHERE t > 'a'").verdict).toBe('replica')
  })
})
