import type { PasswordSource } from './identity-sql.ts'
import { lookupFunction } from './role-sql.ts'

/** How the configuration wants passwords to be read; `auto`: in the way that the monitor may. */
export type PasswordLookup = PasswordSource | { readonly kind: 'auto' }

/**
 * What the monitor may do to read passwords, asked on its own connection. A function of that name
 * that anybody could have put there proves nothing: it must be a superuser's, and act as its owner.
 */
export const lookupSourceSql = `SELECT
  (pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT')
    AND pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolname', 'SELECT'))::text AS authid,
  f.is_trusted, f.may_execute
FROM (SELECT 1) AS one LEFT JOIN (
  SELECT (p.prosecdef AND o.rolsuper)::text AS is_trusted,
    (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
      AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE'))::text AS may_execute
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
  WHERE n.nspname || '.' || p.proname = '${lookupFunction}'
    AND pg_catalog.oidvectortypes(p.proargtypes) = 'text'
) AS f ON true`

/** Why there is no way for the monitor to read passwords. */
export type NoSource = 'no-function' | 'untrusted' | 'not-granted'

/** What `auto` comes to at a server that has answered `lookupSourceSql` so. */
export function chooseSource(
  row: Readonly<Record<string, string | null>>,
): PasswordSource | NoSource {
  if (row.authid === 'true') return { kind: 'pg_authid' }
  if (row.is_trusted == null) return 'no-function'
  if (row.is_trusted !== 'true') return 'untrusted'
  if (row.may_execute !== 'true') return 'not-granted'
  return { kind: 'function', name: lookupFunction, mustBeTrusted: true }
}
