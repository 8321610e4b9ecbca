import type { Cause, PinQuestion } from './pins.ts'

/** Operators by their schema: the session's search_path may hold others of the same name. */
const equals = 'OPERATOR(pg_catalog.=)'

/**
 * How many there are of each cause, or their names. What is in a temporary schema depends on it, by
 * the very record that PostgreSQL goes by when it empties the schema (namespace.c,
 * RemoveTempRelations); outside of a transaction every advisory lock is the session's.
 */
const counts: Readonly<Record<Cause, string>> = {
  channels: '(SELECT pg_catalog.json_agg(c) FROM pg_catalog.pg_listening_channels() c)',
  cursors: '(SELECT pg_catalog.json_agg(c.name) FROM pg_catalog.pg_cursors c WHERE c.is_holdable)',
  prepared: '(SELECT pg_catalog.json_agg(p.name) FROM pg_catalog.pg_prepared_statements p)',
  temp: `(SELECT pg_catalog.count(*) FROM (SELECT FROM pg_catalog.pg_depend d
    WHERE d.refclassid ${equals} 'pg_catalog.pg_namespace'::pg_catalog.regclass
    AND d.refobjid ${equals} pg_catalog.pg_my_temp_schema() LIMIT 1) t)`,
  locks: `(SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks l
    WHERE l.locktype ${equals} 'advisory' AND l.pid ${equals} pg_catalog.pg_backend_pid())`,
  slots: `(SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots s
    WHERE s.temporary AND s.active_pid ${equals} pg_catalog.pg_backend_pid())`,
  // The extension may be in any schema, where search_path may not find it, or find another.
  dblink: `(SELECT pg_catalog.substring(pg_catalog.query_to_xml(pg_catalog.format(
    'SELECT coalesce(pg_catalog.cardinality(%I.dblink_get_connections()), 0) AS n', s.nspname),
    true, false, '')::pg_catalog.text, '<n>([0-9]+)</n>')
    FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace s ON s.oid ${equals} e.extnamespace
    WHERE e.extname ${equals} 'dblink')`,
}

/** Settings that pg_settings doesn't show, in the order in which they have to be set. */
const identity = ['session_authorization', 'role']

/**
 * A parameter by its name: its value, its context in pg_settings, and `d` if the value is one that
 * nobody has set. Of a custom parameter that no library knows only `set_config(…, NULL, true)` tells
 * what RESET would give; it lasts to the end of the question. Of the role only its own settings do.
 */
const named = `SELECT v.n, pg_catalog.current_setting(v.n, true), p.context, CASE
  WHEN v.n ${equals} 'role' THEN (SELECT c
    FROM pg_catalog.pg_db_role_setting d, pg_catalog.unnest(d.setconfig) c
    WHERE pg_catalog.starts_with(c, 'role=')
    AND (d.setdatabase ${equals} 0 OR d.setdatabase ${equals} (SELECT b.oid
      FROM pg_catalog.pg_database b WHERE b.datname ${equals} pg_catalog.current_database()))
    AND (d.setrole ${equals} 0 OR d.setrole ${equals} (SELECT r.oid
      FROM pg_catalog.pg_roles r WHERE r.rolname ${equals} session_user))
    ORDER BY d.setrole DESC, d.setdatabase DESC LIMIT 1)
  WHEN p.context IS NULL AND pg_catalog.strpos(v.n, '.') OPERATOR(pg_catalog.>) 0
    AND pg_catalog.current_setting(v.n, true) IS NOT NULL
    THEN CASE WHEN pg_catalog.current_setting(v.n, true)
      ${equals} pg_catalog.set_config(v.n, NULL, true) THEN 'd' ELSE 'f' END
  ELSE 'f' END
  FROM (VALUES %) v(n) LEFT JOIN p ON p.n ${equals} v.n`

/** What pg_settings has of it, read once however many are asked for. */
const parameters = `WITH p AS MATERIALIZED (SELECT pg_catalog.lower(s.name) AS n, s.name, s.context,
  s.source FROM pg_catalog.pg_settings s WHERE s.source ${equals} 'session'
  OR pg_catalog.lower(s.name) ${equals} ANY (ARRAY[%]))`

/**
 * The text that asks: first the settings, a row of name, value, context and `t` if pg_settings says
 * that the session has set it; then one row of counts. Names must have passed `isTrackableName`.
 */
export function questionText(question: PinQuestion, customs: readonly string[]): string {
  const { causes, allSettings } = question
  const parts: string[] = []
  const names = new Set([...(allSettings ? customs : []), ...question.settings])
  const asksIdentity = allSettings || identity.some((name) => names.has(name))
  const all = new Set([...(asksIdentity ? identity : []), ...names])
  if (all.size > 0) {
    const values = [...all].map((name) => `('${name}'::pg_catalog.text)`).join(', ')
    const asked = named.replace('%', values)
    const session = `SELECT p.n, pg_catalog.current_setting(p.name), p.context, 't' FROM p
      WHERE p.source ${equals} 'session'`
    const array = [...all].map((name) => `'${name}'::pg_catalog.text`).join(', ')
    parts.push(
      `${parameters.replace('%', array)} ${allSettings ? `${session} UNION ALL ${asked}` : asked}`,
    )
  }
  if (causes.length > 0) {
    const columns = causes.map((cause) => counts[cause]).join(', ')
    // Nobody waits for it for long; the settings have been read by then.
    parts.push('SET LOCAL statement_timeout = 2000', 'SET LOCAL jit = off', `SELECT ${columns}`)
  }
  return `/* pgsplit: does the session still need this connection? */ ${parts.join('; ')}`
}
