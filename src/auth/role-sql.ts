/**
 * The queries behind `VerifierLookup`. Each takes the role's name as `$1` and gives at most one row
 * of (`password` text, `can_login` boolean, `is_expired` boolean).
 */

/** For a monitor that may read `pg_authid` (a superuser). */
export const authidSql = `SELECT rolpassword AS password, rolcanlogin AS can_login,
  coalesce(rolvaliduntil < now(), false) AS is_expired
FROM pg_catalog.pg_authid WHERE rolname = $1`

/** For a monitor without that right, with `lookupFunctionDdl` in the database it connects to. */
export const lookupFunctionSql =
  'SELECT password, can_login, is_expired FROM pgsplit.role_secret($1)'

/**
 * What an administrator runs once, as a superuser, in the monitor's database. `pgsplit_monitor` is
 * the monitor's role. Superusers are left out: they log in where they are listed in the config.
 */
export const lookupFunctionDdl = `CREATE SCHEMA IF NOT EXISTS pgsplit;
CREATE OR REPLACE FUNCTION pgsplit.role_secret(role_name text)
  RETURNS TABLE (password text, can_login boolean, is_expired boolean)
  LANGUAGE sql STABLE STRICT SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
  SELECT rolpassword, rolcanlogin, coalesce(rolvaliduntil < now(), false)
  FROM pg_catalog.pg_authid
  WHERE rolname = role_name AND NOT rolsuper
$$;
REVOKE ALL ON FUNCTION pgsplit.role_secret(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA pgsplit TO pgsplit_monitor;
GRANT EXECUTE ON FUNCTION pgsplit.role_secret(text) TO pgsplit_monitor;
`
