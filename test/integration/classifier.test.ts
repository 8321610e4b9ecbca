import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CatalogWatch } from '../../src/catalog/catalog-watch.ts'
import { loadCatalog, prepareConnection } from '../../src/catalog/load-catalog.ts'
import type { CatalogSets } from '../../src/sql/catalog-sets.ts'
import { Classifier } from '../../src/sql/classifier.ts'
import {
  debianBinDir,
  type EmbeddedCluster,
  loadCorpusSchema,
  sql,
  startCluster,
  waitFor,
} from '../support/cluster.ts'
import { classOf, corpusFigures, isRead } from '../unit/sql/corpus-statements.ts'

const binDir = debianBinDir()

describe.skipIf(binDir === null)('the classifier (needs /usr/lib/postgresql/15)', () => {
  let cluster: EmbeddedCluster
  let client: pg.Client
  let url: string

  async function loaded(): Promise<Classifier> {
    const classifier = new Classifier()
    classifier.setCatalog(await loadCatalog(client))
    return classifier
  }

  beforeAll(async () => {
    cluster = await startCluster({ binDir: binDir ?? '', replicas: 1 })
    await loadCorpusSchema(cluster)
    url = cluster.primary.urlFor(cluster.database)
    client = new pg.Client({ connectionString: url })
    await client.connect()
    await prepareConnection(client)
  })

  afterAll(async () => {
    await client?.end()
    await cluster?.stop()
  })

  it('sends no statement of the corpus to a replica that needs the primary', async () => {
    const { misrouted, lost, reads } = corpusFigures(await loaded(), 15)
    expect(misrouted).toEqual([])
    expect(lost.length / reads).toBeLessThanOrEqual(0.03)
  })

  it('refuses to learn the catalog from a standby', async () => {
    const standby = new pg.Client({
      connectionString: cluster.replicas[0]?.urlFor(cluster.database) ?? '',
    })
    await standby.connect()
    try {
      await expect(loadCatalog(standby)).rejects.toThrow('standby')
    } finally {
      await standby.end()
    }
  })

  it('follows every way in which something unsafe can hide', async () => {
    await sql(url, HIDDEN)
    const classifier = await loaded()
    const trusted = UNSAFE.filter((text) => isRead(classOf(classifier, text).verdict))
    expect(trusted).toEqual([])
    const mistrusted = SAFE.filter((text) => !isRead(classOf(classifier, text).verdict))
    expect(mistrusted.map((text) => [text, classOf(classifier, text).reason])).toEqual([])
  })

  it('runs every statement that it trusts on a standby', async () => {
    const replica = cluster.replicas[0]?.urlFor(cluster.database) ?? ''
    await cluster.catchUp()
    for (const text of SAFE) await sql(replica, text)
  })

  it('sees DDL from elsewhere by polling, and DDL of its own at once', async () => {
    const given: (CatalogSets | null)[] = []
    const errors: Error[] = []
    const watch = new CatalogWatch({
      open: async () => {
        const connection = new pg.Client({ connectionString: url })
        connection.on('error', () => undefined)
        await connection.connect()
        return connection
      },
      pollMs: 50,
      onCatalog: (sets) => given.push(sets),
      onError: (error) => errors.push(error),
    })
    watch.start()
    try {
      await waitFor('the first sets', () => given.length === 1)
      await sql(url, 'CREATE TABLE seen (a int)')
      await waitFor('the new table', () => given.at(-1)?.relations.has('seen') === true)
      await sql(url, 'ALTER TABLE seen SET UNLOGGED')
      await waitFor('the change', () => given.at(-1)?.unsafeRelations.has('seen') === true)
      const before = given.length
      await sql(url, 'CREATE TEMP TABLE not_seen (a int)')
      await sql(url, 'ALTER TABLE seen SET LOGGED')
      watch.invalidate()
      expect(given.at(-1)).toBeNull()
      await waitFor('the sets again', () => given.at(-1)?.relations.has('seen') === true)
      expect(given.length).toBeLessThanOrEqual(before + 3)
      expect(errors).toEqual([])
    } finally {
      await watch.stop()
    }
  })
})

/** Objects that do something unsafe, one way each. */
const HIDDEN = `
CREATE SCHEMA hid; SET search_path = hid, public;
CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN INSERT INTO log(who) VALUES (''w''); RETURN 1; END';
CREATE FUNCTION w1(int) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN INSERT INTO log(who) VALUES (''w''); RETURN 1; END';
CREATE FUNCTION lying_sql() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT nextval(''public.s'')';
CREATE FUNCTION lying_atomic() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT nextval('public.s'); END;
CREATE FUNCTION calls_liar() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT lying_sql()';
CREATE FUNCTION quoted_liar() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT "nextval"/**/(''public.s'')';
CREATE FUNCTION alias_of(regclass) RETURNS bigint LANGUAGE internal IMMUTABLE AS 'nextval_oid';
CREATE FUNCTION reads_unlogged() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM public.ul';
CREATE FUNCTION reads_view() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM public.v_lock); END';
CREATE FUNCTION uses_operator(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1 OPERATOR(public.<+++>) 1';
CREATE FUNCTION with_default(a int, b int DEFAULT w()) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a';
CREATE FUNCTION takes_domain(public.dom) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION unlocks() RETURNS bool LANGUAGE sql STABLE AS 'SELECT pg_advisory_unlock(1)';
CREATE DOMAIN dom2 AS public.dom; CREATE DOMAIN plain AS int CHECK (VALUE > 0);
CREATE TYPE comp AS (a public.dom); CREATE TYPE comp2 AS (c comp);
CREATE TABLE with_domain (a public.dom); CREATE TABLE with_comp (c comp2[]); CREATE TABLE with_plain (a plain);
CREATE TYPE dr AS RANGE (SUBTYPE = public.dom);
CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE moods (m mood);
CREATE FUNCTION mood_cast(mood) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT w()'; CREATE CAST (mood AS int) WITH FUNCTION mood_cast(mood) AS IMPLICIT;
CREATE FUNCTION eq(mood, int) RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT w() = 1'; CREATE OPERATOR = (LEFTARG = mood, RIGHTARG = int, FUNCTION = eq);
CREATE TABLE parent (a int) PARTITION BY LIST (a); CREATE TABLE child1 PARTITION OF parent FOR VALUES IN (1);
CREATE UNLOGGED TABLE child2 PARTITION OF parent FOR VALUES IN (2);
CREATE TABLE old_parent (a int); CREATE FOREIGN TABLE old_child (a int) INHERITS (old_parent) SERVER files OPTIONS (filename '/etc/hostname');
CREATE VIEW over_parent AS SELECT * FROM parent; CREATE VIEW over_over AS SELECT * FROM over_parent;
CREATE VIEW sub_view AS SELECT (SELECT w()) AS x; CREATE VIEW cte_view AS WITH q AS (SELECT w()) SELECT * FROM q;
CREATE VIEW op_view AS SELECT id OPERATOR(public.<+++>) 1 FROM public.t; CREATE VIEW cast_view AS SELECT id::public.dom FROM public.t;
CREATE VIEW sample_view AS SELECT * FROM public.t TABLESAMPLE system (w()); CREATE VIEW agg_view AS SELECT public.agg_w(id) FROM public.t;
CREATE VIEW seq_view AS SELECT last_value FROM public.s; CREATE VIEW good_view AS SELECT count(*) FROM public.t;
CREATE MATERIALIZED VIEW frozen AS SELECT w();
CREATE TABLE pol (a int); CREATE POLICY p ON pol USING (EXISTS (SELECT FROM public.ul)); ALTER TABLE pol ENABLE ROW LEVEL SECURITY;
CREATE TABLE pol_off (a int); CREATE POLICY p ON pol_off USING (w() = 1);
CREATE TABLE tenant (a text); CREATE POLICY p ON tenant USING (a = current_setting('my.tenant', true)); ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION random(text) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT w()';
CREATE FUNCTION first(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT w()';
CREATE FUNCTION lower(public.t) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT w()';
CREATE TABLE "Mixed Case" (a int); CREATE UNLOGGED TABLE "Un Logged" (a int);
CREATE FUNCTION reads_spaced() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM hid."Un Logged"';
`

const UNSAFE = [
  'SELECT hid.w()',
  'SELECT hid.lying_sql()',
  'SELECT hid.lying_atomic()',
  'SELECT hid.calls_liar()',
  'SELECT hid.quoted_liar()',
  "SELECT hid.alias_of('public.s')",
  'SELECT hid.reads_unlogged()',
  'SELECT hid.reads_view()',
  'SELECT hid.uses_operator(1)',
  'SELECT hid.with_default(1)',
  'SELECT hid.takes_domain(1)',
  'SELECT hid.unlocks()',
  "SELECT '1'::hid.dom2",
  "SELECT '1'::hid.dom2[]",
  "SELECT '(1)'::hid.comp",
  "SELECT '((1))'::hid.comp2",
  'SELECT * FROM hid.with_domain',
  'SELECT * FROM hid.with_comp',
  "SELECT '[1,2]'::hid.dr",
  "SELECT hid.dr('1', '2')",
  "SELECT '{[1,2]}'::hid.dr_multirange",
  "SELECT '1'::hid._dom2",
  "SELECT '1'::hid.unheard_of",
  'SELECT NULL::hid.with_domain',
  'SELECT * FROM hid.moods',
  "SELECT 'sad'::hid.mood + 1",
  'SELECT * FROM hid.parent',
  'SELECT * FROM hid.child2',
  'SELECT * FROM hid.old_parent',
  'SELECT * FROM hid.over_over',
  'SELECT * FROM hid.sub_view',
  'SELECT * FROM hid.cte_view',
  'SELECT * FROM hid.op_view',
  'SELECT * FROM hid.cast_view',
  'SELECT * FROM hid.sample_view',
  'SELECT * FROM hid.agg_view',
  'SELECT * FROM hid.seq_view',
  'SELECT * FROM hid.pol',
  "SELECT hid.random('x')",
  'SELECT random()',
  'SELECT hid.first(1)',
  "SELECT ('s'::regclass).nextval",
  'SELECT t.lower FROM t',
  'SELECT lower(t) FROM t',
  "SELECT treat('s' AS nextval)",
  'SELECT * FROM hid."Un Logged"',
  'SELECT hid.reads_spaced()',
  "SELECT table_to_xml('v_lock', true, true, '')",
  "SELECT schema_to_xml('public', true, true, '')",
  "SELECT domain_in('1', 'dom'::regtype, -1)",
  "SELECT array_in('{1}', 'dom'::regtype, -1)",
  "SELECT current_setting('transaction_read_only')",
  "SELECT current_setting('port')",
  'SELECT current_setting($1)',
  "SELECT jsonb_populate_record(q, '{}') FROM (SELECT 1) q",
  'SELECT * FROM pg_settings',
  'SELECT * FROM pg_stat_all_tables',
  'SELECT * FROM pg_locks',
  'SELECT * FROM pg_prepared_xacts',
  'SELECT pg_backend_pid()',
  "SELECT DISTINCT ON (id) nextval('s') FROM t",
  "SELECT 1 FROM t, LATERAL (SELECT 1) x JOIN t2 ON collation for (v) = 'a', ul",
  'SELECT 1 FROM t JOIN t2 ON percentile_cont(0.5) WITHIN GROUP (ORDER BY 1) > 1, ul',
  'SELECT t.is distinct FROM ul',
  'SELECT 1 AS distinct FROM ul',
  'SELECT 1 table FROM ul',
  "SELECT * FROM ROWS FROM (generate_series(1, 2), nextval('s'))",
  "SELECT * FROM xmltable('/a' PASSING xmlelement(name a, f_write()) COLUMNS b int)",
  'SELECT * FROM t TABLESAMPLE system (1) REPEATABLE (f_write())',
  'TABLE ul',
  '(TABLE ul)',
  'SELECT 1 UNION TABLE ul',
  'VALUES ((TABLE ul))',
  'SELECT ARRAY(TABLE ul)',
]

const SAFE = [
  'SELECT * FROM hid.good_view',
  'SELECT * FROM hid.frozen',
  'SELECT * FROM hid.with_plain',
  "SELECT '1'::hid.plain",
  'SELECT * FROM hid.pol_off',
  'SELECT * FROM hid.tenant',
  'SELECT * FROM hid.child1',
  'SELECT * FROM hid."Mixed Case"',
  "SELECT current_setting('work_mem')",
  "SELECT current_setting('my.tenant', true)",
  'SELECT t.id, lower(t.v) FROM t'.replace('lower', 'upper'),
  'SELECT a.id FROM t a(id, v) JOIN t2 AS b(x, y, z) ON a.id = b.x',
  "SELECT extract(epoch FROM now()), trim(both 'x' FROM v), position('a' IN v) FROM t",
  'SELECT count(*) FILTER (WHERE id > 1) OVER (PARTITION BY v) FROM t',
  'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n',
  'SELECT * FROM (VALUES (1, 2), (3, 4)) AS x(a, b)',
  'SELECT * FROM unnest(ARRAY[1, 2]) WITH ORDINALITY AS u(a, b)',
  "SELECT * FROM json_to_recordset('[]') AS x(a int, b text)",
  "SELECT * FROM xmltable('/a' PASSING xmlelement(name a) COLUMNS b int PATH '@b')",
  'SELECT CAST(id AS numeric(10, 2)), id::varchar(3), id::timestamp(3) FROM (SELECT NULL::text AS id) x',
  "SELECT v FROM t WHERE id BETWEEN 1 AND 2 AND v LIKE 'a' ESCAPE '!' AND v IS DISTINCT FROM 'x'",
  'SELECT id, sum(id) OVER w FROM t WINDOW w AS (ORDER BY id) LIMIT 1 OFFSET 1',
  'SELECT GROUPING(id), id FROM t GROUP BY GROUPING SETS ((id), ())',
  'SELECT nullif(id, 1) FROM t',
  "SELECT c.relname, n.nspname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', '') AND pg_catalog.pg_table_is_visible(c.oid)",
  'SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a WHERE a.attnum > 0',
]
