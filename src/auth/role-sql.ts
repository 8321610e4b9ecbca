/** What an administrator runs once, so that pgsplit may watch the nodes and look up who may log in. */

/** The look-up function that `auth.lookup: auto` finds by itself. */
export const lookupFunction = 'pgsplit.role_secret'

/** The monitor's role where nobody has said another one. */
export const defaultMonitorRole = 'pgsplit_monitor'

/** For whom the monitor's SQL is made. */
export interface MonitorSqlOptions {
  /** Default `pgsplit_monitor`. */
  readonly role?: string
  /** Of the role, when it is made. Null: it gets none. */
  readonly password: string | null
}

/**
 * All that the monitor needs, as one text that runs as it stands, and may run again: for a
 * superuser, in the monitor's database of the primary. A role that is there keeps its password.
 */
export function monitorSql({ role = defaultMonitorRole, password }: MonitorSqlOptions): string {
  const secret = password === null ? '' : ` PASSWORD ${literal(password)}`
  // A name or a password with the quote in it gets another one.
  const quote = dollarQuote(role + secret)
  return `DO ${quote} BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${literal(role)}) THEN
    CREATE ROLE ${identifier(role)} LOGIN${secret};
  END IF;
END ${quote};
GRANT pg_monitor TO ${identifier(role)};
${lookupSql(role)}`
}

/**
 * The part for a monitor that may not read `pg_authid`. Superusers are left out: they log in where
 * they are listed in the config. The owner is set, because CREATE OR REPLACE leaves a function that
 * is there to whoever had made it, and SECURITY DEFINER means him.
 */
function lookupSql(role: string): string {
  const to = identifier(role)
  return `CREATE SCHEMA IF NOT EXISTS pgsplit;
ALTER SCHEMA pgsplit OWNER TO CURRENT_USER;
CREATE OR REPLACE FUNCTION ${lookupFunction}(role_name text)
  RETURNS TABLE (password text, can_login boolean, is_expired boolean)
  LANGUAGE sql STABLE STRICT SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp
AS $$
  SELECT rolpassword, rolcanlogin, coalesce(rolvaliduntil < now(), false)
  FROM pg_catalog.pg_authid
  WHERE rolname = role_name AND NOT rolsuper
$$;
ALTER FUNCTION ${lookupFunction}(text) OWNER TO CURRENT_USER;
REVOKE ALL ON FUNCTION ${lookupFunction}(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA pgsplit TO ${to};
GRANT EXECUTE ON FUNCTION ${lookupFunction}(text) TO ${to};
`
}

/** As docs/start/users-and-tls.md and docker/ have it. */
export const lookupFunctionDdl = lookupSql(defaultMonitorRole)

/** A string constant, whatever `standard_conforming_strings` says. */
function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return text.includes('\\') ? ` E${quoted}` : quoted
}

function identifier(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
}

function dollarQuote(text: string): string {
  let tag = ''
  while (text.includes(`$${tag}$`)) tag += 'q'
  return `$${tag}$`
}
