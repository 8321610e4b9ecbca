/**
 * Settings that a client may change whose access is `read`: what any role may set (context `user` of
 * `postgres --describe-config`, 15 to 18), and of that what only says how a read runs or how its
 * answer looks. A setting of a later version is none until it is listed.
 */
const ordinary: ReadonlySet<string> = new Set(
  `application_name array_nulls backslash_quote bytea_output check_function_bodies
  client_connection_check_interval client_encoding client_min_messages constraint_exclusion
  cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction datestyle
  debug_pretty_print debug_print_parse debug_print_plan debug_print_rewritten
  default_statistics_target default_table_access_method default_tablespace
  default_text_search_config default_transaction_deferrable default_transaction_isolation
  effective_cache_size effective_io_concurrency escape_string_warning extra_float_digits
  from_collapse_limit gin_fuzzy_search_limit hash_mem_multiplier icu_validation_level
  idle_in_transaction_session_timeout idle_session_timeout intervalstyle io_combine_limit
  join_collapse_limit lc_monetary lc_numeric lc_time lock_timeout
  log_parameter_max_length_on_error maintenance_work_mem max_parallel_workers
  max_parallel_workers_per_gather min_parallel_index_scan_size min_parallel_table_scan_size
  parallel_leader_participation parallel_setup_cost parallel_tuple_cost plan_cache_mode
  quote_all_identifiers random_page_cost recursive_worktable_factor row_security search_path
  seq_page_cost standard_conforming_strings statement_timeout stats_fetch_consistency
  synchronize_seqscans synchronous_commit tcp_keepalives_count tcp_keepalives_idle
  tcp_keepalives_interval tcp_user_timeout temp_buffers temp_tablespaces timezone
  timezone_abbreviations transaction_deferrable transaction_isolation transaction_timeout
  transform_null_equals work_mem xmlbinary xmloption`.split(/\s+/),
)

/** Libraries whose parameters run code, or turn something on for a superuser. */
const libraries: ReadonlySet<string> = new Set(
  `auto_explain citus pg_cron pg_stat_statements pgaudit plcoffee pljava pljs plls plperl plperlu
  plpython plpython3u plr pltcl pltclu plv8 sepgsql timescaledb`.split(/\s+/),
)

/** May it be changed by who may only read? `name` as effects have it: lower case. */
export function isOrdinarySetting(name: string): boolean {
  const dot = name.indexOf('.')
  if (dot > 0) return !libraries.has(name.slice(0, dot))
  return ordinary.has(name) || name.startsWith('enable_') || /^(geqo|jit)(_|$)/.test(name)
}

/** Settings that make a transaction read-only: they may be turned on, and not off. */
export function isReadOnlySetting(name: string): boolean {
  return name === 'default_transaction_read_only' || name === 'transaction_read_only'
}

/** Does the SQL text of a value mean true, whatever its spelling (PostgreSQL: parse_bool)? */
export function meansTrue(value: string | null): boolean {
  const word = /^\s*'?\s*([a-z0-9]+)\s*'?\s*$/i.exec(value ?? '')?.[1]?.toLowerCase() ?? ''
  return (
    word === 'on' ||
    word === '1' ||
    (word !== '' && ['true', 'yes'].some((full) => full.startsWith(word)))
  )
}
