/**
 * What is known of PostgreSQL's own functions beyond `pg_proc.provolatile`.
 * Lists of what is allowed age safely: a function of a later version is unsafe until it is listed.
 */

function names(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}

/**
 * VOLATILE, yet harmless on any node, which answer alike: they read replicated data or nothing at
 * all. Nothing that looks at the node's own files, memory, log or activity belongs here.
 */
export const HARMLESS_VOLATILE = names(`
  clock_timestamp current_query gen_random_uuid random timeofday amvalidate bernoulli lo_get
  pg_partition_ancestors pg_partition_tree system random_normal array_sample array_shuffle uuidv4
  uuidv7`)

/**
 * VOLATILE ones that only read, but what the node itself has: its files, its activity, its own
 * transactions. They are the primary's to answer, and a READ ONLY transaction may call them. Who
 * sleeps is looked for in pg_stat_activity, which is the primary's.
 */
export const READS_NODE = names(`
  pg_sleep pg_sleep_for pg_sleep_until currtid2 pg_database_size pg_indexes_size pg_relation_size
  pg_table_size pg_tablespace_size pg_total_relation_size pg_xact_commit_timestamp
  pg_xact_commit_timestamp_origin pg_last_committed_xact pg_get_wait_events pg_blocking_pids
  pg_safe_snapshot_blocking_pids pg_isolation_test_session_is_blocked pg_lock_status pg_stat_file
  pg_ls_dir pg_ls_waldir pg_ls_logdir pg_ls_tmpdir pg_ls_archive_statusdir pg_ls_logicalmapdir
  pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_summariesdir pg_read_file pg_read_binary_file
  pg_current_logfile pg_current_wal_lsn pg_current_wal_insert_lsn pg_current_wal_flush_lsn
  pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_is_in_recovery
  pg_is_wal_replay_paused pg_get_wal_replay_pause_state pg_get_wal_resource_managers
  pg_wal_summary_contents pg_available_wal_summaries pg_get_wal_summarizer_state
  pg_control_system pg_control_checkpoint pg_control_recovery pg_control_init
  pg_collation_actual_version pg_database_collation_actual_version pg_sequence_last_value
  pg_get_sequence_data pg_xact_status txid_status pg_notification_queue_usage
  pg_show_replication_origin_status pg_replication_origin_progress pg_get_replication_slots
  pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings pg_get_shmem_allocations
  pg_get_shmem_allocations_numa pg_get_backend_memory_contexts pg_prepared_xact
  pg_stat_get_wal_receiver pg_stat_get_wal_senders pg_stat_get_activity pg_jit_available
  pg_numa_available pg_get_aios`)

/** The same for functions of PostgreSQL's own extensions, by extension. */
export const HARMLESS_EXTENSION: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  [
    'pgcrypto',
    names(`gen_random_bytes gen_random_uuid gen_salt pgp_pub_encrypt pgp_pub_encrypt_bytea
      pgp_sym_encrypt pgp_sym_encrypt_bytea`),
  ],
  ['uuid-ossp', names('uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4')],
  ['tablefunc', names('normal_rand')],
  ['tsm_system_rows', names('system_rows')],
  ['tsm_system_time', names('system_time')],
])

/**
 * STABLE built-ins called pg_… that answer alike on every node; others of that prefix don't.
 * pg_my_temp_schema is 0 in every session that may read elsewhere: temporary objects pin.
 */
export const VETTED_STABLE = names(`
  pg_char_to_encoding pg_client_encoding pg_collation_for pg_collation_is_visible
  pg_column_compression pg_column_is_updatable pg_column_size pg_column_toast_chunk_id pg_conversion_is_visible
  pg_dependencies_recv pg_dependencies_send pg_describe_object pg_encoding_to_char
  pg_filenode_relation pg_function_is_visible pg_get_acl pg_get_catalog_foreign_keys
  pg_get_constraintdef pg_get_expr pg_get_function_arg_default pg_get_function_arguments
  pg_get_function_identity_arguments pg_get_function_result pg_get_function_sqlbody
  pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_object_address
  pg_get_partition_constraintdef pg_get_partkeydef pg_get_publication_tables
  pg_get_replica_identity_index pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
  pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef
  pg_get_userbyid pg_get_viewdef pg_has_role pg_identify_object pg_identify_object_as_address
  pg_index_column_has_property pg_index_has_property pg_indexam_has_property
  pg_is_other_temp_schema pg_mcv_list_items pg_mcv_list_recv pg_mcv_list_send pg_my_temp_schema pg_ndistinct_recv
  pg_ndistinct_send pg_node_tree_recv pg_node_tree_send pg_opclass_is_visible
  pg_operator_is_visible pg_opfamily_is_visible pg_options_to_table pg_relation_is_publishable pg_relation_is_updatable pg_sequence_parameters
  pg_settings_get_flags pg_statistics_obj_is_visible pg_table_is_visible pg_trigger_depth
  pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible
  pg_ts_template_is_visible pg_type_is_visible pg_typeof pg_basetype`)

/** STABLE or IMMUTABLE, yet not for a replica: name → why. */
export const UNSAFE_WHATEVER_VOLATILITY: ReadonlyMap<string, string> = new Map([
  ...pairs('assigns a transaction id', 'txid_current pg_current_xact_id'),
  ...pairs(
    "answers for the node's own transactions",
    `txid_current_if_assigned pg_current_xact_id_if_assigned txid_current_snapshot
     pg_current_snapshot`,
  ),
  ...pairs(
    'answers for the node that runs it',
    `inet_server_addr inet_server_port inet_client_addr inet_client_port version mxid_age
     icu_unicode_version`,
  ),
  ...pairs('fails during recovery', 'pg_walfile_name pg_walfile_name_offset'),
  ...pairs(
    'runs SQL that its arguments give',
    `crosstab crosstab2 crosstab3 crosstab4 crosstabn crosstab_hash connectby xpath_table dblink
     dblink_exec query_to_xml query_to_xml_and_xmlschema query_to_xmlschema ts_stat ts_rewrite`,
  ),
  // table_to_xml('v') reads the view v, whose name is only a literal.
  ...pairs(
    'reads relations that its arguments name',
    `table_to_xml table_to_xml_and_xmlschema schema_to_xml schema_to_xml_and_xmlschema
     database_to_xml database_to_xml_and_xmlschema`,
  ),
  // domain_in('1', 'd'::regtype, -1) runs the checks of d, whose name is only a literal.
  ...pairs(
    'may run functions of a type that its arguments name',
    `domain_in domain_recv record_in record_recv array_in array_recv range_in range_recv
     multirange_in multirange_recv pg_input_is_valid pg_input_error_info`,
  ),
])

/** Unsafe only while there are unsafe types, whose checks and casts they could run unseen. */
export const FILLS_RECORDS = names(`
  json_populate_record json_populate_recordset jsonb_populate_record jsonb_populate_recordset
  jsonb_populate_record_valid populate_record`)

/** STABLE built-ins that read no stored data and no catalog. */
export const PURE_STABLE = names(`
  now transaction_timestamp statement_timestamp date_part date_trunc extract to_char to_date
  to_number to_timestamp age timezone concat concat_ws format array_to_string generate_series
  json_build_array json_build_object jsonb_build_array jsonb_build_object to_json to_jsonb
  row_to_json array_to_json current_database current_user session_user getpgusername
  current_setting pg_typeof pg_client_encoding pg_column_size quote_literal quote_nullable
  make_timestamptz date_add date_subtract overlaps length
  in_range pg_trigger_depth date time timestamp timestamptz timetz interval numeric money text
  json_agg jsonb_agg json_object_agg jsonb_object_agg`)

/** VOLATILE ones of `HARMLESS_VOLATILE` that read nothing. */
export const PURE_VOLATILE = names(`
  clock_timestamp current_query gen_random_uuid random timeofday random_normal array_sample array_shuffle uuidv4 uuidv7`)

/** Operators that SQL uses without spelling them: IN, BETWEEN, LIKE, DISTINCT, ORDER BY … */
export const IMPLICIT_OPERATORS = names('= <> < <= > >= ~~ !~~ ~~* !~~* ~')

/** Those of them with which an untyped literal is compared as the other side's type … */
export const COMPARISONS = names('= <> < <= > >=')

/** … if that side is one of these, which have each of them for themselves. */
export const COMPARABLE_TYPES = names(`
  int2 int4 int8 float4 float8 numeric text varchar bpchar name bool date time timetz timestamp
  timestamptz interval uuid bytea oid jsonb inet cidr`)

/** Type → the names by which SQL spells it as well. */
export const TYPE_SPELLINGS: ReadonlyMap<string, readonly string[]> = new Map([
  ['int2', ['smallint']],
  ['int4', ['int', 'integer']],
  ['int8', ['bigint']],
  ['float4', ['real', 'float']],
  ['float8', ['float', 'double']],
  ['numeric', ['decimal', 'dec']],
  ['bool', ['boolean']],
  ['bpchar', ['char', 'character', 'nchar', 'national']],
  ['varchar', ['character', 'national']],
  ['varbit', ['bit']],
  ['timestamptz', ['timestamp']],
  ['timetz', ['time']],
])

function pairs(why: string, text: string): [string, string][] {
  return [...names(text)].map((name) => [name, why])
}
