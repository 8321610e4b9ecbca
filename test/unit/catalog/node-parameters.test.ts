import { describe, expect, it } from 'vitest'
import { isLevelled, isSettable } from '../../../src/catalog/node-parameters.ts'

const words = (text: string) => text.trim().split(/\s+/)

describe('which parameters every connection has as the primary has them', () => {
  it('are all that show in what a statement answers', () => {
    const names =
      words(`DateStyle TimeZone IntervalStyle bytea_output extra_float_digits array_nulls
      default_text_search_config xmlbinary xmloption lc_monetary lc_numeric lc_time search_path
      row_security default_transaction_isolation default_transaction_read_only statement_timeout
      lock_timeout transaction_timeout standard_conforming_strings timezone_abbreviations
      gin_fuzzy_search_limit transform_null_equals backslash_quote quote_all_identifiers
      escape_string_warning check_function_bodies icu_validation_level client_min_messages
      idle_in_transaction_session_timeout restrict_nonsystem_relation_kind application_name
      pg_trgm.similarity_threshold a_parameter_of_a_later_version`)
    expect(names.filter((name) => !isLevelled(name, 'user'))).toEqual([])
    expect(isLevelled('lc_messages', 'superuser')).toBe(true)
  })

  it('are not those that say how a node works', () => {
    const names = words(`work_mem temp_buffers enable_seqscan cpu_tuple_cost random_page_cost jit
      max_parallel_workers_per_gather effective_cache_size log_statement track_activities
      synchronous_commit geqo from_collapse_limit plan_cache_mode debug_print_plan tcp_keepalives_idle
      temp_tablespaces default_tablespace vacuum_cost_delay maintenance_work_mem`)
    expect(names.filter((name) => isLevelled(name, 'user'))).toEqual([])
    expect(names.filter((name) => !isSettable(name, 'user'))).toEqual([])
    expect(isLevelled('port', 'postmaster')).toBe(false)
    expect(isSettable('transaction_isolation', 'user')).toBe(false)
  })
})
