import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { type ProgramResult, runProgram } from '../support/run-program.ts'

const binDir = debianBinDir()
const tables = Array.from({ length: 8 }, (_, i) => `part${i}`)

describe.skipIf(binDir === null)('tools with several jobs (need /usr/lib/postgresql/15)', () => {
  let cluster: EmbeddedCluster
  let proxy: TestProxy
  let directory: string

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'jobs-'))
    cluster = await startCluster({ binDir: binDir ?? '', database: 'shop', replicas: 1 })
    const made = tables.map(
      (name) => `CREATE TABLE ${name} (id int PRIMARY KEY, name text);
        CREATE INDEX ON ${name} (name); CLUSTER ${name} USING ${name}_pkey;
        INSERT INTO ${name} SELECT i, 'row ' || i FROM generate_series(1, 500) i;`,
    )
    await cluster.primary.query(
      `${made.join('\n')} CREATE SEQUENCE seq START 41; SELECT nextval('seq');
       ALTER TABLE part1 ADD FOREIGN KEY (id) REFERENCES part0;
       CREATE VIEW few AS SELECT * FROM part0 WHERE id < 3;
       CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
       SELECT lo_from_bytea(4711, 'large'); CREATE ROLE jobs_role`,
      [],
      'shop',
    )
    await cluster.catchUp()
    // Pools of the default size.
    proxy = await startTestProxy(cluster)
  })
  afterAll(async () => {
    await proxy?.stop()
    await cluster?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  function run(port: number, tool: string, ...args: string[]): Promise<ProgramResult> {
    const login = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres']
    const env = { PGPASSWORD: cluster.password, HOME: directory }
    return runProgram(`${binDir}/${tool}`, [...login, ...args], env)
  }

  /** Runs it through pgsplit, to a good end. */
  async function good(tool: string, ...args: string[]): Promise<string> {
    const { code, out, err } = await run(proxy.port, tool, ...args)
    expect(code, `${tool} ${args.join(' ')}: ${err}`).toBe(0)
    return out
  }

  const plain = async (port: number, database: string): Promise<string> => {
    const { out } = await run(port, 'pg_dump', '-d', database)
    return out.replace(/^\\(un)?restrict .*$/gm, '')
  }

  it('pg_dump and pg_restore with 4 jobs give a database like the first', async () => {
    const file = join(directory, 'dump')
    await good('pg_dump', '-d', 'shop', '-Fd', '-j', '4', '-f', file)
    await good('createdb', 'restored')
    await cluster.catchUp()
    await good('pg_restore', '-d', 'restored', '-j', '4', file)
    expect(await plain(proxy.port, 'restored')).toBe(await plain(cluster.primary.port, 'shop'))
    await good('pg_restore', '-d', 'restored', '-j', '4', '--clean', '--if-exists', file)
    await good('pg_restore', '-d', 'restored', '-1', '--clean', '--if-exists', file)
    expect(await plain(cluster.primary.port, 'restored')).toBe(await plain(proxy.port, 'shop'))
    await good('dropdb', '--force', 'restored')
  })

  it('vacuumdb, reindexdb and clusterdb work on all tables', async () => {
    await good('vacuumdb', '-d', 'shop', '-z', '-j', '4')
    await good('vacuumdb', '-a', '--analyze-in-stages')
    await good('reindexdb', '-d', 'shop', '-j', '4')
    await good('reindexdb', '-d', 'shop', '--concurrently', '-t', 'part2')
    await good('clusterdb', '-d', 'shop')
    await good('clusterdb', '-a')
  })

  it('pg_dumpall, createuser, dropuser and pg_isready say what they say directly', async () => {
    await good('createuser', '--createdb', 'jobs_user')
    const globals = ['pg_dumpall', '--globals-only', '--no-role-passwords'] as const
    const direct = await run(cluster.primary.port, ...globals)
    const unsalted = (text: string): string => text.replace(/^\\(un)?restrict .*$/gm, '')
    expect(unsalted(await good(...globals))).toBe(unsalted(direct.out))
    expect(direct.out).toContain('CREATE ROLE jobs_user')
    await good('dropuser', 'jobs_user')
    await good('pg_isready')
  })

  it('psql goes to another database, copies from and to files, and repeats', async () => {
    const data = join(directory, 'data.csv')
    const script = join(directory, 'script.sql')
    writeFileSync(data, '1001,one\n1002,two\n')
    writeFileSync(
      script,
      `\\copy part3 FROM '${data}' WITH (FORMAT csv)
\\copy (SELECT * FROM part3 WHERE id > 1000 ORDER BY id) TO '${data}.out'
\\! cat ${data}.out
\\copy part3 FROM '${join(directory, 'nowhere')}'
\\copy part3 FROM pstdin
1003\tthree
\\.
SELECT count(*) FROM part3;
DELETE FROM part3 WHERE id > 1000;
\\c postgres
SELECT current_database();
\\c shop postgres
SELECT current_database(), current_user;
\\c nowhere
SELECT 'still', current_database();
SELECT 1 AS one \\gset
\\echo :one
SELECT 'SELECT ' || i FROM generate_series(1, 3) i \\gexec
\\timing off
BEGIN; SELECT 1/0; COMMIT;
\\errverbose
`,
    )
    const args = ['-XAt', '-d', 'shop', '-f', script]
    const text = ({ code, out, err }: ProgramResult): string =>
      `${out}${err}[${code}]`.replace(/(port "?|port )\d+/g, 'port')
    const direct = text(await run(cluster.primary.port, 'psql', ...args))
    expect(direct).toContain('1003')
    expect(text(await run(proxy.port, 'psql', ...args))).toBe(direct)
  })
})
