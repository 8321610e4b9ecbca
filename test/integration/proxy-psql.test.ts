import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { type ProgramResult, runProgram } from '../support/run-program.ts'

const binDir = debianBinDir()

/** What psql does, each time in a database of its own; psql 15 has no \bind. */
const script = String.raw`
CREATE TABLE item (id int PRIMARY KEY, name text, price numeric DEFAULT 1);
INSERT INTO item SELECT i, 'item ' || i, i * 1.5 FROM generate_series(1, 20) i;
CREATE VIEW cheap AS SELECT * FROM item WHERE price < 5;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
\d
\d item
\d+ cheap
\df twice
\sf twice
\dn
\dp item
SELECT id, name FROM item WHERE id < 3 \gdesc
SELECT count(*) AS items, max(price) AS dearest FROM item \gset
\echo :items :dearest
SELECT id % 3 AS a, id % 2 AS b, count(*) FROM item GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview
SELECT format('SELECT %s AS made', i) FROM generate_series(1, 3) i \gexec
SELECT 1 AS one \; SELECT 2 AS two \; SELECT 3 AS three;
\copy item (id, name) FROM PSTDIN
100	hundred
101	and one
\.
\copy (SELECT id, name FROM item WHERE id > 19 ORDER BY 1) TO STDOUT WITH (FORMAT csv, HEADER)
SELECT id FROM item ORDER BY id LIMIT 3 \g (format=unaligned tuples_only=on)
\set FETCH_COUNT 7
SELECT id FROM item ORDER BY id;
\unset FETCH_COUNT
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO item VALUES (1);
INSERT INTO item VALUES (200, 'kept');
SELECT count(*) FROM item;
COMMIT;
\unset ON_ERROR_ROLLBACK
\set AUTOCOMMIT off
DELETE FROM item WHERE id >= 100;
ROLLBACK;
\set AUTOCOMMIT on
SELECT count(*) FROM item;
SELECT 1/0;
\errverbose
\echo :SQLSTATE :LAST_ERROR_MESSAGE
PREPARE of_id (int) AS SELECT name FROM item WHERE id = $1;
EXECUTE of_id (3);
DEALLOCATE of_id;
\encoding LATIN1
SELECT 'é' AS e;
\encoding UTF8
SET search_path TO nowhere;
\d item
RESET search_path;
\lo_import FILE
\lo_list
\lo_export :LASTOID FILE.out
\lo_unlink :LASTOID
\c - - - -
SELECT count(*) FROM item;
\c postgres
SELECT current_database();
\conninfo
`

describe.skipIf(binDir === null)('psql (needs /usr/lib/postgresql/15)', () => {
  let cluster: EmbeddedCluster
  let proxy: TestProxy
  let directory: string

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'psql-'))
    cluster = await startCluster({ binDir: binDir ?? '', settings: { wal_level: 'logical' } })
    proxy = await startTestProxy(cluster)
  })
  afterAll(async () => {
    await proxy?.stop()
    await cluster?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const env = (): Record<string, string> => ({ PGPASSWORD: cluster.password, HOME: directory })
  const at = (port: number): string[] => ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres']

  async function run(port: number, tool: string, ...args: string[]): Promise<ProgramResult> {
    return runProgram(`${binDir}/${tool}`, [...at(port), ...args], env())
  }

  /** What psql says to a script, in a new database of that name. */
  async function says(port: number, text: string): Promise<string> {
    await cluster.primary.query('DROP DATABASE IF EXISTS shop WITH (FORCE)')
    await cluster.primary.query('CREATE DATABASE shop')
    await cluster.catchUp()
    const file = join(directory, 'script.sql')
    writeFileSync(file, text.replaceAll('PSTDIN', 'STDIN').replaceAll('FILE', `${directory}/lo`))
    writeFileSync(`${directory}/lo`, 'large object')
    const { out, err } = await run(port, 'psql', '-X', '-d', 'shop', '-f', file)
    const all = `${out}\n-- errors\n${err}`
    return all.replaceAll(`"${port}"`, '"PORT"').replace(/\b\d{5}\b/g, 'OID')
  }

  it('says the same as on a direct connection', async () => {
    const direct = await says(cluster.primary.port, script)
    expect(direct).toContain('hundred')
    expect(await says(proxy.port, script)).toBe(direct)
    expect(readFileSync(`${directory}/lo.out`, 'utf8')).toBe('large object')
  })

  it('cancels at Ctrl-C', async () => {
    const child = spawn(`${binDir}/psql`, [...at(proxy.port), '-XAt', '-d', 'postgres'], {
      env: { ...process.env, ...env() },
      stdio: 'pipe',
    })
    let all = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (all += text))
    try {
      child.stdin.write('SELECT pg_sleep(600);\n')
      await waitFor('the sleep', async () => {
        for (const node of cluster.nodes) {
          const [row] = await node.query(
            "SELECT count(*)::int AS n FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600);'",
          )
          if (row?.n === 1) return true
        }
        return false
      })
      child.kill('SIGINT')
      await waitFor('the answer', () => all.includes('canceling statement due to user request'))
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('watches until it is told to stop', async () => {
    const child = spawn(`${binDir}/psql`, [...at(proxy.port), '-XAt', '-d', 'postgres'], {
      env: { ...process.env, ...env() },
      stdio: 'pipe',
    })
    let all = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (all += text))
    try {
      child.stdin.write("SELECT 'seen' \\watch 0.05\n")
      await waitFor('three rounds', () => all.split('seen').length > 3)
      child.stdin.end()
      child.kill('SIGINT')
      await waitFor('its end', () => child.exitCode !== null)
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('what pg_dump, pg_dumpall and pg_restore carry over is the same', async () => {
    await says(proxy.port, script)
    const archive = join(directory, 'shop.dump')
    const dumped = await run(proxy.port, 'pg_dump', '-Fc', '-d', 'shop', '-f', archive)
    expect(dumped.code, dumped.err).toBe(0)
    expect((await run(proxy.port, 'createdb', 'again')).code).toBe(0)
    const restored = await run(proxy.port, 'pg_restore', '-j', '2', '-d', 'again', archive)
    expect(restored.code, restored.err).toBe(0)
    // newer ones protect what they write by random keys
    const bare = ({ out }: ProgramResult): string => out.replace(/^(.(un)?restrict) .*$/gm, '$1')
    const plain = async (port: number, database: string): Promise<string> =>
      bare(await run(port, 'pg_dump', '-d', database))
    expect(await plain(proxy.port, 'again')).toBe(await plain(cluster.primary.port, 'shop'))
    const all = await run(proxy.port, 'pg_dumpall')
    expect(all.code, all.err).toBe(0)
    expect(bare(all)).toBe(bare(await run(cluster.primary.port, 'pg_dumpall')))
  })

  it('pg_recvlogical streams what is decoded on the primary', async () => {
    const slot = ['-d', 'postgres', '-S', 'of_test']
    const made = await run(
      proxy.port,
      'pg_recvlogical',
      ...slot,
      '--create-slot',
      '-P',
      'test_decoding',
    )
    expect(made.code, made.err).toBe(0)
    await proxy.with((db) => db.query('CREATE TABLE decoded AS SELECT 42 AS answer'))
    const [row] = await cluster.primary.query('SELECT pg_current_wal_lsn()::text AS lsn')
    const end = ['-E', String(row?.lsn), '-f', '-']
    const stream = await run(proxy.port, 'pg_recvlogical', ...slot, '--start', '--no-loop', ...end)
    expect(stream.code, stream.err).toBe(0)
    expect(stream.out).toContain('table public.decoded: INSERT: answer[integer]:42')
    expect((await run(proxy.port, 'pg_recvlogical', ...slot, '--drop-slot')).code).toBe(0)
  })

  it.each(['extended', 'prepared'])('pgbench pipelines reads and writes (%s)', async (mode) => {
    const file = join(directory, 'pipeline.sql')
    const each = ['SELECT count(*) FROM piped;', 'INSERT INTO piped VALUES (:client_id);']
    writeFileSync(file, ['\\startpipeline', ...each, ...each, '\\endpipeline'].join('\n'))
    await proxy.with((db) =>
      db.query('DROP TABLE IF EXISTS piped; CREATE TABLE piped (client int)'),
    )
    const done = await run(
      proxy.port,
      'pgbench',
      ...['-n', '-M', mode, '-c', '8', '-t', '20', '-f', file, 'postgres'],
    )
    expect(done.code, done.err).toBe(0)
    const [row] = await cluster.primary.query('SELECT count(*)::int AS n FROM piped')
    expect(row?.n).toBe(320)
  })

  it.each([
    ['reindexdb', '--concurrently'],
    ['reindexdb', '-j', '2'],
    ['clusterdb'],
    ['vacuumdb', '-z', '-j', '2'],
    ['vacuumdb', '-F'],
  ])('%s %s works', async (tool, ...args) => {
    const done = await run(proxy.port, tool, ...args, '-d', 'postgres')
    expect(done.code, done.err).toBe(0)
  })
})
