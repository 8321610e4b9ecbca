import type {
  ClientRow,
  ConfigRow,
  DatabaseRow,
  LatencyRow,
  MemoryRow,
  NodeRow,
  PoolRow,
  RouteRow,
  RuleRow,
  ServerRow,
  StatementRow,
  StatsRow,
  UserRow,
} from './admin-source.ts'
import type { ColumnType } from './result.ts'

/**
 * Columns in the order that SHOW prints them. PgBouncer's come first and in its order, ours after
 * them: tools that read by position find what they know.
 */
type Columns<Row> = readonly (readonly [keyof Row & string, ColumnType])[]

/** What of the row has no column: nothing, or the list isn't taken. */
type Forgotten<Row, List extends Columns<Row>> = Exclude<keyof Row & string, List[number][0]>

/** All columns of a row: one that is forgotten doesn't compile. */
function allOf<Row>() {
  return <const List extends Columns<Row>>(
    list: [Forgotten<Row, List>] extends [never] ? List : Forgotten<Row, List>,
  ): Columns<Row> => list as List
}

const connection = [
  ['user', 'text'],
  ['database', 'text'],
  ['state', 'text'],
  ['addr', 'text'],
  ['port', 'int8'],
  ['local_addr', 'text'],
  ['local_port', 'int8'],
  ['connect_time', 'text'],
  ['request_time', 'text'],
  ['wait', 'int8'],
  ['wait_us', 'int8'],
  ['close_needed', 'int8'],
  ['ptr', 'text'],
  ['link', 'text'],
  ['remote_pid', 'int8'],
  ['tls', 'text'],
  ['application_name', 'text'],
  ['prepared_statements', 'int8'],
  ['id', 'int8'],
] as const

export const nodeColumns = allOf<NodeRow>()([
  ['node', 'text'],
  ['role', 'text'],
  ['state', 'text'],
  ['reason', 'text'],
  ['host', 'text'],
  ['port', 'int8'],
  ['zone', 'text'],
  ['weight', 'float8'],
  ['lag_ms', 'float8'],
  ['lag_bytes', 'int8'],
  ['replay_lsn', 'text'],
  ['timeline', 'int8'],
  ['in_flight', 'int8'],
  ['sv_active', 'int8'],
  ['sv_idle', 'int8'],
  ['sv_login', 'int8'],
  ['requests', 'int8'],
  ['errors', 'int8'],
  ['source', 'text'],
])

export const poolColumns = allOf<PoolRow>()([
  ['database', 'text'],
  ['user', 'text'],
  ['cl_active', 'int8'],
  ['cl_waiting', 'int8'],
  ['cl_active_cancel_req', 'int8'],
  ['cl_waiting_cancel_req', 'int8'],
  ['sv_active', 'int8'],
  ['sv_active_cancel', 'int8'],
  ['sv_being_canceled', 'int8'],
  ['sv_idle', 'int8'],
  ['sv_used', 'int8'],
  ['sv_tested', 'int8'],
  ['sv_login', 'int8'],
  ['maxwait', 'int8'],
  ['maxwait_us', 'int8'],
  ['pool_mode', 'text'],
  ['node', 'text'],
  ['refused', 'text'],
])

/** `type` (C or S) is put in front by the command: it is the same in every row. */
export const clientColumns = allOf<ClientRow & { type: string }>()([
  ['type', 'text'],
  ...connection,
  ['pin_reason', 'text'],
  ['node', 'text'],
  ['last_route', 'text'],
])

export const serverColumns = allOf<ServerRow & { type: string }>()([
  ['type', 'text'],
  ...connection,
  ['node', 'text'],
  ['in_flight', 'int8'],
  ['pin_reason', 'text'],
])

const statsTotals = [
  ['total_server_assignment_count', 'int8'],
  ['total_xact_count', 'int8'],
  ['total_query_count', 'int8'],
  ['total_received', 'int8'],
  ['total_sent', 'int8'],
  ['total_xact_time', 'int8'],
  ['total_query_time', 'int8'],
  ['total_wait_time', 'int8'],
] as const

const statsAverages = [
  ['avg_server_assignment_count', 'int8'],
  ['avg_xact_count', 'int8'],
  ['avg_query_count', 'int8'],
  ['avg_recv', 'int8'],
  ['avg_sent', 'int8'],
  ['avg_xact_time', 'int8'],
  ['avg_query_time', 'int8'],
  ['avg_wait_time', 'int8'],
] as const

const statsRouting = [
  ['reads_replica', 'int8'],
  ['reads_primary', 'int8'],
  ['writes', 'int8'],
  ['retries', 'int8'],
] as const

export const statsColumns = allOf<StatsRow>()([
  ['database', 'text'],
  ...statsTotals,
  ...statsAverages,
  ...statsRouting,
])
export const statsTotalsColumns: Columns<StatsRow> = [
  ['database', 'text'],
  ...statsTotals,
  ...statsRouting,
]
export const statsAveragesColumns: Columns<StatsRow> = [['database', 'text'], ...statsAverages]

export const configColumns = allOf<ConfigRow>()([
  ['key', 'text'],
  ['value', 'text'],
  ['default', 'text'],
  ['changeable', 'text'],
])

export const databaseColumns = allOf<DatabaseRow>()([
  ['name', 'text'],
  ['host', 'text'],
  ['port', 'int8'],
  ['database', 'text'],
  ['force_user', 'text'],
  ['pool_size', 'int8'],
  ['min_pool_size', 'int8'],
  ['reserve_pool_size', 'int8'],
  ['pool_mode', 'text'],
  ['max_connections', 'int8'],
  ['current_connections', 'int8'],
  ['paused', 'int8'],
  ['disabled', 'int8'],
  ['node', 'text'],
])

export const userColumns = allOf<UserRow>()([
  ['name', 'text'],
  ['pool_size', 'int8'],
  ['pool_mode', 'text'],
  ['max_user_connections', 'int8'],
  ['current_connections', 'int8'],
])

export const ruleColumns = allOf<RuleRow>()([
  ['cluster', 'text'],
  ['user', 'text'],
  ['database', 'text'],
  ['source', 'text'],
  ['access', 'text'],
  ['clients', 'int8'],
  ['max_clients', 'int8'],
  ['running', 'int8'],
  ['max_running', 'int8'],
  ['waiting', 'int8'],
  ['max_statement_ms', 'int8'],
  ['max_rows', 'int8'],
  ['max_bytes', 'int8'],
  ['refused', 'int8'],
  ['timed_out', 'int8'],
  ['cut', 'int8'],
])

export const memoryColumns = allOf<MemoryRow>()([
  ['name', 'text'],
  ['bytes', 'int8'],
])

export const routeColumns = allOf<RouteRow>()([
  ['cluster', 'text'],
  ['node', 'text'],
  ['reason', 'text'],
  ['requests', 'int8'],
])

export const latencyColumns = allOf<LatencyRow>()([
  ['cluster', 'text'],
  ['node', 'text'],
  ['kind', 'text'],
  ['requests', 'int8'],
  ['wait_p50_us', 'float8'],
  ['wait_p95_us', 'float8'],
  ['wait_p99_us', 'float8'],
  ['wait_p999_us', 'float8'],
  ['serve_p50_us', 'float8'],
  ['serve_p95_us', 'float8'],
  ['serve_p99_us', 'float8'],
  ['serve_p999_us', 'float8'],
])

export const statementColumns = allOf<StatementRow>()([
  ['cluster', 'text'],
  ['database', 'text'],
  ['query', 'text'],
  ['calls', 'int8'],
  ['primary_calls', 'int8'],
  ['total_us', 'int8'],
  ['primary_us', 'int8'],
  ['replica_us', 'int8'],
  ['p50_us', 'float8'],
  ['p95_us', 'float8'],
  ['p99_us', 'float8'],
  ['rows', 'int8'],
  ['bytes', 'int8'],
  ['errors', 'int8'],
  ['retries', 'int8'],
  ['reason', 'text'],
  ['why', 'text'],
  ['advice', 'text'],
  ['missing_us', 'int8'],
  ['id', 'text'],
])
