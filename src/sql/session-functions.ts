/**
 * Built-in functions and those of PostgreSQL's own extensions that leave something behind in the
 * session that calls them. Known without a catalog.
 */

/** Name → what it leaves behind, as the pin reason. */
export const SESSION_FUNCTIONS: ReadonlyMap<string, string> = new Map([
  ['pg_advisory_lock', 'session advisory lock'],
  ['pg_advisory_lock_shared', 'session advisory lock'],
  ['pg_try_advisory_lock', 'session advisory lock'],
  ['pg_try_advisory_lock_shared', 'session advisory lock'],
  ['currval', 'currval() needs the connection that ran nextval()'],
  ['lastval', 'lastval() needs the connection that ran nextval()'],
  ['setseed', 'setseed() changes the random numbers of the connection'],
  ['set_limit', 'set_limit() sets a threshold of the connection'],
  ['dblink_connect', 'dblink connection'],
  ['dblink_connect_u', 'dblink connection'],
  ['dblink_open', 'dblink cursor'],
  ['dblink_send_query', 'dblink connection'],
  ['dblink_disconnect', 'dblink connection'],
  ['pg_backup_start', 'backup in progress'],
  ['pg_start_backup', 'backup in progress'],
  ['pg_replication_origin_session_setup', 'replication origin of the session'],
  ['plpgsql_check_profiler', 'profiler state of the session'],
])

export const SEED_PIN = 'SET SEED changes the random numbers of the connection'

/** Those that open a connection of dblink, and the one that closes it. */
export const DBLINK_FUNCTIONS: ReadonlySet<string> = new Set([
  'dblink_connect',
  'dblink_connect_u',
  'dblink_disconnect',
])

export const ADVISORY_LOCK_FUNCTIONS: ReadonlySet<string> = new Set([
  'pg_advisory_lock',
  'pg_advisory_lock_shared',
  'pg_try_advisory_lock',
  'pg_try_advisory_lock_shared',
])

export const ADVISORY_UNLOCK_FUNCTIONS: ReadonlySet<string> = new Set([
  'pg_advisory_unlock',
  'pg_advisory_unlock_shared',
  'pg_advisory_unlock_all',
])

/** Parameters that a standby answers differently in every session. */
export const STANDBY_PARAMETERS: ReadonlySet<string> = new Set([
  'transaction_read_only',
  'in_hot_standby',
])

/** Whether the name lies in a session's temporary schema. */
export function isTemporarySchema(name: string): boolean {
  return name === 'pg_temp' || name.startsWith('pg_temp_') || name.startsWith('pg_toast_temp')
}
