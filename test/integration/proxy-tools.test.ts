import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianBinDir, type EmbeddedCluster, startCluster, waitFor } from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { type ProgramResult, runProgram } from '../support/run-program.ts'

const binDir = debianBinDir()

describe.skipIf(binDir === null)('tools of PostgreSQL (need /usr/lib/postgresql/15)', () => {
  let cluster: EmbeddedCluster
  let proxy: TestProxy
  let directory: string

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tools-'))
    cluster = await startCluster({ binDir: binDir ?? '', database: 'shop', replicas: 1 })
    await cluster.primary.query(
      `CREATE TABLE item (id int PRIMARY KEY, name text);
       INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 100) i;
       CREATE VIEW few AS SELECT * FROM item WHERE id < 3`,
      [],
      'shop',
    )
    await cluster.catchUp()
    proxy = await startTestProxy(cluster)
  })
  afterAll(async () => {
    await proxy?.stop()
    await cluster?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  function run(tool: string, ...args: string[]): Promise<ProgramResult> {
    return runProgram(
      `${binDir}/${tool}`,
      ['-h', '127.0.0.1', '-p', String(proxy.port), '-U', 'postgres', ...args],
      { PGPASSWORD: cluster.password, HOME: directory },
    )
  }

  /** Output of psql with unaligned rows. */
  async function psql(database: string, ...commands: string[]): Promise<string> {
    const args = commands.flatMap((command) => ['-c', command])
    const { code, out, err } = await run(
      'psql',
      '-XAt',
      '-v',
      'ON_ERROR_STOP=1',
      '-d',
      database,
      ...args,
    )
    expect(code, err).toBe(0)
    return out.trim()
  }

  it('psql describes and runs', async () => {
    expect(await psql('shop', '\\dt')).toBe('public|item|table|postgres')
    const about = ['\\d item', '\\d+ few', '\\l', '\\du', '\\df', '\\dn', '\\dx']
    const described = await run('psql', '-XA', '-d', 'shop', ...about.flatMap((c) => ['-c', c]))
    expect(described.err).toBe('')
    expect(described.out).toContain('"item_pkey" PRIMARY KEY')
    expect(await psql('shop', 'SELECT count(*) FROM item')).toBe('100')
    expect(await psql('shop', 'BEGIN', 'DELETE FROM item', 'ROLLBACK', 'TABLE few')).toBe(
      'BEGIN\nDELETE 100\nROLLBACK\n1|item 1\n2|item 2',
    )
    expect(await psql('shop', '\\copy (SELECT id FROM few) TO STDOUT')).toBe('1\n2')
    expect(await psql('shop', 'SHOW pgsplit.last_route')).toBe('nothing has run yet')
  })

  it('psql chooses the primary by target_session_attrs', async () => {
    const { code, out } = await run(
      'psql',
      ...['-XAtc', 'SELECT pg_is_in_recovery()'],
      `host=127.0.0.1 port=${proxy.port} user=postgres dbname=shop target_session_attrs=read-write`,
    )
    expect([code, out.trim()]).toEqual([0, 'f'])
    expect(await psql('shop', 'SHOW transaction_read_only')).toBe('off')
  })

  it('pg_dump dumps all of it', async () => {
    const { code, out, err } = await run('pg_dump', '-d', 'shop')
    expect(code, err).toBe(0)
    expect(out).toContain('COPY public.item (id, name) FROM stdin;')
    expect(out).toContain('100\titem 100')
    const jobs = await run('pg_dump', '-d', 'shop', '-Fd', '-j', '2', '-f', join(directory, 'dump'))
    expect(jobs.code, jobs.err).toBe(0)
  })

  it('vacuumdb and createdb reach the primary', async () => {
    expect((await run('vacuumdb', '-z', '-d', 'shop')).code).toBe(0)
    expect((await run('createdb', 'another')).code).toBe(0)
    await cluster.catchUp()
    expect(await psql('another', 'SELECT current_database()')).toBe('another')
  })

  it('a database that everybody has left can be copied, renamed and dropped', async () => {
    expect((await run('createdb', 'left')).code).toBe(0)
    await cluster.catchUp()
    const use = ['CREATE TABLE t (a int)', 'INSERT INTO t VALUES (1)', 'SELECT a FROM t']
    expect(await psql('left', ...use)).toBe('CREATE TABLE\nINSERT 0 1\n1')
    const copied = await run('createdb', '-T', 'left', 'copied')
    expect(copied.code, copied.err).toBe(0)
    expect(await psql('copied', 'SELECT a FROM t')).toBe('1')
    await psql('postgres', 'ALTER DATABASE copied RENAME TO moved')
    expect(await psql('moved', 'SELECT a FROM t')).toBe('1')
    for (const database of ['left', 'moved']) {
      const dropped = await run('dropdb', database)
      expect(dropped.code, dropped.err).toBe(0)
    }
    const gone = await run('psql', '-X', '-d', 'left', '-c', 'SELECT 1')
    expect(gone.err).toContain('database "left" does not exist')
  })

  it('a database that somebody uses can not', async () => {
    expect((await run('createdb', 'used')).code).toBe(0)
    const user = await proxy.client({ database: 'used' })
    await user.query('BEGIN')
    await user.query('CREATE TABLE t (a int)')
    const refused = await run('dropdb', 'used')
    expect(refused.err).toContain('is being accessed by other users')
    await user.end()
    expect((await run('dropdb', 'used')).code).toBe(0)
  })

  it('pg_basebackup and pg_receivewal replicate from the primary', async () => {
    const target = join(directory, 'backup')
    const backup = await run('pg_basebackup', '-D', target, '-X', 'stream', '-c', 'fast')
    expect(backup.code, backup.err).toBe(0)
    expect(readdirSync(target)).toContain('backup_manifest')
    const [row] = await cluster.primary.query('SELECT pg_current_wal_lsn()::text AS lsn')
    const wal = join(directory, 'wal')
    mkdirSync(wal)
    const receiving = run(
      'pg_receivewal',
      '-D',
      wal,
      '-E',
      String(row?.lsn),
      '-s',
      '1',
      '--no-loop',
    )
    await waitFor('WAL to be written', async () => {
      await cluster.primary.query("SELECT pg_logical_emit_message(false, 'x', 'some WAL')")
      return readdirSync(wal).length > 0
    })
    await cluster.primary.query("SELECT pg_logical_emit_message(false, 'x', 'more WAL')")
    expect((await receiving).code).toBe(0)
  })

  describe('the admin database', () => {
    it.each(['NODES', 'POOLS', 'CLIENTS', 'SERVERS', 'STATS', 'CONFIG', 'VERSION', 'HELP'])(
      'SHOW %s has rows for psql and for node-postgres',
      async (what) => {
        const busy = await proxy.client()
        await busy.query('SELECT count(*) FROM item')
        const { code, out, err } = await run('psql', '-X', '-d', 'pgsplit', '-c', `SHOW ${what}`)
        expect(code, err).toBe(0)
        expect(out + err).not.toBe('')
        const admin = await proxy.client({ database: 'pgsplit' })
        const { rows } = await admin.query(`SHOW ${what}`)
        if (what !== 'HELP') expect(rows.length).toBeGreaterThan(0)
        await admin.end()
        await busy.end()
      },
    )

    it('shows the nodes with their roles', async () => {
      const admin = await proxy.client({ database: 'pgsplit' })
      const { rows } = await admin.query('SHOW NODES')
      expect(JSON.stringify(rows)).toMatch(/"primary".*"replica"/)
      await expect(admin.query('SELECT * FROM item')).rejects.toMatchObject({
        code: expect.stringMatching(/^(0A000|42601|42704)$/),
      })
      await admin.end()
    })

    it('is for administrators', async () => {
      await proxy.with((db) => db.query("CREATE ROLE plain LOGIN PASSWORD 'plain'"))
      await expect(
        proxy.client({ user: 'plain', password: 'plain', database: 'pgsplit' }),
      ).rejects.toMatchObject({ code: '28P01' })
    })
  })
})
