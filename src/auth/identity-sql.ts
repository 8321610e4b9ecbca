/**
 * Questions about roles and databases, for PostgreSQL 13 to 18. Everything but the passwords can be
 * read by every role. Constants and the name of the look-up function only.
 */

/**
 * What a connection of role `r` to database `d` is made of when it is opened, as text: who both
 * are, what the role may become by SET ROLE (by name: a name may come to stand for another role),
 * whether it is a superuser, and the settings that sessions start with. An updated row carries a
 * later xid, and a standby has the same ones: equal texts mean equal facts on any node.
 */
const digest = `concat_ws('/', r.oid, d.oid, r.rolname, r.rolsuper,
  (SELECT concat(count(*), ',', sum(x.xmin::text::bigint)) FROM pg_catalog.pg_db_role_setting x
    WHERE x.setdatabase IN (0, d.oid) AND x.setrole IN (0, r.oid)),
  CASE WHEN r.rolsuper THEN (SELECT concat(count(*), ',',
      sum(hashtextextended(concat_ws(':', x.oid, x.rolname), 0))) FROM pg_catalog.pg_roles x)
  ELSE (WITH RECURSIVE held AS (
      SELECT m.roleid, m.xmin::text::bigint AS x
      FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid
      UNION SELECT m.roleid, m.xmin::text::bigint
      FROM held h JOIN pg_catalog.pg_auth_members m ON m.member = h.roleid)
    SELECT concat(count(*), ',', sum(h.x), ',',
      sum(hashtextextended(concat_ws(':', x.oid, x.rolname), 0)))
    FROM held h JOIN pg_catalog.pg_roles x ON x.oid = h.roleid) END)`

const facts = `pg_catalog.pg_is_in_recovery()::text AS standby,
  pg_catalog.pg_conf_load_time()::text AS configured_at,
  r.oid::text AS role, r.rolsuper::text AS is_superuser, r.rolcanlogin::text AS can_login,
  r.rolconnlimit::text AS role_limit, coalesce(r.rolvaliduntil < now(), false)::text AS is_expired,
  d.oid::text AS database, d.datallowconn::text AS allows_connections,
  d.datconnlimit::text AS database_limit,
  pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT')::text AS may_connect,
  pg_catalog.to_jsonb(d) ->> 'dathasloginevt' AS has_login_trigger,
  CASE WHEN r.oid IS NOT NULL AND d.oid IS NOT NULL THEN ${digest} END AS digest`

/**
 * `$1` and `$2`: names of roles and of databases, as arrays. One row for each pair, in order;
 * `password` is null where it may not be had.
 */
export function identitySql(passwords: PasswordSource): string {
  return `SELECT ${facts}, s.password
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (role, database, n)
LEFT JOIN pg_catalog.pg_roles r ON r.rolname = w.role::name
LEFT JOIN pg_catalog.pg_database d ON d.datname = w.database::name
LEFT JOIN LATERAL (${passwordSql(passwords)}) AS s ON true
ORDER BY w.n`
}

/** Where passwords are read: by a superuser, by the function of that name, or nowhere. */
export type PasswordSource =
  | { readonly kind: 'pg_authid' }
  | {
      readonly kind: 'function'
      readonly name: string
      /** Nobody has named it in the configuration: it is called only while it is a superuser's. */
      readonly mustBeTrusted?: boolean
    }
  | { readonly kind: 'off' }

function passwordSql(source: PasswordSource): string {
  switch (source.kind) {
    case 'pg_authid':
      return 'SELECT a.rolpassword AS password FROM pg_catalog.pg_authid a WHERE a.oid = r.oid'
    case 'function':
      // One that refuses whom the server would let in is obeyed.
      return `SELECT f.password FROM ${source.name}(w.role) f
        WHERE ${source.mustBeTrusted === true ? `${trusted(source.name)} AND ` : ''}((f.can_login AND NOT f.is_expired) OR NOT r.rolcanlogin) LIMIT 1`
    case 'off':
      return 'SELECT NULL::text AS password'
    default:
      source satisfies never
      return ''
  }
}

/** A condition that needs no row: a plan looks at it before it calls the function. */
function trusted(name: string): string {
  return `(SELECT p.prosecdef AND o.rolsuper FROM pg_catalog.pg_proc p
          JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
          WHERE p.oid = '${name}(text)'::pg_catalog.regprocedure)`
}

/** `$1` and `$2`: OIDs of roles and databases, as arrays: what became of them. */
export const currentSql = `SELECT pg_catalog.pg_is_in_recovery()::text AS standby,
  r.rolname::text AS role_name, d.datname::text AS database_name,
  CASE WHEN r.oid IS NOT NULL AND d.oid IS NOT NULL THEN ${digest} END AS digest
FROM unnest($1::oid[], $2::oid[]) WITH ORDINALITY AS w (role, database, n)
LEFT JOIN pg_catalog.pg_roles r ON r.oid = w.role
LEFT JOIN pg_catalog.pg_database d ON d.oid = w.database
ORDER BY w.n`

/** `$1`: names of roles, as an array: who they are, in order. */
export const rolesSql = `SELECT r.oid::text AS role
FROM unnest($1::text[]) WITH ORDINALITY AS w (role, n)
LEFT JOIN pg_catalog.pg_roles r ON r.rolname = w.role::name
ORDER BY w.n`

/**
 * The same as `currentSql` of the connection that is asked. The transaction says its own isolation: a role's
 * default may be one that standbys refuse. Names are looked up in pg_catalog alone.
 */
export const ownIdentitySql = `BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT r.oid::text AS role, d.oid::text AS database, ${digest} AS digest
FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database();
COMMIT`

/**
 * Changes with everything that `currentSql` tells, of any role and database. `locked`: databases
 * that somebody waits to have for himself (CREATE DATABASE … TEMPLATE, DROP, RENAME).
 * `mayReadAuthid`: a superuser's row versions are cheaper to look at than what all roles are called.
 */
export function changeMarkSql(mayReadAuthid: boolean): string {
  const roles = mayReadAuthid
    ? mark('pg_authid')
    : `(SELECT concat(count(*), ',', sum(hashtextextended(
    concat_ws(':', x.oid, x.rolname, x.rolsuper), 0))) FROM pg_catalog.pg_roles x)`
  return `SELECT pg_catalog.pg_is_in_recovery()::text AS standby,
  concat_ws('/', ${roles}, ${mark('pg_auth_members')}, ${mark('pg_database')},
    ${mark('pg_db_role_setting')}) AS mark,
  (SELECT json_agg(d.datname)::text FROM pg_catalog.pg_locks l
    JOIN pg_catalog.pg_database d ON d.oid = l.objid
    WHERE l.locktype = 'object' AND l.classid = 'pg_catalog.pg_database'::regclass
      AND l.objsubid = 0 AND l.mode IN ('ShareLock', 'AccessExclusiveLock')) AS locked`
}

function mark(catalog: string): string {
  return `(SELECT concat(count(*), ',', sum(x.xmin::text::bigint)) FROM pg_catalog.${catalog} x)`
}

export const mayReadAuthidSql =
  "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')::text AS may"

/** A list as PostgreSQL reads an array. */
export function arrayText(values: readonly (string | number)[]): string {
  return `{${values.map((value) => `"${String(value).replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}
