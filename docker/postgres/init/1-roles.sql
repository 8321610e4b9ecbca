-- Roles of compose.yml. Runs once, when the primary's volume is new.
\getenv replication_password REPLICATION_PASSWORD
\getenv monitor_password MONITOR_PASSWORD
\getenv app_password APP_PASSWORD

\connect postgres
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication_password';
CREATE ROLE app LOGIN PASSWORD :'app_password';
CREATE DATABASE app OWNER app;

CREATE ROLE pgsplit_monitor LOGIN PASSWORD :'monitor_password';
GRANT pg_monitor TO pgsplit_monitor;

-- What `pgsplit config --lookup-sql` prints: how pgsplit looks up who may log in.
CREATE SCHEMA IF NOT EXISTS pgsplit;
ALTER SCHEMA pgsplit OWNER TO CURRENT_USER;
CREATE OR REPLACE FUNCTION pgsplit.role_secret(role_name text)
  RETURNS TABLE (password text, can_login boolean, is_expired boolean)
  LANGUAGE sql STABLE STRICT SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
  SELECT rolpassword, rolcanlogin, coalesce(rolvaliduntil < now(), false)
  FROM pg_catalog.pg_authid
  WHERE rolname = role_name AND NOT rolsuper
$$;
ALTER FUNCTION pgsplit.role_secret(text) OWNER TO CURRENT_USER;
REVOKE ALL ON FUNCTION pgsplit.role_secret(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA pgsplit TO pgsplit_monitor;
GRANT EXECUTE ON FUNCTION pgsplit.role_secret(text) TO pgsplit_monitor;
