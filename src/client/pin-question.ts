import type { Cause, PinQuestion } from './pins.ts'

/** Operators by their schema: the session's search_path may hold others of the same name. */
const equals = 'OPERATOR(pg_catalog.=)'

/**
 * How many there are of each cause. What is in a temporary schema depends on it, by the very record
 * that PostgreSQL goes by when it empties the schema (namespace.c, RemoveTempRelations); outside of
 * a transaction every advisory lock is the session's.
 */
const counts: Readonly<Record<Cause, string>> = {
  channels: '(SELECT pg_catalog.count(*) FROM pg_catalog.pg_listening_channels())',
  cursors: '(SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursors c WHERE c.is_holdable)',
  temp: `(SELECT pg_catalog.count(*) FROM (SELECT FROM pg_catalog.pg_depend d
    WHERE d.refclassid ${equals} 'pg_catalog.pg_namespace'::pg_catalog.regclass
    AND d.refobjid ${equals} pg_catalog.pg_my_temp_schema() LIMIT 1) t)`,
  locks: `(SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks l
    WHERE l.locktype ${equals} 'advisory' AND l.pid ${equals} pg_catalog.pg_backend_pid())`,
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
 * The text that asks: first the settings, a row of name, value, context and `t` if pg_settings says
 * that the session has set it; then one row of counts. Names must have passed `isTrackableName`.
 */
export function questionText(question: PinQuestion, customs: readonly string[]): string {
  const { causes, allSettings } = question
  const parts: string[] = []
  const names = [...(allSettings ? customs : []), ...question.settings]
  const asksIdentity = allSettings || identity.some((name) => names.includes(name))
  const all = [...(asksIdentity ? identity : []), ...names.filter((n) => !identity.includes(n))]
  if (all.length > 0) {
    const values = all.map((name) => `('${name}'::pg_catalog.text)`).join(', ')
    const named = `SELECT v.n, pg_catalog.current_setting(v.n, true), (SELECT s.context
      FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name) ${equals} v.n), false
      FROM (VALUES ${values}) v(n)`
    const session = `SELECT pg_catalog.lower(s.name), pg_catalog.current_setting(s.name), s.context,
      true FROM pg_catalog.pg_settings s WHERE s.source ${equals} 'session'`
    parts.push(allSettings ? `${session} UNION ALL ${named}` : named)
  }
  if (causes.length > 0) {
    const columns = causes.map((cause) => counts[cause]).join(', ')
    // Nobody waits for it for long; the settings have been read by then.
    parts.push('SET LOCAL statement_timeout = 2000', 'SET LOCAL jit = off', `SELECT ${columns}`)
  }
  return `/* pgsplit: does the session still need this connection? */ ${parts.join('; ')}`
}
