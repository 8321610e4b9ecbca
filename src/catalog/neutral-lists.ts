/**
 * Compiled functions that leave nothing in the session that runs them. Lists of what is allowed age
 * safely: what a later version brings is unproved until it's listed.
 */

function names(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}

/** VOLATILE built-ins; of those that aren't VOLATILE the few that do are in `sql/session-functions.ts`. */
export const NEUTRAL_VOLATILE = names(`
  amvalidate array_sample array_shuffle bernoulli brin_desummarize_range brinhandler
  bthandler clock_timestamp current_query currtid2 dsnowball_init dsnowball_lexize
  gen_random_uuid ginhandler gisthandler hashhandler heap_tableam_handler lo_close lo_creat
  lo_create lo_export lo_from_bytea lo_get lo_lseek lo_lseek64 lo_open lo_put lo_tell
  lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite nextval pg_advisory_xact_lock
  pg_advisory_xact_lock_shared pg_available_wal_summaries pg_blocking_pids pg_cancel_backend
  pg_clear_attribute_stats pg_clear_relation_stats pg_collation_actual_version
  pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system
  pg_create_restore_point pg_current_logfile pg_current_wal_flush_lsn
  pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_collation_actual_version
  pg_database_size pg_drop_replication_slot pg_export_snapshot pg_get_aios
  pg_get_backend_memory_contexts pg_get_loaded_modules pg_get_multixact_members
  pg_get_sequence_data pg_get_shmem_allocations pg_get_shmem_allocations_numa
  pg_get_wait_events pg_get_wal_replay_pause_state pg_get_wal_resource_managers
  pg_get_wal_summarizer_state pg_hba_file_rules pg_ident_file_mappings
  pg_import_system_collations pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused
  pg_isolation_test_session_is_blocked pg_jit_available pg_last_committed_xact
  pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status
  pg_log_backend_memory_contexts pg_log_standby_snapshot pg_logical_emit_message
  pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir
  pg_ls_replslotdir pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir pg_nextoid
  pg_notification_queue_usage pg_notify pg_partition_ancestors pg_partition_tree
  pg_prepared_xact pg_promote pg_read_binary_file pg_read_file pg_read_file_old
  pg_relation_size pg_reload_conf pg_replication_origin_advance pg_replication_origin_create
  pg_replication_origin_drop pg_replication_origin_progress pg_replication_slot_advance
  pg_restore_attribute_stats pg_restore_relation_stats pg_rotate_logfile
  pg_rotate_logfile_old pg_safe_snapshot_blocking_pids pg_sequence_last_value
  pg_show_all_file_settings pg_show_replication_origin_status pg_sleep pg_sleep_for
  pg_sleep_until pg_stat_clear_snapshot pg_stat_file pg_stat_force_next_flush
  pg_stat_have_stats pg_switch_wal pg_table_size pg_tablespace_size pg_terminate_backend
  pg_total_relation_size pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
  pg_wal_replay_pause pg_wal_replay_resume pg_wal_summary_contents pg_xact_commit_timestamp
  pg_xact_commit_timestamp_origin pg_xact_status random random_normal setval spghandler
  suppress_redundant_updates_trigger system timeofday tsvector_update_trigger
  tsvector_update_trigger_column txid_status unique_key_recheck uuidv4 uuidv7
  lo_import pg_get_replication_slots pg_get_wal_stats`)

/** Prefixes of such built-ins. */
export const NEUTRAL_PREFIXES = /^(?:RI_FKey_|pg_stat_get_|pg_stat_reset)/

/** Extensions whose compiled functions are neutral, but for those of `NOT_NEUTRAL`. */
export const NEUTRAL_EXTENSIONS = names(`
  adminpack amcheck autoinc bloom btree_gin btree_gist citext cube dblink dict_int dict_xsyn
  earthdistance file_fdw fuzzystrmatch h3 hll hstore hypopg insert_username intagg intarray ip4r isn
  lo ltree moddatetime old_snapshot pageinspect pg_bigm pg_buffercache pg_freespacemap
  pg_logicalinspect pg_overexplain pg_prewarm pg_similarity pg_stat_kcache pg_stat_statements
  pg_surgery pg_trgm pg_uuidv7 pg_visibility pg_walinspect pgcrypto pgrouting pgrowlocks
  pgstattuple plpgsql postgis postgis_raster postgis_sfcgal postgis_tiger_geocoder postgis_topology
  postgres_fdw prefix rum seg semver sslinfo tablefunc tcn test_decoding tsm_system_rows
  tsm_system_time unaccent unit uuid-ossp vector vectorscale wal2json xml2`)

/** Their functions that run SQL which their arguments give: name → extension doesn't matter. */
export const RUNS_ARGUMENTS = names(`
  connectby crosstab crosstab2 crosstab3 crosstab4 crosstabn crosstab_hash xpath_table
  check_primary_key check_foreign_key`)

/** Languages whose code is read. */
export const READ_LANGUAGES = names('plpgsql sql')
