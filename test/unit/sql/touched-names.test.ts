import { describe, expect, it } from 'vitest'
import { Classifier } from '../../../src/sql/classifier.ts'
import type { Touched } from '../../../src/sql/touched-names.ts'

function touched(sql: string): Touched | undefined {
  const text = Buffer.from(sql)
  const { effects } = new Classifier().classify(text, 0, text.length, 'standard')
  for (const effect of effects) if (effect.kind === 'ddl') return effect.touches
  return undefined
}

describe('what a statement that changes the catalog touches', () => {
  it.each([
    'GRANT ALL ON t TO alice',
    'REVOKE SELECT ON t FROM alice',
    "COMMENT ON TABLE t IS 'x'",
    'REFRESH MATERIALIZED VIEW CONCURRENTLY mv',
    'CREATE INDEX CONCURRENTLY i ON t (a)',
    'CREATE UNIQUE INDEX IF NOT EXISTS i ON ONLY s.t USING btree (a DESC NULLS LAST, "B")',
    'DROP INDEX CONCURRENTLY IF EXISTS i',
    'ALTER INDEX i RENAME TO j',
    'CREATE ROLE r',
    'ALTER ROLE r SUPERUSER',
    'ALTER DATABASE d SET work_mem = 1',
    'CREATE USER MAPPING FOR x SERVER s',
    'DROP TABLESPACE t',
    'CREATE SCHEMA IF NOT EXISTS s AUTHORIZATION x',
    'DROP STATISTICS s',
  ])('nothing by %s', (sql) => {
    expect(touched(sql)).toEqual([])
  })

  it.each<[string, readonly string[]]>([
    ['CREATE TABLE s.t (a int)', ['t']],
    ['CREATE UNLOGGED TABLE IF NOT EXISTS "T" (a int)', ['T']],
    ['CREATE TABLE t (id serial, b int)', ['t', 't_id_seq', 't_b_seq']],
    ['CREATE TABLE t (a int) INHERITS (p, s.q)', ['t', 'p', 'q']],
    ['CREATE TABLE t PARTITION OF s.p FOR VALUES IN (1)', ['t', 'p']],
    ['CREATE FOREIGN TABLE ft (a int) SERVER x', ['ft']],
    ['CREATE OR REPLACE RECURSIVE VIEW v (n) AS SELECT 1', ['v']],
    ['CREATE MATERIALIZED VIEW IF NOT EXISTS mv AS SELECT 1', ['mv']],
    ['CREATE OR REPLACE FUNCTION s.f(a int) RETURNS int LANGUAGE sql AS $$SELECT 1$$', ['f']],
    ['CREATE AGGREGATE agg (int) (sfunc = f, stype = int)', ['agg']],
    ['CREATE TYPE mood AS ENUM ()', ['mood', '_mood']],
    ['CREATE DOMAIN d AS int CHECK (f(VALUE))', ['d', '_d']],
    ['CREATE OPERATOR s.<+> (FUNCTION = f, LEFTARG = int)', ['<+>']],
    ['CREATE INDEX ON t (f(a))', ['t']],
    ['CREATE INDEX ON t (a) WHERE f(a)', ['t']],
    ['CREATE INDEX ON t (a my_ops)', ['t']],
    ['CREATE STATISTICS s ON a, b FROM t', ['t']],
    ['CREATE POLICY p ON s.t USING (f())', ['t']],
    ['CREATE CONSTRAINT TRIGGER x AFTER UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION f()', ['t']],
    ['CREATE OR REPLACE RULE "_RETURN" AS ON SELECT TO t DO INSTEAD SELECT 1', ['t']],
    ['ALTER TABLE IF EXISTS ONLY s.t SET UNLOGGED', ['t']],
    ['ALTER TABLE t RENAME TO u', ['t', 'u']],
    ['ALTER TABLE t INHERIT p', ['t', 'p']],
    ['ALTER TABLE p ATTACH PARTITION s.c DEFAULT', ['p', 'c']],
    ['ALTER FUNCTION f(int) VOLATILE', ['f']],
    ['ALTER TYPE t ADD ATTRIBUTE a int', ['t', '_t']],
    ['ALTER POLICY p ON t USING (true)', ['t']],
    ['ALTER OPERATOR @@ (a, b) OWNER TO x', ['@@']],
    ['DROP TABLE IF EXISTS a, s.b RESTRICT', ['a', 'b']],
    ['DROP FUNCTION f(int, text), g', ['f', 'g']],
    ['DROP TRIGGER IF EXISTS x ON t', ['t']],
    ['SELECT 1 AS a INTO UNLOGGED TABLE s.t', ['t']],
  ])('%s', (sql, names) => {
    expect(touched(sql)).toEqual(names)
  })

  it.each([
    'CREATE EXTENSION x',
    'CREATE CAST (a AS b) WITH FUNCTION f(a)',
    'CREATE OPERATOR CLASS x FOR TYPE t USING btree AS FUNCTION 1 f(t, t)',
    'CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION f()',
    'CREATE SCHEMA s CREATE TABLE t (a int)',
    'CREATE TYPE r AS RANGE (subtype = int)',
    'CREATE LANGUAGE x',
    'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO x',
    'ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b',
    'ALTER EXTENSION x UPDATE',
    'DROP TABLE a CASCADE',
    'DROP SCHEMA s',
    'DROP OWNED BY x',
    'DROP CAST (a AS b)',
    'CREATE TABLE U&"\\0061" (a int)',
    'CREATE TABLE é (a int)',
    'ALTER TABLE',
    'REASSIGN OWNED BY a TO b',
    'IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y',
    'DO $$ BEGIN CREATE TABLE x(); END $$',
  ])('anything by %s', (sql) => {
    expect(touched(sql)).toBeNull()
  })
})
