/** What a node has of its own beside the data that is replicated, as far as it shows in answers. */
import { integer, type Queryable, type Row, text } from './catalog-rows.ts'
import { isLevelled, isSettable } from './node-parameters.ts'

export interface NodeTraits {
  /** What the server itself sets, without its roles and databases: levelled parameters by name. */
  readonly settings: ReadonlyMap<string, string>
  /** The same of those that stay the node's own. */
  readonly own: ReadonlyMap<string, string>
  /** Names among `settings` that only a superuser may set. */
  readonly superuserOnly: ReadonlySet<string>
  /** Parameters of nobody's, such as `app.mode`, which only the configuration files show. */
  readonly customs: ReadonlySet<string>
  /** Whatever else should be the same everywhere, by what it is called in a message. */
  readonly facts: ReadonlyMap<string, string>
}

/** What ALTER ROLE or DATABASE … SET gives to sessions; '' = all roles, all databases. */
export interface RoleSettings {
  readonly role: string
  readonly database: string
  readonly names: ReadonlySet<string>
}

const PLAIN = 'BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY'
const SOURCES = "('database', 'user', 'database user', 'global', 'client', 'session', 'override')"

/** `isOwn`: the server's own word, not hidden by a setting of the role that asks or of its database. */
const SETTINGS = `
SELECT name, context, coalesce(reset_val, '') AS value,
  (source NOT IN ${SOURCES})::text AS is_own
FROM pg_catalog.pg_settings`

/** Limits that statements meet. */
const LIMITS = `
SELECT name, setting AS value FROM pg_catalog.pg_settings
WHERE name IN ('max_identifier_length', 'max_function_args', 'max_index_keys', 'block_size',
  'max_locks_per_transaction', 'max_prepared_transactions', 'max_stack_depth', 'server_encoding',
  'integer_datetimes')`

/** For superusers, and whom they let. */
const CUSTOMS = `
SELECT lower(name) AS name, setting AS value FROM pg_catalog.pg_file_settings
WHERE applied AND name LIKE '%.%'`

const VERSION = "SELECT pg_catalog.current_setting('server_version_num') AS version"

const LIBRARIES = `
SELECT name || ' (extension)' AS name, default_version AS value
FROM pg_catalog.pg_available_extensions WHERE installed_version IS NOT NULL`

const COLLATIONS = `
SELECT CASE collprovider WHEN 'c' THEN 'libc collations' WHEN 'i' THEN 'ICU collations'
    ELSE 'other collations' END AS name,
  coalesce(pg_catalog.string_agg(DISTINCT pg_catalog.pg_collation_actual_version(oid), ' '), '') AS value
FROM pg_catalog.pg_collation WHERE collprovider <> 'd' GROUP BY collprovider`

const TIME_ZONES = `
SELECT 'time zones' AS name, pg_catalog.md5(pg_catalog.string_agg(
  name || utc_offset || is_dst, ',' ORDER BY name COLLATE "C")) AS value
FROM pg_catalog.pg_timezone_names WHERE name NOT LIKE 'posix%'`

const ROLES = `
SELECT coalesce(d.datname::text, '') AS database, coalesce(r.rolname::text, '') AS role,
  pg_catalog.string_agg(pg_catalog.split_part(c, '=', 1), ' ') AS names
FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole GROUP BY 1, 2`

const SUPERUSERS = 'SELECT rolname::text AS name FROM pg_catalog.pg_roles WHERE rolsuper'

/** Asks over a connection that sets nothing itself. What can't be read is left out. */
export async function readTraits(connection: Queryable): Promise<NodeTraits> {
  const settings = new Map<string, string>()
  const own = new Map<string, string>()
  const superuserOnly = new Set<string>()
  for (const row of await ask(connection, SETTINGS)) {
    const name = text(row, 'name').toLowerCase()
    const context = text(row, 'context')
    if (!isSettable(name, context) || text(row, 'is_own') !== 'true') continue
    const isOwn = !isLevelled(name, context)
    ;(isOwn ? own : settings).set(name, text(row, 'value'))
    if (context === 'superuser') superuserOnly.add(name)
  }
  const customs = new Set<string>()
  for (const row of await ask(connection, CUSTOMS).catch(() => [])) {
    const name = text(row, 'name')
    if (settings.has(name) || !isLevelled(name, 'user')) continue
    customs.add(name)
    settings.set(name, text(row, 'value'))
  }
  const [server = {}] = await ask(connection, VERSION)
  const version = integer(server, 'version')
  const facts = new Map([['server_version_num', String(version)]])
  const questions = [LIMITS, LIBRARIES, COLLATIONS, TIME_ZONES]
  if (version >= 150_000) questions.push(DATABASE_COLLATION)
  for (const question of questions) {
    // A role may be refused some of them.
    const rows = await ask(connection, question).catch(() => [])
    for (const row of rows) facts.set(text(row, 'name'), text(row, 'value'))
  }
  return { settings, own, superuserOnly, customs, facts }
}

const DATABASE_COLLATION = `
SELECT 'default collation' AS name,
  coalesce(pg_catalog.pg_database_collation_actual_version(oid), '') AS value
FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`

export async function readRoleSettings(
  connection: Queryable,
): Promise<{ readonly roles: readonly RoleSettings[]; readonly superusers: ReadonlySet<string> }> {
  const roles = (await ask(connection, ROLES)).map((row) => ({
    role: text(row, 'role'),
    database: text(row, 'database'),
    names: new Set(text(row, 'names').toLowerCase().split(' ')),
  }))
  const superusers = (await ask(connection, SUPERUSERS)).map((row) => text(row, 'name'))
  return { roles, superusers: new Set(superusers) }
}

/** Whether the node takes this value for this parameter from a session. */
export async function takesSetting(
  connection: Queryable & {
    query(text: string, values: readonly string[]): Promise<{ readonly rows: readonly Row[] }>
  },
  name: string,
  value: string,
): Promise<boolean> {
  // A standby refuses every statement of a session with it.
  if (name === 'default_transaction_isolation' && value === 'serializable') return false
  // Each database has its own default.
  if (name === 'client_encoding') return false
  // Its schema is there in some databases only, and elsewhere no log-in would succeed.
  if (name === 'default_text_search_config' && !/^(pg_catalog\.)?\w+$/.test(value)) return false
  await connection.query(PLAIN)
  try {
    await connection.query('SELECT pg_catalog.set_config($1, $2, true)', [name, value])
    return true
  } catch {
    return false
  } finally {
    await connection.query('ROLLBACK')
  }
}

const FIRST = 'quote_all_identifiers'

/** Levelled parameters in which a replica differs from the primary → the primary's value. */
export function settingDifferences(primary: NodeTraits, replica: NodeTraits): Map<string, string> {
  const found = new Map<string, string>()
  // It decides how the server writes down the names in others.
  const names = [...primary.settings].sort(([a], [b]) => Number(b === FIRST) - Number(a === FIRST))
  for (const [name, value] of names) {
    const own = replica.settings.get(name)
    const isMissing = own === undefined && primary.customs.has(name)
    if (isMissing || (own !== undefined && own !== value)) found.set(name, value)
  }
  return found
}

/** Names of parameters that stay the node's own and are another there than on the primary. */
export function ownDifferences(primary: NodeTraits, replica: NodeTraits): string[] {
  return [...primary.own].flatMap(([name, value]) => {
    const own = replica.own.get(name)
    return own === undefined || own === value ? [] : [name]
  })
}

/** What shows in answers and can't be levelled, as `ICU collations: 153.120 here, 153.121 on the primary`. */
export function factDifferences(primary: NodeTraits, replica: NodeTraits): string[] {
  const found: string[] = []
  for (const [name, value] of primary.facts) {
    const own = replica.facts.get(name)
    if (own === undefined || own === value) continue
    const isHash = name === 'time zones'
    found.push(isHash ? `other ${name} data` : `${name}: ${own} here, ${value} on the primary`)
  }
  // A session can't make a server forget a parameter.
  for (const name of replica.customs)
    if (!primary.settings.has(name)) found.push(`${name} is set here only`)
  return found
}

async function ask(connection: Queryable, sql: string): Promise<readonly Row[]> {
  await connection.query(PLAIN)
  try {
    return (await connection.query(sql)).rows
  } finally {
    await connection.query('ROLLBACK')
  }
}
