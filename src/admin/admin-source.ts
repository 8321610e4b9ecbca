/**
 * What the admin database shows, as plain rows. Field names are the column names that SHOW
 * prints: PgBouncer's where it has the column (pgbouncer.org, "Admin console"), so that its
 * exporters and dashboards read ours too. Whoever builds the rows copies from snapshots and
 * counters; nothing here reaches back into a live object.
 *
 * Times: `…_time` totals and `avg_…` are microseconds as in PgBouncer, `…_ms` is milliseconds,
 * `connect_time` and `request_time` are text (`2026-11-22 10:00:00 UTC`).
 */

export interface NodeRow {
  readonly node: string
  readonly role: 'primary' | 'replica' | 'unknown'
  /** `up`, `down`, `lagging`, `banned`, `draining` …: the health's own word. */
  readonly state: string
  /** Why it is in that state; null when there is nothing to say. */
  readonly reason: string | null
  readonly host: string
  readonly port: number
  readonly zone: string | null
  readonly weight: number
  /** null = not known (primary, or no sample yet). */
  readonly lag_ms: number | null
  readonly lag_bytes: number | bigint | null
  readonly replay_lsn: string | null
  readonly timeline: number | null
  readonly in_flight: number
  readonly sv_active: number
  readonly sv_idle: number
  readonly sv_login: number
  readonly requests: number
  readonly errors: number
  /** Where it comes from and what is said of it there: `config`, `patroni: leader, running`. */
  readonly source: string
}

export interface PoolRow {
  readonly database: string
  readonly user: string
  readonly cl_active: number
  readonly cl_waiting: number
  readonly cl_active_cancel_req: number
  readonly cl_waiting_cancel_req: number
  readonly sv_active: number
  readonly sv_active_cancel: number
  readonly sv_being_canceled: number
  readonly sv_idle: number
  readonly sv_used: number
  readonly sv_tested: number
  readonly sv_login: number
  /** Longest wait of a waiter now: whole seconds, and the microseconds beyond them. */
  readonly maxwait: number
  readonly maxwait_us: number
  readonly pool_mode: string
  /** Ours: a pool belongs to one node. */
  readonly node: string
  /** Ours: why the node lets the user not in; null = it does, as far as is known. */
  readonly refused: string | null
}

interface ConnectionRow {
  readonly user: string
  readonly database: string
  readonly state: string
  readonly addr: string
  readonly port: number
  readonly local_addr: string
  readonly local_port: number
  readonly connect_time: string
  readonly request_time: string | null
  readonly wait: number
  readonly wait_us: number
  readonly close_needed: number
  readonly ptr: string
  /** `ptr` of the other side's connection while one serves the other; '' otherwise. */
  readonly link: string
  readonly remote_pid: number
  readonly tls: string
  readonly application_name: string
  readonly prepared_statements: number
  readonly id: number
}

export interface ClientRow extends ConnectionRow {
  /** Why the session keeps its server connection; null = it need not. */
  readonly pin_reason: string | null
  /** Node that serves it now; null between requests. */
  readonly node: string | null
  /** Node and reason of its last statement, as `SHOW pgsplit.last_route` says it. */
  readonly last_route: string | null
}

export interface ServerRow extends ConnectionRow {
  readonly node: string
  /** Requests sent on it whose answer is not complete. */
  readonly in_flight: number
  readonly pin_reason: string | null
}

export interface StatsRow {
  readonly database: string
  readonly total_server_assignment_count: number
  readonly total_xact_count: number
  readonly total_query_count: number
  readonly total_received: number
  readonly total_sent: number
  readonly total_xact_time: number
  readonly total_query_time: number
  readonly total_wait_time: number
  readonly avg_server_assignment_count: number
  readonly avg_xact_count: number
  readonly avg_query_count: number
  readonly avg_recv: number
  readonly avg_sent: number
  readonly avg_xact_time: number
  readonly avg_query_time: number
  readonly avg_wait_time: number
  readonly reads_replica: number
  readonly reads_primary: number
  readonly writes: number
  readonly retries: number
}

export interface ConfigRow {
  readonly key: string
  readonly value: string | null
  readonly default: string | null
  readonly changeable: 'yes' | 'no'
}

export interface DatabaseRow {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly database: string
  readonly force_user: string | null
  readonly pool_size: number
  readonly min_pool_size: number
  readonly reserve_pool_size: number
  readonly pool_mode: string
  readonly max_connections: number
  readonly current_connections: number
  readonly paused: number
  readonly disabled: number
  /** Ours: the node that host and port belong to. */
  readonly node: string
}

export interface UserRow {
  readonly name: string
  readonly pool_size: number | null
  readonly pool_mode: string | null
  readonly max_user_connections: number
  readonly current_connections: number
}

/** Why requests went to a node: one row per node and reason. */
export interface RouteRow {
  readonly cluster: string
  readonly node: string
  /** One of a few words; see `RouteWord`. */
  readonly reason: string
  readonly requests: number
}

/**
 * How long requests took: one row per node and kind, µs. `wait_…`: in pgsplit, until they were sent;
 * `serve_…`: from then to the end of the answer. Of all since the start.
 */
export interface LatencyRow {
  readonly cluster: string
  readonly node: string
  readonly kind: 'read' | 'write'
  readonly requests: number
  readonly wait_p50_us: number | null
  readonly wait_p95_us: number | null
  readonly wait_p99_us: number | null
  readonly wait_p999_us: number | null
  readonly serve_p50_us: number | null
  readonly serve_p95_us: number | null
  readonly serve_p99_us: number | null
  readonly serve_p999_us: number | null
}

/**
 * One statement that takes much time, by its text without literals. Times of the servers since the
 * start, µs. Who took a place where all were taken may lack up to `missing_us` of before.
 */
export interface StatementRow {
  readonly cluster: string
  readonly database: string
  readonly query: string
  readonly calls: number
  readonly primary_calls: number
  readonly total_us: number
  readonly primary_us: number
  readonly replica_us: number
  readonly p50_us: number | null
  readonly p95_us: number | null
  readonly p99_us: number | null
  readonly rows: number
  readonly bytes: number
  readonly errors: number
  readonly retries: number
  /** Why most of its time on the primary was there: a word of routing, and a clause. */
  readonly reason: string | null
  readonly why: string | null
  /** What would let it run on a replica; null: nothing that is known. */
  readonly advice: string | null
  readonly missing_us: number
  /** The same for the same text in the same database. */
  readonly id: string
}

/** What the clients of one user get by the entries that say it, and what they take; null = no limit. */
export interface RuleRow {
  readonly cluster: string
  readonly user: string
  /** `*`: more than one. */
  readonly database: string
  /** Who says it: `users`, `rules[2]`, both; null: nobody. */
  readonly source: string | null
  readonly access: 'all' | 'read'
  readonly clients: number
  readonly max_clients: number | null
  /** Those that run something or are in a transaction; counted where that has a limit. */
  readonly running: number
  readonly max_running: number | null
  readonly waiting: number
  readonly max_statement_ms: number | null
  readonly max_rows: number | null
  readonly max_bytes: number | null
  /** Requests refused by `access: read`, cancelled at their time, and cut off at their rows or bytes. */
  readonly refused: number
  readonly timed_out: number
  readonly cut: number
}

/** `bytes` of one part: `rss`, `heap_used`, `external`, `class_cache` … */
export interface MemoryRow {
  readonly name: string
  readonly bytes: number
}

/** The one thing that an `AdminSession` asks. Each call gives the state of that moment. */
export interface AdminSource {
  nodes(): readonly NodeRow[]
  pools(): readonly PoolRow[]
  clients(): readonly ClientRow[]
  servers(): readonly ServerRow[]
  stats(): readonly StatsRow[]
  /** Secrets are already masked. */
  config(): readonly ConfigRow[]
  databases(): readonly DatabaseRow[]
  users(): readonly UserRow[]
  memory(): readonly MemoryRow[]
  routes(): readonly RouteRow[]
  rules(): readonly RuleRow[]
  latencies(): readonly LatencyRow[]
  /** Those that take most time on the primary first. */
  statements(): readonly StatementRow[]
  /** `paused`: a cluster is; `draining`: after SIGTERM or SHUTDOWN. */
  state(): 'active' | 'paused' | 'draining'
  /** Version of pgsplit: `0.1.0`. */
  version(): string
}
