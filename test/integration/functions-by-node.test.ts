import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadCatalog, prepareConnection } from '../../src/catalog/load-catalog.ts'
import type { CatalogSets } from '../../src/sql/catalog-sets.ts'
import { debianBinDir, type ServerCluster, sql, startServers } from '../support/cluster.ts'

/**
 * Every built-in function and relation that may be read from a replica is asked of both nodes, which
 * differ in all that nodes can differ in: what differs must not be for a replica.
 */
const versions: readonly [string, string | null | undefined][] = [
  ['the embedded PostgreSQL', undefined],
  ['PostgreSQL 15', debianBinDir()],
]

/** What differs from call to call on one node already. */
const CLOCKS_AND_CHANCE = new Set(
  `clock_timestamp now transaction_timestamp statement_timestamp timeofday random random_normal
   gen_random_uuid uuidv4 uuidv7 age array_sample array_shuffle`.split(/\s+/),
)

/** Values for arguments of a type. */
const SAMPLES: Readonly<Record<string, readonly string[]>> = {
  oid: ["'logged'::regclass", "'fleeting'::regclass", "'logged_pkey'::regclass", '1'],
  regclass: ["'logged'", "'fleeting'", "'fleeting_pkey'", "'pg_class'"],
  text: ["'logged'", "'fleeting'"],
  name: ["'logged'", "'postgres'"],
  cstring: ["'x'"],
  int2: ['1'],
  int4: ['1'],
  int8: ['1'],
  bool: ['true'],
  xid: ["'730'"],
  xid8: ["'730'"],
  tid: ["'(0,1)'"],
  pg_lsn: ["'0/3000000'"],
  timestamptz: ["'2024-01-02 03:04:05Z'"],
  timestamp: ["'2024-01-02 03:04:05'"],
  date: ["'2024-01-02'"],
  interval: ["'1 day'"],
  numeric: ['1.5'],
  float8: ['1.5'],
  float4: ['1.5'],
  json: [`'{"a":1}'`],
  jsonb: [`'{"a":1}'`],
  uuid: ["'11111111-1111-1111-1111-111111111111'"],
  bytea: ["'\\x01'"],
  inet: ["'10.0.0.1'"],
}

interface FunctionRow {
  readonly name: string
  readonly types: string[]
}

describe.each(versions)('on %s', (_, binDir) => {
  let servers: ServerCluster
  let primary: pg.Client
  let replica: pg.Client
  let sets: CatalogSets

  beforeAll(async () => {
    if (binDir === null) return
    servers = await startServers({ replicas: 1, ...(binDir === undefined ? {} : { binDir }) })
    const [node] = servers.replicas
    if (node === undefined) throw new Error('there is no replica')
    await sql(
      servers.primary.url,
      `CREATE UNLOGGED TABLE fleeting (id serial PRIMARY KEY, body text);
       CREATE TABLE logged (id serial PRIMARY KEY, body text);
       INSERT INTO fleeting (body) SELECT repeat('x', 1000) FROM generate_series(1, 500);
       INSERT INTO logged (body) SELECT repeat('x', 1000) FROM generate_series(1, 500);
       ANALYZE`,
    )
    await servers.catchUp()
    for (const setting of ["work_mem = '7MB'", 'random_page_cost = 1.7', 'log_statement = ddl']) {
      await sql(node.url, `ALTER SYSTEM SET ${setting}`)
    }
    await sql(node.url, 'SELECT pg_reload_conf()')
    primary = new pg.Client({ connectionString: servers.primary.url })
    replica = new pg.Client({ connectionString: node.url })
    await Promise.all([primary.connect(), replica.connect()])
    await prepareConnection(primary)
    sets = await loadCatalog(primary)
    for (const client of [primary, replica]) {
      await client.query("SET statement_timeout = '30s'; SET search_path = public")
    }
  }, 120_000)

  afterAll(async () => {
    await Promise.all([primary?.end(), replica?.end()])
    await servers?.stop()
  })

  async function answer(client: pg.Client, text: string): Promise<string> {
    try {
      const { rows } = await client.query({ text, rowMode: 'array' })
      return JSON.stringify(rows)
    } catch (error) {
      return `error: ${error instanceof Error ? error.message : error}`
    }
  }

  /** The texts that both nodes do not answer alike, and that could be compared at all. */
  async function compare(
    texts: readonly string[],
  ): Promise<{ asked: number; differing: string[] }> {
    const differing: string[] = []
    let asked = 0
    for (const text of texts) {
      const [here, there] = await Promise.all([answer(primary, text), answer(replica, text)])
      if (!here.startsWith('error: ')) asked++
      if (here !== there) differing.push(`${text}: ${here} / ${there}`.slice(0, 300))
    }
    return { asked, differing }
  }

  it.skipIf(binDir === null)(
    'no function for replicas answers for its node',
    async () => {
      const { rows } = await primary.query<FunctionRow>(
        `SELECT p.proname::text AS name, array(SELECT typname::text FROM unnest(p.proargtypes)
         WITH ORDINALITY AS a (oid, n) JOIN pg_catalog.pg_type t ON t.oid = a.oid ORDER BY n) AS types
       FROM pg_catalog.pg_proc p WHERE p.prokind = 'f' AND p.pronargs <= 3 AND p.oid < 16384
       AND p.prorettype NOT IN (SELECT oid FROM pg_catalog.pg_type WHERE typname IN
         ('trigger', 'internal', 'event_trigger', 'language_handler', 'fdw_handler'))
       ORDER BY 1, 2`,
      )
      const texts = new Set<string>()
      for (const { name, types } of rows) {
        if (!sets.functions.has(name) || CLOCKS_AND_CHANCE.has(name)) continue
        const samples = types.map((type) => SAMPLES[type])
        if (samples.includes(undefined)) continue
        const most = Math.max(1, ...samples.map((values) => values?.length ?? 0))
        for (let i = 0; i < most; i++) {
          const values = samples.map((list = [], at) => `${list[i % list.length]}::${types[at]}`)
          texts.add(`SELECT pg_catalog."${name}"(${values.join(', ')})`)
        }
      }
      const { asked, differing } = await compare([...texts])
      expect(differing).toEqual([])
      expect(asked).toBeGreaterThan(800)
    },
    120_000,
  )

  it.skipIf(binDir === null)(
    'no relation for replicas tells what its node has',
    async () => {
      const { rows } = await primary.query<{ name: string }>(
        `SELECT c.oid::regclass::text AS name FROM pg_catalog.pg_class c
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'v', 'm', 'p') AND nspname IN ('pg_catalog', 'information_schema')`,
      )
      const texts = rows
        .filter(
          ({ name }) =>
            name !== 'information_schema.element_types' &&
            sets.relations.has(name.replace(/^.*\./, '').replaceAll('"', '')),
        )
        .map(
          ({ name }) =>
            `SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM ${name} t`,
        )
      const { asked, differing } = await compare(texts)
      expect(differing).toEqual([])
      expect(asked).toBeGreaterThan(80)
    },
    120_000,
  )

  it.skipIf(binDir === null)('what answers for its node is the primary’s', () => {
    const names = `pg_relation_size pg_total_relation_size pg_table_size pg_indexes_size
      pg_database_size pg_tablespace_size pg_relation_filepath pg_relation_filenode pg_timezone_names
      pg_sleep pg_sleep_for pg_sleep_until pg_stat_file pg_ls_dir pg_read_file pg_current_logfile
      pg_postmaster_start_time pg_conf_load_time pg_collation_actual_version inet_server_port version
      pg_xact_commit_timestamp currtid2 txid_status pg_xact_status mxid_age pg_current_wal_lsn
      pg_sequence_last_value pg_last_wal_replay_lsn pg_is_in_recovery`
    const stray = names.split(/\s+/).filter((name) => sets.functions.has(name))
    expect(stray).toEqual([])
    const relations = `pg_stat_activity pg_settings pg_file_settings pg_hba_file_rules pg_config
      pg_shmem_allocations pg_locks pg_cursors pg_prepared_xacts pg_available_extensions
      pg_available_extension_versions pg_timezone_names pg_timezone_abbrevs pg_stat_all_tables
      pg_statio_all_tables pg_replication_slots pg_backend_memory_contexts pg_sequences fleeting`
    expect(relations.split(/\s+/).filter((name) => sets.relations.has(name))).toEqual([])
  })
})
