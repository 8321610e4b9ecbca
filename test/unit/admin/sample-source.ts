import type {
  AdminSource,
  ClientRow,
  NodeRow,
  PoolRow,
  ServerRow,
} from '../../../src/admin/admin-source.ts'

export const primary: NodeRow = {
  node: 'p1',
  role: 'primary',
  state: 'up',
  reason: null,
  host: '127.0.0.1',
  port: 5432,
  zone: null,
  weight: 1,
  lag_ms: null,
  lag_bytes: null,
  replay_lsn: null,
  timeline: 1,
  in_flight: 0,
  sv_active: 0,
  sv_idle: 2,
  sv_login: 0,
  requests: 12,
  errors: 0,
  source: 'config',
}

const replica: NodeRow = {
  ...primary,
  node: 'r1',
  role: 'replica',
  port: 5433,
  weight: 1.5,
  lag_ms: 0.25,
  lag_bytes: 9_007_199_254_740_993n,
  replay_lsn: '0/3000148',
}

const pool: PoolRow = {
  database: 'app',
  user: 'web',
  cl_active: 3,
  cl_waiting: 0,
  cl_active_cancel_req: 0,
  cl_waiting_cancel_req: 0,
  sv_active: 1,
  sv_active_cancel: 0,
  sv_being_canceled: 0,
  sv_idle: 2,
  sv_used: 0,
  sv_tested: 0,
  sv_login: 0,
  maxwait: 0,
  maxwait_us: 15,
  pool_mode: 'transaction',
  node: 'r1',
  refused: null,
}

const connection = {
  user: 'web',
  database: 'app',
  state: 'active',
  addr: '127.0.0.1',
  port: 40_001,
  local_addr: '127.0.0.1',
  local_port: 6432,
  connect_time: '2026-11-22 10:00:00 UTC',
  request_time: null,
  wait: 0,
  wait_us: 0,
  close_needed: 0,
  ptr: 'c1',
  link: '',
  remote_pid: 0,
  tls: '',
  application_name: 'shop ☕',
  prepared_statements: 1,
  id: 7,
}

const client: ClientRow = {
  ...connection,
  pin_reason: 'LISTEN orders',
  node: 'p1',
  last_route: 'p1: pinned by LISTEN',
}

const server: ServerRow = { ...connection, node: 'r1', in_flight: 2, pin_reason: null }

/** A source of constant rows; `rows` replaces some of its answers. */
export function sampleSource(rows: Partial<AdminSource> = {}): AdminSource {
  return {
    nodes: () => [primary, replica],
    pools: () => [pool],
    clients: () => [client, { ...client, id: 8, state: 'login', pin_reason: null }],
    servers: () => [server],
    stats: () => [],
    config: () => [{ key: 'maxLag', value: '10s', default: '10s', changeable: 'yes' }],
    databases: () => [],
    routes: () => [{ cluster: 'main', node: 'p1', reason: 'write', requests: 12 }],
    latencies: () => [],
    rules: () => [],
    statements: () => [],
    users: () => [],
    memory: () => [{ name: 'rss', bytes: 50_000_000 }],
    state: () => 'active',
    version: () => '0.1.0',
    ...rows,
  }
}
