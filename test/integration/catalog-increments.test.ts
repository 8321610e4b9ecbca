import { Client } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  CatalogLoader,
  type Changes,
  prepareConnection,
  probeChanges,
} from '../../src/catalog/load-catalog.ts'
import { catalogJson } from '../corpus/recorded-catalog.ts'
import { type ServerCluster, startServers } from '../support/cluster.ts'
import { oneOf, seededNumbers } from '../support/seeded-numbers.ts'

let cluster: ServerCluster
let ddl: Client
let one: Client
let other: Client

beforeAll(async () => {
  cluster = await startServers({ replicas: 0, database: 'shop' })
  const open = async (): Promise<Client> => {
    const client = new Client({ connectionString: cluster.primary.urlFor('shop') })
    await client.connect()
    await prepareConnection(client)
    return client
  }
  ;[ddl, one, other] = await Promise.all([open(), open(), open()])
  await ddl.query('RESET search_path')
})
afterAll(async () => {
  for (const client of [ddl, one, other]) await client?.end()
  await cluster?.stop()
})

/** N is one of a few names, so that things come, go and get into each other's way. */
const statements: readonly string[] = [
  'CREATE TABLE N (a int, b text)',
  'CREATE TABLE N (a serial PRIMARY KEY, b int REFERENCES M)',
  'CREATE UNLOGGED TABLE N (a int)',
  'CREATE TEMP TABLE N (a int)',
  'CREATE TABLE N (a int) PARTITION BY LIST (a)',
  'CREATE TABLE N PARTITION OF M FOR VALUES IN (1)',
  'CREATE TABLE N () INHERITS (M)',
  'CREATE TABLE other.N (a M[])',
  'CREATE TABLE N (a dom, c text DEFAULT f())',
  'CREATE VIEW N AS SELECT * FROM M',
  'CREATE VIEW N AS SELECT f() AS a',
  'CREATE OR REPLACE VIEW N AS SELECT v() AS a',
  'CREATE MATERIALIZED VIEW N AS SELECT f() AS a',
  'REFRESH MATERIALIZED VIEW N',
  'CREATE SEQUENCE N',
  'CREATE TYPE N AS (a int, b text)',
  "CREATE TYPE N AS ENUM ('x')",
  'CREATE TYPE _N AS (a int)',
  'CREATE DOMAIN N AS int CHECK (value > 0)',
  'CREATE DOMAIN dom AS text CHECK (v(value))',
  'CREATE TABLE _N (a int)',
  'ALTER TABLE N RENAME TO M',
  'ALTER TYPE N RENAME TO M',
  'ALTER TABLE N SET SCHEMA other',
  'ALTER TABLE other.N SET SCHEMA public',
  'ALTER SCHEMA other RENAME TO another',
  'ALTER SCHEMA another RENAME TO other',
  'ALTER TABLE N ADD COLUMN c M',
  'ALTER TABLE N DROP COLUMN IF EXISTS c',
  'ALTER TABLE N SET UNLOGGED',
  'ALTER TABLE N SET LOGGED',
  'ALTER TABLE N ENABLE ROW LEVEL SECURITY',
  'ALTER TABLE N DISABLE ROW LEVEL SECURITY',
  'CREATE POLICY p ON N USING (v())',
  'DROP POLICY IF EXISTS p ON N',
  'CREATE RULE r AS ON INSERT TO N DO ALSO SELECT v()',
  'CREATE TRIGGER t BEFORE INSERT ON N FOR EACH ROW EXECUTE FUNCTION tr()',
  'CREATE INDEX ON N (a)',
  'CREATE FUNCTION f() RETURNS text STABLE LANGUAGE sql AS $$SELECT 1::text$$',
  'CREATE OR REPLACE FUNCTION f() RETURNS text VOLATILE LANGUAGE sql AS $$SELECT 1::text$$',
  'ALTER FUNCTION f() STABLE',
  "CREATE OR REPLACE FUNCTION f() RETURNS text STABLE LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('app.a', 'b', false); RETURN 'c'; END$$",
  'CREATE FUNCTION N(M) RETURNS int STABLE LANGUAGE sql AS $$SELECT 1$$',
  'CREATE FUNCTION v() RETURNS boolean VOLATILE LANGUAGE sql AS $$SELECT true$$',
  'CREATE FUNCTION v(text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$SELECT true$$',
  'CREATE OR REPLACE FUNCTION v(text) RETURNS boolean VOLATILE LANGUAGE sql AS $$SELECT true$$',
  'CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN new; END$$',
  'DROP FUNCTION f() CASCADE',
  'DROP FUNCTION v() CASCADE',
  'DROP FUNCTION v(text) CASCADE',
  'DROP TABLE N CASCADE',
  'DROP TABLE other.N CASCADE',
  'DROP VIEW N CASCADE',
  'DROP TYPE N CASCADE',
  'DROP TYPE _N CASCADE',
  'DROP SEQUENCE N CASCADE',
  'DROP MATERIALIZED VIEW N CASCADE',
  'DROP DOMAIN IF EXISTS dom CASCADE',
  'BEGIN; CREATE TABLE N (a int); SAVEPOINT s; CREATE TABLE M (a int); ROLLBACK TO s; COMMIT',
  'BEGIN; CREATE TABLE N (a int); ROLLBACK',
]
const names = ['t', 'u', 'w', '"a b"', `${'long'.repeat(15)}xyz`]

it('is after any DDL, of which only what changed is read, as if it were read as a whole', async () => {
  const rounds = Number(process.env.PGSPLIT_INCREMENTS ?? 30)
  const random = seededNumbers(Number(process.env.PGSPLIT_INCREMENTS_SEED ?? 1))
  await ddl.query('CREATE SCHEMA other')
  const loader = new CatalogLoader()
  let changes: Changes | null = null
  let digest = ''
  let before = ''
  let count = 0
  for (let round = 0; round < rounds; round++) {
    const ran: string[] = []
    for (let left = 1 + random(4); left > 0; left--) {
      const name = oneOf(random, names)
      const text = oneOf(random, statements)
        .replace(/\bN\b/g, name)
        .replaceAll('_N', name.startsWith('"') ? '"_a b"' : `_${name}`.slice(0, 63))
        .replace(/\bM\b/g, oneOf(random, names))
      const error = await ddl.query(text).then(
        () => null,
        (failure: Error) => failure.message,
      )
      if (error !== null) await ddl.query('ROLLBACK')
      else count++
      ran.push(error === null ? text : `${text} -- ${error}`)
    }
    changes = await probeChanges(one, { last: changes })
    const now = await loader.load(one, changes)
    changes = { ...changes, state: now.state }
    const whole = await new CatalogLoader().load(other, await probeChanges(other))
    const json = catalogJson({ ...now.sets, digest: '' })
    expect({ ran, json }).toEqual({ ran, json: catalogJson({ ...whole.sets, digest: '' }) })
    for (const name of [...names, '_t', '_u', 'f', 'v', 'dom', 'int4']) {
      const bare = name.replaceAll('"', '')
      const [some, all] = [now.dependents.of([bare]), whole.dependents.of([bare])]
      expect({ ran, name, some: [...(some ?? '?')].sort() }).toEqual({
        ran,
        name,
        some: [...(all ?? '?')].sort(),
      })
    }
    if (json !== before) expect(now.sets.digest).not.toBe(digest)
    before = json
    digest = now.sets.digest
  }
  expect(count).toBeGreaterThan(rounds / 2)
}, 120_000)
