import type pg from 'pg'

/** Parameters that are a node's own, or the time's. */
const nodesOwn = [
  'in_hot_standby',
  'transaction_read_only',
  'port',
  'data_directory',
  'config_file',
  'hba_file',
  'ident_file',
  'external_pid_file',
  'unix_socket_directories',
  'primary_conninfo',
  'primary_slot_name',
  'cluster_name',
  'promote_trigger_file',
  'synchronous_standby_names',
]

/** Everything that a session can carry and a server can be asked for, as one row of text. */
function everything(customs: readonly string[]): string {
  const named = customs.map((name) => `pg_catalog.current_setting('${name}', true)`)
  const not = nodesOwn.map((name) => `'${name}'`).join(', ')
  return `SELECT current_user::text, session_user::text, pg_catalog.current_setting('role') AS role,
    (SELECT pg_catalog.json_object_agg(s.name, s.setting ORDER BY s.name)::text
      FROM pg_catalog.pg_settings s
      WHERE (pg_catalog.strpos(s.name, '.') OPERATOR(pg_catalog.=) 0
        OR s.source OPERATOR(pg_catalog.=) 'session') AND NOT s.name OPERATOR(pg_catalog.=) ANY (ARRAY[${not}]::text[])) AS settings,
    (SELECT pg_catalog.string_agg(c, ' ') FROM pg_catalog.pg_listening_channels() c) AS channels,
    (SELECT pg_catalog.string_agg(l.mode, ' ') FROM pg_catalog.pg_locks l
      WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
      AND l.locktype OPERATOR(pg_catalog.=) 'advisory') AS locks,
    (SELECT pg_catalog.string_agg(c.name, ' ') FROM pg_catalog.pg_cursors c
      WHERE c.is_holdable) AS cursors,
    (SELECT pg_catalog.string_agg(c.relname, ' ') FROM pg_catalog.pg_class c
      WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) AS temporary,
    (SELECT pg_catalog.string_agg(p.name, ' ') FROM pg_catalog.pg_prepared_statements p
      WHERE NOT pg_catalog.starts_with(p.name, 'pgsplit_')) AS prepared,
    pg_catalog.json_build_array(${named.join(', ')})::text AS customs`
}

type Carried = Readonly<Record<string, string | null>>

/**
 * Compares what a fresh log-in meets with what a fresh log-in met that had no other session's
 * connection before it.
 */
export class SessionOracle {
  readonly #text: string

  /** `customs`: custom parameters that the test's statements set. */
  constructor(customs: readonly string[]) {
    this.#text = everything(customs)
  }

  /** `hint`: a comment of pgsplit's, to say which node is asked. */
  async look(db: pg.Client, hint = ''): Promise<Carried> {
    const { rows } = await db.query(`${hint}${this.#text}`)
    return rows[0]
  }
}

/** What of `found` differs, as `name: found, not expected`. */
export function differences(found: Carried, expected: Carried): string[] {
  const wrong: string[] = []
  for (const [name, value] of Object.entries(expected)) {
    if (found[name] === value) continue
    if (name !== 'settings') {
      wrong.push(`${name}: ${found[name]}, not ${value}`)
      continue
    }
    const own: Record<string, string> = JSON.parse(value ?? '{}')
    for (const [setting, is] of Object.entries(JSON.parse(found[name] ?? '{}'))) {
      if (own[setting] !== is) wrong.push(`${setting}: ${is}, not ${own[setting]}`)
    }
  }
  return wrong
}
