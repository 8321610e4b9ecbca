/**
 * What an administrator runs once, as a superuser, in the monitor's database, if the monitor may
 * not read `pg_authid`. `pgsplit_monitor` is the monitor's role. Superusers are left out: they log
 * in where they are listed in the config.
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
