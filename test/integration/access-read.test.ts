import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  debianBinDir,
  loadCorpusSchema,
  type ServerCluster,
  sql,
  startServers,
  testProvider,
  waitFor,
} from '../support/cluster.ts'
import { startTestProxy, type TestProxy } from '../support/proxy.ts'
import { runProgram } from '../support/run-program.ts'
import { front } from '../support/scripted-messages.ts'
import { corpusStatements, isRead } from '../unit/sql/corpus-statements.ts'

const binDir = debianBinDir()
const isThere = testProvider === 'containers' || binDir !== null

/** Every form of every statement, in place of a quarter of them. */
const isAll = process.env.PGSPLIT_ACCESS_READ === 'all'

interface Case {
  readonly sql: string
  readonly expect: string
  readonly also_ok?: readonly string[]
  readonly params?: readonly unknown[]
}

interface Outcome {
  /** SQLSTATE; null: it has run. */
  readonly code: string | null
  readonly message: string
}

/** What the tables hold, what there is, and whether any transaction has written at all. */
const stateSql = `SELECT json_build_object(
  'xid', pg_snapshot_xmax(pg_current_snapshot())::text,
  'classes', (SELECT md5(string_agg(concat(oid, relname, relkind, relowner, relacl, reloptions,
     relpersistence, relfilenode, relhasindex), ',' ORDER BY oid)) FROM pg_class),
  'procs', (SELECT md5(string_agg(concat(oid, proname, prosrc, proconfig), ',' ORDER BY oid)) FROM pg_proc),
  'roles', (SELECT md5(string_agg(concat(oid, rolname, rolsuper, rolpassword), ',' ORDER BY oid)) FROM pg_authid),
  'defaults', (SELECT count(*) FROM pg_db_role_setting),
  'objects', (SELECT count(*) FROM pg_largeobject_metadata),
  'prepared', (SELECT count(*) FROM pg_prepared_xacts),
  'slots', (SELECT count(*) FROM pg_replication_slots WHERE slot_name NOT LIKE 'pgsplit%'),
  'locks', (SELECT count(*) FROM pg_locks WHERE locktype IN ('advisory', 'userlock')
     OR (mode LIKE '%Exclusive%' AND locktype = 'relation')),
  'settings', (SELECT md5(string_agg(name || '=' || coalesce(setting, ''), ',' ORDER BY name))
     FROM pg_settings WHERE name <> 'application_name'),
  'queue', pg_notification_queue_usage(),
  'databases', (SELECT string_agg(datname, ',' ORDER BY oid) FROM pg_database))::text AS state`

describe.skipIf(!isThere)('access: read (needs /usr/lib/postgresql/15 or containers)', () => {
  let cluster: ServerCluster
  let proxy: TestProxy
  let directory: string
  let cases: readonly Case[]

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'pgsplit-read-'))
    cluster = await startServers({
      binDir: binDir ?? '',
      settings: { log_statement: 'all', log_line_prefix: '%a|', autovacuum: 'off' },
    })
    await loadCorpusSchema(cluster)
    cases = corpusStatements(cluster.version)
    const own = { password: 'unused', serverPassword: cluster.password }
    // A superuser: whatever the role could do.
    proxy = await startTestProxy(cluster, {
      auth: { method: 'trust', users: [{ name: 'postgres', ...own, access: 'read' }] },
      pool: { size: 4 },
    })
    await proxy.with(async (client) => {
      await waitFor('the catalog', async () => {
        await client.query('SELECT count(*) FROM t')
        const { rows } = await client.query('SHOW pgsplit.last_route')
        return /^r[12]: /.test(rows[0]['pgsplit.last_route'])
      })
    })
  })
  afterAll(async () => {
    await proxy?.stop()
    await cluster?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  async function state(): Promise<Record<string, unknown>> {
    const url = cluster.primary.urlFor(cluster.database)
    const [row] = await sql<{ state: string }>(url, stateSql)
    const tables = await sql<{ name: string; what: string }>(
      url,
      `SELECT oid::regclass::text AS name,
        CASE relkind WHEN 'S' THEN 'concat(last_value, is_called)' ELSE 'x::text' END AS what FROM pg_class WHERE relkind IN ('r', 'm', 'S')
        AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
        ORDER BY 1`,
    )
    const sums = tables.map(
      ({ name, what }) =>
        `SELECT md5(coalesce(string_agg(${what}, ',' ORDER BY ${what}), '')) FROM ${name} x`,
    )
    const rows = await sql<{ md5: string }>(url, sums.join(' UNION ALL '))
    return { ...JSON.parse(row?.state ?? '{}'), tables: tables.map(({ name }) => name), rows }
  }

  async function ask(client: pg.Client, query: string | pg.QueryConfig): Promise<Outcome> {
    try {
      await client.query(query)
      return { code: null, message: '' }
    } catch (error) {
      const { code, message } = error as { code?: string; message: string }
      return { code: code ?? 'closed', message }
    }
  }

  /** All the ways to say it. */
  function formsOf({ sql: text, params }: Case): (string | pg.QueryConfig)[] {
    const dollars = '$pgsplit$'
    if (params !== undefined) {
      const values = [...params]
      return [
        { text, values },
        { name: 'with parameters', text, values },
      ]
    }
    return [
      text,
      `SELECT 1; ${text}`,
      `/* a /* b */ */ ${text} -- c`,
      `/* pgsplit: replica */ ${text}`,
      `BEGIN READ ONLY; SELECT 1; COMMIT; ${text}`,
      `COMMIT; ${text}`,
      { text, values: [] },
      { name: 'a name', text },
      `PREPARE pp AS ${text}; EXECUTE pp`,
      `DO ${dollars} BEGIN EXECUTE $y$ ${text} $y$; END ${dollars}`,
      `BEGIN; DECLARE cc CURSOR FOR ${text}; FETCH ALL FROM cc; COMMIT`,
      `DECLARE ch CURSOR WITH HOLD FOR ${text}`,
      `EXPLAIN ANALYZE ${text}`,
      `EXPLAIN (COSTS off, ANALYZE true) ${text}`,
      `COPY (${text}) TO STDOUT`,
      `WITH zz AS (${text}) SELECT 1`,
    ]
  }

  /** What no corpus of statements has: files, others' sessions, ways around what makes one read-only. */
  const ownCases = (): string[] => [
    `COPY t TO '${directory}/file'`,
    `COPY t TO PROGRAM 'touch ${directory}/program'`,
    `COPY (SELECT 1) TO PROGRAM 'touch ${directory}/program'`,
    `SELECT lo_export(lo_create(0), '${directory}/object')`,
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity',
    'SELECT pg_cancel_backend(1)',
    'SELECT pg_reload_conf()',
    'SELECT pg_switch_wal()',
    "SELECT pg_create_restore_point('a')",
    "SELECT pg_notify('a', 'b')",
    'LISTEN a',
    'SET ROLE alice',
    'SET SESSION AUTHORIZATION alice',
    'SET default_transaction_read_only = off',
    'SET default_transaction_read_only TO DEFAULT',
    'RESET default_transaction_read_only',
    'SET transaction_read_only TO 0',
    'BEGIN READ WRITE',
    'SET TRANSACTION READ WRITE',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE',
    "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT set_config('default_transaction_' || 'read_only', 'off', false)",
    'SET session_replication_role = replica',
    "SET plperl.on_plperl_init = 'x'",
    "SET local_preload_libraries = 'x'",
    'ALTER SYSTEM SET work_mem = 1024',
    "ALTER ROLE postgres SET work_mem = '1MB'",
    "SELECT query_to_xml('DELETE FROM t', true, false, '')",
    "SELECT pg_read_file('postgresql.conf')",
    'LOCK TABLE t',
    'SELECT * FROM t FOR SHARE',
    'CREATE TEMP TABLE only_mine (a int)',
    'VACUUM t',
    'CHECKPOINT',
    "PREPARE TRANSACTION 'a'",
    'EXECUTE nothing',
    'CALL nothing()',
    'COPY t FROM STDIN',
    'TRUNCATE t',
  ]

  /** Statements of the corpus that routing keeps on the primary, and that only look all the same. */
  const looksOnly: ReadonlySet<string> = new Set([
    'SELECT pg_sleep(0)',
    'SELECT pg_sleep_until(now())',
    "SELECT pg_sequence_last_value('s2')",
    'SELECT pg_current_snapshot() IS NOT NULL',
    'SELECT pg_is_in_recovery()',
    'SELECT pg_is_wal_replay_paused()',
    'SELECT pg_blocking_pids(1)',
    'SELECT pg_typeof(1), version() IS NOT NULL',
    'SELECT inet_server_port()',
    'SELECT inet_client_addr() IS NOT NULL',
    'SELECT pg_my_temp_schema()',
    'SELECT pg_last_xact_replay_timestamp()',
    'SELECT pg_last_wal_replay_lsn()',
    'SELECT pg_conf_load_time() IS NOT NULL',
    'SHOW transaction_read_only',
    'UNLISTEN *',
  ])

  /** Application names of those who said something that a node was sent. */
  async function heard(prefix: string): Promise<string[]> {
    const names = new Set<string>()
    for (const name of ['primary', 'replica1', 'replica2']) {
      const log = await cluster.node(name).logTail(Number.POSITIVE_INFINITY)
      for (const line of log.split('\n')) {
        const isOurs = /pg_catalog\.(set_config|current_setting)\(/.test(line)
        if (line.startsWith(prefix) && !isOurs) names.add(line)
      }
    }
    return [...names]
  }

  it('lets nothing of the corpus take effect, said in any way, not even by a superuser', async () => {
    const before = await state()
    const wrong: string[] = []
    for (const [number, one] of cases.entries()) {
      const client = await proxy.client()
      const isUnsafe = one.expect === 'primary' || one.expect === 'pin'
      for (const [form, query] of formsOf(one).entries()) {
        if (form > 2 && !isAll && (form + number) % 4 !== 0) continue
        const { code } = await ask(client, query)
        const mayRun = !isUnsafe || looksOnly.has(one.sql) || one.also_ok !== undefined
        if (form === 0 && !mayRun && code !== '25006') wrong.push(`${code} ${one.sql}`)
        if (code === null || form === 4 || form === 10) await ask(client, 'ROLLBACK')
      }
      // In a transaction that has failed the server would refuse all but what ends it.
      await ask(client, 'BEGIN')
      await ask(client, 'SELECT 1/0 FROM t')
      await ask(client, `ROLLBACK; ${one.sql}`)
      await client.end()
    }
    expect(await state()).toEqual(before)
    expect(wrong).toEqual([])
  }, 300_000)

  it('refuses files, programs, others and all ways out before anything is sent', async () => {
    const before = await state()
    const victim = new pg.Client({ connectionString: cluster.primary.urlFor(cluster.database) })
    await victim.connect()
    const wrong: string[] = []
    for (const text of ownCases()) {
      const client = await proxy.client({}, { application_name: 'refused-' })
      for (const query of [text, { text, values: [] }, { name: 'n', text }, `SELECT 1; ${text}`]) {
        const { code, message } = await ask(client, query)
        if (code !== '25006') wrong.push(`${code} ${message} (${text})`)
      }
      await client.end()
    }
    expect(wrong).toEqual([])
    expect(readdirSync(directory)).toEqual([])
    expect((await victim.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await victim.end()
    expect(await heard('refused-')).toEqual([])
    expect(await state()).toEqual(before)
  }, 120_000)

  it('refuses what single messages may say, and goes on with what is left of the session', async () => {
    const before = await state()
    const [row] = await sql<{ oid: number }>(
      cluster.primary.urlFor(cluster.database),
      `SELECT 'pg_switch_wal'::regproc::oid::int AS oid`,
    )
    const client = await proxy.raw({}, { application_name: 'refused-raw-' })
    const errorOf = async (...messages: Buffer[]): Promise<string> => {
      client.send(...messages)
      const error = (await client.until('Z')).find(({ type }) => type === 'E')
      return /C([0-9A-Z]{5})\0/.exec(error?.body.toString('latin1') ?? '')?.[1] ?? 'none'
    }
    const writes = "INSERT INTO t VALUES (77, 'x')"
    const { functionCall, parse, bind, execute, run, flush, sync } = front
    expect(await errorOf(functionCall(row?.oid ?? 0))).toBe('25006')
    expect(await errorOf(run(writes), sync)).toBe('25006')
    // Judged as one request: nothing in front of it runs either.
    expect(await errorOf(run('SELECT 1'), run(writes), sync)).toBe('25006')
    // Prepared under a name, and never known by it.
    expect(await errorOf(parse('w', writes), sync)).toBe('25006')
    expect(await errorOf(bind('w'), execute(), sync)).not.toBe('none')
    expect(await errorOf(parse('p', 'PREPARE inner AS DELETE FROM t'), sync)).toBe('25006')
    expect(await errorOf(parse('e', 'SELECT set_config($1, $2, false)'), sync)).toBe('25006')
    // What came in front of a Flush has run, and what comes behind it is still refused.
    client.send(run('SELECT id FROM t LIMIT 1'), flush)
    await client.until('C')
    expect(await errorOf(run(writes), sync)).toBe('25006')
    client.send(run('SELECT 1'), flush)
    await client.until('C')
    expect(await errorOf(functionCall(row?.oid ?? 0), sync)).toBe('25006')
    await client.until('Z').catch(() => [])
    expect(
      (await heard('refused-raw-')).filter((line) => /INSERT|DELETE|fastpath/.test(line)),
    ).toEqual([])
    client.send(front.terminate)
    expect(await state()).toEqual(before)
  })

  it('lets nobody in for the WAL, and nobody with a start that would change what it may', async () => {
    const refused = async (config: pg.ClientConfig): Promise<string> => {
      const client = new pg.Client({ connectionString: proxy.url(), ...config })
      client.on('error', () => {})
      const code = await client.connect().then(
        () => 'in',
        (error: { code?: string }) => error.code ?? 'closed',
      )
      await client.end().catch(() => {})
      return code
    }
    expect(await refused({ replication: 'database' } as pg.ClientConfig)).toBe('25006')
    for (const options of [
      '-c default_transaction_read_only=off',
      '-c session_replication_role=replica',
      '-c role=alice',
    ]) {
      expect(await refused({ options }), options).toBe('25006')
    }
    expect(await refused({ options: '-c statement_timeout=10s -c search_path=public' })).toBe('in')
  })

  it('runs every read of the corpus that is proved, as it runs directly', async () => {
    const reads = cases.filter(
      ({ expect: verdict, also_ok = [] }) =>
        isRead(verdict as 'replica') && !also_ok.includes('primary'),
    )
    const direct = new pg.Client({ connectionString: cluster.primary.urlFor(cluster.database) })
    await direct.connect()
    const wrong: string[] = []
    for (const { sql: text, params } of reads) {
      const client = await proxy.client()
      const query = params === undefined ? text : { text, values: [...params] }
      const here = await ask(client, query)
      const there = await ask(direct, query)
      if (here.code !== there.code) wrong.push(`${text}: ${here.code} ${here.message}`)
      await client.end()
    }
    await direct.end()
    expect(reads.length).toBeGreaterThan(100)
    expect(wrong.length / reads.length, wrong.join('\n')).toBeLessThanOrEqual(0.01)
  }, 120_000)

  it('lets clients work that read: transactions, settings, cursors, prepared statements', async () => {
    await proxy.with(async (client) => {
      const works = async (text: string): Promise<unknown> => {
        const { rows } = await client.query({ text, rowMode: 'array' })
        return rows
      }
      expect(await works('SHOW pgsplit.access')).toEqual([['read']])
      for (const begin of [
        'BEGIN',
        'BEGIN READ ONLY',
        'START TRANSACTION ISOLATION LEVEL REPEATABLE READ',
      ]) {
        await works(begin)
        expect(await works('SELECT count(*)::int > 0 FROM t')).toEqual([[true]])
        await works('SAVEPOINT a')
        await works('DECLARE c CURSOR FOR SELECT 1 FROM t ORDER BY id')
        expect(await works('FETCH 1 FROM c')).toEqual([[1]])
        await works('CLOSE c')
        await works('ROLLBACK TO a')
        await works('COMMIT')
      }
      await works('DECLARE h CURSOR WITH HOLD FOR SELECT 1 FROM t')
      expect(await works('FETCH 1 FROM h')).toEqual([[1]])
      await works('CLOSE ALL')
      await works("SET statement_timeout = '10s'")
      expect(await works('SHOW statement_timeout')).toEqual([['10s']])
      await works('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY')
      await works("SET app.tenant = '7'")
      await works('PREPARE p AS SELECT id FROM t WHERE id = $1')
      expect(await works('EXECUTE p(1)')).toEqual([[1]])
      await works('DEALLOCATE p')
      await works('RESET ALL')
      await works('DISCARD ALL')
      expect(await works('SHOW default_transaction_read_only')).toEqual([['on']])
      expect(await works('SELECT pg_is_in_recovery(), version() IS NOT NULL')).toEqual([
        [false, true],
      ])
      expect(await works('SHOW pgsplit.limits')).toEqual([['none']])
      await expect(works('DELETE FROM t')).rejects.toMatchObject({
        code: '25006',
        message: 'refused, and not sent: DELETE writes',
        hint: expect.stringContaining('access: read'),
      })
      // Behind a refusal in a transaction it is as behind any error.
      await works('BEGIN')
      await works('SELECT 1 FROM t')
      await expect(works('DELETE FROM t')).rejects.toMatchObject({ code: '25006' })
      await expect(works('SELECT 1')).rejects.toMatchObject({ code: '25P02' })
      await works('ROLLBACK')
    })
  })

  it.skipIf(binDir === null)('lets psql describe what there is, as it does directly', async () => {
    const commands = [
      '\\l',
      '\\d',
      '\\d+ t',
      '\\df',
      '\\du',
      '\\dn+',
      '\\dx',
      '\\dv',
      '\\conninfo-',
    ]
    const script = commands.filter((one) => !one.endsWith('-')).join('\n')
    const says = async (port: number) => {
      const args = [
        '-X',
        '-h',
        '127.0.0.1',
        '-p',
        String(port),
        '-U',
        'postgres',
        '-d',
        cluster.database,
      ]
      const env = { PGPASSWORD: cluster.password }
      return runProgram(`${binDir}/psql`, args, env, 60_000, script)
    }
    const direct = await says(cluster.primary.port)
    const here = await says(proxy.port)
    expect(here.err).toBe('')
    expect(here.out).toBe(direct.out)
    expect(here.out).toContain('Access method')
  })

  it('waits for the catalog, and refuses what is not proved without it', async () => {
    const url = cluster.primary.urlFor(cluster.database)
    const holder = new pg.Client({ connectionString: url })
    await holder.connect()
    await holder.query('BEGIN; LOCK TABLE pg_catalog.pg_foreign_table IN ACCESS EXCLUSIVE MODE')
    const own = { password: 'unused', serverPassword: cluster.password }
    const fresh = await startTestProxy(cluster, {
      auth: { method: 'trust', users: [{ name: 'postgres', ...own, access: 'read' }] },
    })
    try {
      const client = await fresh.client()
      const early = ask(client, 'DELETE FROM t')
      expect(await early).toMatchObject({
        code: '25006',
        message: expect.stringContaining('refused'),
      })
      const other = await fresh.client()
      const read = ask(other, 'SELECT count(*) FROM t')
      await holder.query('ROLLBACK')
      expect((await read).code).toBe(null)
      await client.end()
      await other.end()
    } finally {
      await holder.end()
      await fresh.stop()
    }
  }, 60_000)
})
