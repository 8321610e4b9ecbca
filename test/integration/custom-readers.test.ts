import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { loadCatalog, prepareConnection } from '../../src/catalog/load-catalog.ts'
import type { CatalogSets } from '../../src/sql/catalog-sets.ts'
import { debianBinDir, startCluster } from '../support/cluster.ts'

const setting = 'app.secret'

/** Calls of every built-in that takes nothing but what may be a parameter's name, and switches. */
const calls = `
  SELECT p.proname AS name, format('%I(%s)', p.proname, string_agg(CASE
      WHEN t.typname IN ('bool') THEN 'true' ELSE quote_literal('${setting}') || '::' || t.typname END,
    ', ' ORDER BY a.at)) AS call
  FROM pg_proc p CROSS JOIN LATERAL unnest(p.proargtypes) WITH ORDINALITY a(type, at)
  JOIN pg_type t ON t.oid = a.type
  WHERE p.oid < 16384 AND p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
    AND p.provolatile <> 'v' AND p.pronargs BETWEEN 1 AND 3
  GROUP BY p.oid, p.proname
  HAVING bool_and(t.typname IN ('text', 'name', 'varchar', 'cstring', 'bool'))
    AND bool_or(t.typname <> 'bool')
  UNION ALL
  SELECT p.proname, format('%I()', p.proname) FROM pg_proc p
  WHERE p.oid < 16384 AND p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
    AND p.provolatile <> 'v' AND p.pronargs = 0 AND p.prorettype <> 'trigger'::regtype`

/** What shows parameters without calling a function by its name. */
const others: readonly string[] = [
  'SHOW ALL',
  'SELECT * FROM pg_settings',
  'EXPLAIN (SETTINGS, COSTS OFF) SELECT 1',
  "SELECT pg_get_functiondef('with_setting'::regproc)",
  `SELECT has_parameter_privilege('${setting}', 'SET')`,
  "SELECT unnest(proconfig) FROM pg_proc WHERE proname = 'with_setting'",
  'SELECT * FROM pg_parameter_acl',
  'SELECT * FROM pg_db_role_setting',
]

/** Those change by themselves. */
const restless =
  /^(pg_(backend_|stat_|my_temp|postmaster|conf_load|current_|last_|is_|wal|safe_snap|get_wal)|inet_|now|txid_|transaction_|statement_)/

async function answers(client: pg.Client, texts: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const text of texts) {
    const answer = await client.query({ text, rowMode: 'array' }).then(
      ({ rows }) => JSON.stringify(rows),
      (error: { code?: string; message: string }) => `${error.code} ${error.message}`,
    )
    found.push(answer)
  }
  return found
}

/** Of both servers: which texts tell a session that has the parameter from one that has not. */
async function look(binDir: string | null): Promise<{
  readonly tellTale: readonly string[]
  readonly readers: CatalogSets['customReaders']
  readonly otherwise: readonly string[]
  readonly count: number
}> {
  const cluster = await startCluster({ replicas: 0, ...(binDir === null ? {} : { binDir }) })
  const clients: pg.Client[] = []
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: cluster.primary.urlFor(cluster.database) })
    clients.push(client)
    await client.connect()
    return client
  }
  try {
    const [without, having, catalog] = [await connect(), await connect(), await connect()]
    await catalog.query(
      `CREATE FUNCTION with_setting() RETURNS int LANGUAGE sql SET ${setting} = 'x, y' AS 'SELECT 1'`,
    )
    await prepareConnection(catalog)
    const { customReaders } = await loadCatalog(catalog)
    const { rows } = await without.query<{ name: string; call: string }>(calls)
    const tried = rows.filter(({ name }) => !restless.test(name))
    const texts = tried.map(({ call }) => `SELECT ${call}`)
    await having.query(`SET ${setting} = 'known'`)
    const found = [await answers(without, texts), await answers(having, texts)]
    const tellTale = tried.flatMap(({ name }, i) => (found[0]?.[i] === found[1]?.[i] ? [] : [name]))
    const seen = [await answers(without, others), await answers(having, others)]
    const otherwise = others.filter((_, i) => seen[0]?.[i] !== seen[1]?.[i])
    return {
      tellTale: [...new Set(tellTale)].sort(),
      readers: customReaders,
      otherwise,
      count: texts.length,
    }
  } finally {
    for (const client of clients) await client.end().catch(() => {})
    await cluster.stop()
  }
}

const servers: readonly (readonly [string, () => string | null])[] = [
  ['the embedded PostgreSQL', () => null],
  ['PostgreSQL 15', debianBinDir],
]

describe.each(servers)('of %s', (name, binDir) => {
  const dir = binDir()
  const isMissing = name === 'PostgreSQL 15' && dir === null
  it.skipIf(isMissing)(
    'only what counts as a reader of custom parameters can tell one',
    async () => {
      const { tellTale, readers, otherwise, count } = await look(dir)
      expect(count).toBeGreaterThan(100)
      // The probe finds something: these look it up by its name.
      expect(tellTale).toEqual(expect.arrayContaining(['current_setting', 'pg_settings_get_flags']))
      expect(readers).not.toBeNull()
      expect(tellTale.filter((one) => readers?.has(one) !== true)).toEqual([])
      expect(otherwise).toEqual([])
    },
    60_000,
  )
})
