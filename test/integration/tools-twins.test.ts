import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { runProgram } from '../support/run-program.ts'

const binDir = debianBinDir()
const columns = Array.from({ length: 1600 }, (_, i) => i).join(',')

/** Scripts of psql; DIR is the test's directory. */
const scripts: Readonly<Record<string, string>> = {
  'large objects': `\\lo_import DIR/large.txt
\\lo_export :LASTOID DIR/out.txt
\\! cmp DIR/large.txt DIR/out.txt && echo same
\\lo_unlink :LASTOID`,
  'its own commands': `SELECT 1 AS a, 'x' AS b \\gdesc
SELECT $1::int \\bind 7 \\g
\\d item
\\set FETCH_COUNT 10
SELECT generate_series(1, 35);
BEGIN; SELECT 1/0; ROLLBACK;
SELECT 'after';`,
  'two-phase commit': `BEGIN; CREATE TABLE tp (id int); PREPARE TRANSACTION 'tp1';
\\c
COMMIT PREPARED 'tp1';
SELECT count(*) FROM tp; DROP TABLE tp;`,
  timeouts: `SET statement_timeout = '50ms'; SELECT pg_sleep(2);
COPY (SELECT pg_sleep(2)) TO STDOUT;
BEGIN; SELECT pg_sleep(2); COMMIT; SELECT 'after';`,
  '1,600 columns': `SELECT ${columns};`,
}

describe.skipIf(binDir === null)('a tool of PostgreSQL (needs /usr/lib/postgresql/15)', () => {
  let cluster: EmbeddedCluster
  let proxy: TestProxy
  let directory: string

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'twins-'))
    writeFileSync(join(directory, 'large.txt'), 'large '.repeat(100_000))
    cluster = await startCluster({
      binDir: binDir ?? '',
      database: 'shop',
      settings: { wal_level: 'logical', max_prepared_transactions: '5' },
    })
    await cluster.primary.query(
      'CREATE TABLE item (id int PRIMARY KEY, n int); INSERT INTO item SELECT i, 0 FROM generate_series(1, 100) i',
      [],
      'shop',
    )
    await cluster.catchUp()
    proxy = await startTestProxy(cluster, { pool: { size: 2 } })
  })
  afterAll(async () => {
    await proxy?.stop()
    await cluster?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  async function run(port: number, tool: string, ...args: string[]): Promise<string> {
    const login = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-d', 'shop']
    const env = { PGPASSWORD: cluster.password, HOME: directory }
    const { code, out, err } = await runProgram(`${binDir}/${tool}`, [...login, ...args], env)
    return `${out}${err}[${code}]`.replace(/on host .*|port "?\d+"?|lo_(im|un)\w+ \d+/g, '~')
  }

  it.each(Object.entries(scripts))(
    'psql shows through pgsplit what it shows directly: %s',
    async (name, text) => {
      const file = join(directory, `${name.replace(/\W/g, '_')}.sql`)
      writeFileSync(file, text.replaceAll('DIR', directory))
      const direct = await run(cluster.primary.port, 'psql', '-XAt', '-f', file)
      expect(await run(proxy.port, 'psql', '-XAt', '-f', file)).toBe(direct)
    },
  )

  it.each(['extended', 'prepared'])('pgbench pipelines reads and writes: %s', async (mode) => {
    const file = join(directory, 'pipe.sql')
    writeFileSync(
      file,
      `\\set id random(1, 100)
\\startpipeline
SELECT n FROM item WHERE id = :id;
UPDATE item SET n = n + 1 WHERE id = :id;
SELECT n FROM item WHERE id = :id;
\\endpipeline
`,
    )
    const args = ['-n', '-M', mode, '-f', file, '-c', '8', '-t', '25']
    const report = await runProgram(
      `${binDir}/pgbench`,
      ['-h', '127.0.0.1', '-p', String(proxy.port), '-U', 'postgres', ...args, 'shop'],
      { PGPASSWORD: cluster.password, HOME: directory },
    )
    expect(report.out, report.err).toContain('number of transactions actually processed: 200/200')
    expect(report.out).toContain('number of failed transactions: 0')
  })

  it('pg_recvlogical creates, follows and drops a slot', async () => {
    const slot = ['-S', 'twin']
    const made = await run(
      proxy.port,
      'pg_recvlogical',
      '--create-slot',
      '-P',
      'test_decoding',
      ...slot,
    )
    expect(made).toBe('[0]')
    await cluster.primary.query('UPDATE item SET n = 777 WHERE id = 1', [], 'shop')
    const [end] = await cluster.primary.query(
      'SELECT pg_current_wal_flush_lsn()::text AS lsn',
      [],
      'shop',
    )
    const until = ['--start', '-f', '-', '-n', '-E', String(end?.lsn)]
    expect(await run(proxy.port, 'pg_recvlogical', ...until, ...slot)).toContain('n[integer]:777')
    expect(await run(proxy.port, 'pg_recvlogical', '--drop-slot', ...slot)).toBe('[0]')
  })
})
