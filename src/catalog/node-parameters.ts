/**
 * Which parameters two nodes may have apart, and which every connection has as the primary has them.
 * A parameter that a session can set, and that may show in what a statement answers, is levelled:
 * connections to a replica are given the primary's value. What only says how the node works (its
 * memory, its planner, its log, its disks) stays its own, and where it differs the primary is asked for it.
 */

/** User-settable, and yet the node's own business: answers do not depend on it. */
const NODE_OWN = new RegExp(
  `^(${[
    'allow_in_place_tablespaces|allow_system_table_mods|autovacuum|backend_flush_after',
    'backtrace_functions|client_connection_check_interval|commit_|compute_query_id',
    'constraint_exclusion|cpu_|createrole_self_grant|cursor_tuple_fraction|deadlock_timeout|debug_',
    'default_statistics_target|default_tablespace$|default_table_access_method|default_toast',
    'dynamic_library_path|effective_|enable_|event_triggers|exit_on_error|extension_control_path',
    'file_|force_parallel_mode|from_collapse|geqo|gin_pending|hash_mem|ignore_|io_|jit',
    'join_collapse|local_preload|log_|logical_|maintenance_|max_|min_parallel|parallel_',
    'password_encryption|plan_cache_mode|random_page|recursive_worktable|scram_|seed$|seq_page',
    'session_preload|session_replication_role|ssl_|stats_fetch|synchronize_seqscans',
    'synchronous_commit|tcp_|temp_|trace_|track_|update_process_title|vacuum_|wal_|work_mem',
    'zero_damaged|auto_explain\\.|pg_stat_|pg_prewarm\\.|pgaudit\\.|pg_hint_plan\\.',
  ].join('|')})`,
)

/** What a session has for itself, whatever the server's configuration says. */
const OF_SESSION = new Set([
  'transaction_deferrable',
  'transaction_isolation',
  'transaction_read_only',
  'role',
  'session_authorization',
])

/** May a session have it otherwise than the server? */
export function isSettable(name: string, context: string): boolean {
  return (context === 'user' || context === 'superuser') && !OF_SESSION.has(name.toLowerCase())
}

/** Is every connection to have it as the primary has it? `context` as in pg_settings. */
export function isLevelled(name: string, context: string): boolean {
  return isSettable(name, context) && !NODE_OWN.test(name.toLowerCase())
}
