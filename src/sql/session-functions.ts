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

/**
 * Built-ins that may do what nothing shows: they run SQL of their arguments or other people's code.
 * `customs` as in the effect `unproved`.
 */
export const UNPROVED_FUNCTIONS: ReadonlyMap<
  string,
  { readonly why: string; readonly customs: readonly string[] | null }
> = new Map([
  ...unproved(
    'runs SQL that its arguments give',
    `cursor_to_xml cursor_to_xmlschema query_to_xml query_to_xml_and_xmlschema query_to_xmlschema
     ts_rewrite ts_stat dblink_build_sql_insert dblink_build_sql_update dblink_build_sql_delete`,
  ),
  ...unproved(
    'uses relations or types that its arguments name',
    `database_to_xml database_to_xml_and_xmlschema schema_to_xml schema_to_xml_and_xmlschema
     table_to_xml table_to_xml_and_xmlschema domain_in domain_recv record_in record_recv array_in
     array_recv range_in range_recv multirange_in multirange_recv pg_input_is_valid
     pg_input_error_info brin_summarize_new_values brin_summarize_range gin_clean_pending_list`,
  ),
  ...unproved(
    'runs an output plugin',
    `pg_logical_slot_get_changes pg_logical_slot_get_binary_changes pg_logical_slot_peek_changes
     pg_logical_slot_peek_binary_changes`,
  ),
  ...unproved(
    'may make a slot of the session',
    `pg_create_physical_replication_slot pg_create_logical_replication_slot
     pg_copy_physical_replication_slot pg_copy_logical_replication_slot`,
    [],
  ),
])

function unproved(
  why: string,
  names: string,
  customs: readonly string[] | null = null,
): [string, { why: string; customs: readonly string[] | null }][] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => [name, { why, customs }])
}

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
