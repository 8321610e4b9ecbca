import type {
  AdminSource,
  ClientRow,
  ConfigRow,
  DatabaseRow,
  NodeRow,
  PoolRow,
  ServerRow,
  StatsRow,
  UserRow,
} from '../admin/admin-source.ts'
import type { ClientSession } from '../client/session.ts'
import { packageVersion } from '../config/version.ts'
import { nowMs } from '../net/turn-clock.ts'
import type { DatabaseCounts } from '../routing/database-tally.ts'
import { formatLsn } from '../topology/lsn.ts'
import { nodeState } from '../topology/node-state.ts'
import type { Cluster } from './cluster.ts'
import { configRows } from './config-rows.ts'
import type { FrontDoor } from './front-door.ts'
import { latencyRows, routeRows } from './meter-rows.ts'
import { ruleRows } from './rule-rows.ts'
import type { Scope } from './scope.ts'
import { statementRows } from './statement-rows.ts'

/** Copies what the admin database shows out of the live objects, at the moment it is asked. */
export function adminSource(door: FrontDoor): AdminSource {
  const { clusters } = door.options
  const scopes = (): Scope[] => clusters.flatMap((cluster) => [...cluster.scopes.values()])
  return {
    nodes: () => clusters.flatMap(nodeRows),
    pools: () =>
      clusters.flatMap((cluster) =>
        [...cluster.scopes.values()].flatMap((scope) => poolRows(cluster, scope)),
      ),
    clients: () => [...door.sessions].map(clientRow),
    servers: () => scopes().flatMap(serverRows),
    stats: () => clusters.flatMap(statsRows),
    config: (): readonly ConfigRow[] => configRows(door.options.config),
    routes: () => clusters.flatMap(routeRows),
    rules: () => clusters.flatMap(ruleRows),
    latencies: () => clusters.flatMap(latencyRows),
    statements: () => statementRows(clusters),
    databases: () => clusters.flatMap(databaseRows),
    users: (): readonly UserRow[] =>
      [...new Set(scopes().map(({ user }) => user))].map((name) => ({
        name,
        pool_size: null,
        pool_mode: null,
        max_user_connections: 0,
        current_connections: [...door.sessions].filter(({ scope }) => scope.user === name).length,
      })),
    memory: () => {
      const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
      return [
        { name: 'rss', bytes: rss },
        { name: 'heap_used', bytes: heapUsed },
        { name: 'external', bytes: external },
        { name: 'array_buffers', bytes: arrayBuffers },
      ]
    },
    state: () => {
      if (door.isDraining) return 'draining'
      return clusters.some(({ isPaused }) => isPaused) ? 'paused' : 'active'
    },
    version: packageVersion,
  }
}

function nodeRows(cluster: Cluster): NodeRow[] {
  return cluster.snapshot.nodes.map((node) => {
    const counts = countsOf(cluster, node.index)
    return {
      node: node.id,
      role: node.role,
      state: nodeState(node),
      reason: node.fenced ?? node.healthReason,
      host: node.spec.host,
      port: node.spec.port,
      zone: node.spec.zone,
      weight: node.spec.weight,
      lag_ms: node.lagMs === null ? null : Math.round(node.lagMs),
      lag_bytes: node.lagBytes,
      replay_lsn: node.replayLsn === null ? null : formatLsn(node.replayLsn),
      timeline: node.timeline,
      in_flight: cluster.load.inFlight[node.index] ?? 0,
      sv_active: counts.active,
      sv_idle: counts.idle,
      sv_login: counts.login,
      requests: cluster.counters.requests[node.index] ?? 0,
      errors: cluster.counters.errors[node.index] ?? 0,
      source: cluster.members.at(node.index)?.source ?? '',
    }
  })
}

function countsOf(cluster: Cluster, nodeIndex: number) {
  const sum = { active: 0, idle: 0, login: 0 }
  for (const scope of cluster.scopes.values()) {
    const counts = scope.pools.get(nodeIndex)?.counts()
    if (counts === undefined) continue
    sum.active += counts.leased + counts.shared
    sum.idle += counts.idle
    sum.login += counts.connecting
  }
  return sum
}

function poolRows(cluster: Cluster, scope: Scope): PoolRow[] {
  return [...scope.pools].map(([nodeIndex, pool]) => {
    const counts = pool.counts()
    let active = 0
    for (const session of scope.sessions) {
      if (session.inFlight.some((request) => request.nodeIndex === nodeIndex)) active++
    }
    const waitUs = Math.round(counts.maxWaitMs * 1000)
    return {
      database: scope.database,
      user: scope.user,
      cl_active: active,
      cl_waiting: counts.waiting,
      cl_active_cancel_req: 0,
      cl_waiting_cancel_req: 0,
      sv_active: counts.leased + counts.shared,
      sv_active_cancel: 0,
      sv_being_canceled: [...pool.connections].filter((one) => one.isBeingCancelled).length,
      sv_idle: counts.idle,
      sv_used: 0,
      sv_tested: 0,
      sv_login: counts.connecting,
      maxwait: Math.floor(waitUs / 1_000_000),
      maxwait_us: waitUs % 1_000_000,
      pool_mode: cluster.limits.poolMode,
      node: cluster.node(nodeIndex).name,
      refused: scope.refusals.logins.why(nodeIndex),
    }
  })
}

/** What SHOW CLIENTS says of a session. */
export function clientRow(session: ClientSession): ClientRow {
  const isWaiting = session.waiting.request !== null
  const isActive = session.inFlight.length > 0
  const waitUs = isWaiting ? Math.round((nowMs() - session.requestStartedAtMs) * 1000) : 0
  const server = session.lease ?? session.inFlight.first?.connection ?? null
  return {
    user: session.scope.user,
    database: session.scope.database,
    state: isWaiting ? 'waiting' : isActive || session.lease !== null ? 'active' : 'idle',
    addr: session.link.remoteAddress,
    port: session.link.remotePort,
    local_addr: '',
    local_port: 0,
    connect_time: clockText(session.connectedAtMs),
    request_time: session.requestStartedAtMs === 0 ? null : clockText(session.requestStartedAtMs),
    wait: Math.floor(waitUs / 1_000_000),
    wait_us: waitUs % 1_000_000,
    close_needed: 0,
    ptr: `cl${session.id}`,
    link: server === null ? '' : `sv${server.id}`,
    remote_pid: 0,
    tls: session.link.isEncrypted ? 'TLS' : '',
    application_name: session.applicationName,
    prepared_statements: session.statements.size,
    id: session.id,
    pin_reason: session.pinReason,
    node: server?.nodeId ?? null,
    last_route: session.route.node === null ? null : session.route.text,
  }
}

function serverRows(scope: Scope): ServerRow[] {
  const holders = new Map([...scope.sessions].map((session) => [session.lease, session]))
  return [...scope.pools.values()].flatMap((pool) =>
    [...pool.connections].map((connection) => {
      const holder = holders.get(connection)
      const { link } = connection
      return {
        user: scope.user,
        database: scope.database,
        state: connection.isBeingCancelled
          ? 'being_canceled'
          : connection.depth > 0 || pool.isLeased(connection)
            ? 'active'
            : 'idle',
        addr: link.remoteAddress,
        port: link.remotePort,
        local_addr: '',
        local_port: 0,
        connect_time: clockText(connection.createdAtMs),
        request_time: connection.headSinceMs === null ? null : clockText(connection.headSinceMs),
        wait: 0,
        wait_us: 0,
        close_needed: connection.condemnation === null ? 0 : 1,
        ptr: `sv${connection.id}`,
        link: holder === undefined ? '' : `cl${holder.id}`,
        remote_pid: connection.processId,
        tls: link.isEncrypted ? 'TLS' : '',
        application_name: connection.parameters.get('application_name') ?? '',
        prepared_statements: connection.prepared.size,
        id: connection.id,
        node: connection.nodeId,
        in_flight: connection.depth,
        pin_reason: holder?.pinReason ?? null,
      }
    }),
  )
}

/** One row for each database that clients have used. */
function statsRows({ tallies }: Cluster): StatsRow[] {
  return [...tallies].map(([database, tally]) => statsRow(database, tally.counts()))
}

function statsRow(database: string, counters: DatabaseCounts): StatsRow {
  const upSeconds = Math.max(1, process.uptime())
  const queries = Math.max(1, counters.queries)
  const queryUs = Math.round(counters.queryMs * 1000)
  const waitUs = Math.round(counters.waitMs * 1000)
  return {
    database,
    total_server_assignment_count: counters.queries,
    total_xact_count: counters.transactions,
    total_query_count: counters.queries,
    total_received: counters.received,
    total_sent: counters.sent,
    total_xact_time: queryUs,
    total_query_time: queryUs,
    total_wait_time: waitUs,
    avg_server_assignment_count: Math.round(counters.queries / upSeconds),
    avg_xact_count: Math.round(counters.transactions / upSeconds),
    avg_query_count: Math.round(counters.queries / upSeconds),
    avg_recv: Math.round(counters.received / upSeconds),
    avg_sent: Math.round(counters.sent / upSeconds),
    avg_xact_time: Math.round(queryUs / queries),
    avg_query_time: Math.round(queryUs / queries),
    avg_wait_time: Math.round(waitUs / queries),
    reads_replica: counters.readsReplica,
    reads_primary: counters.readsPrimary,
    writes: counters.writes,
    retries: counters.retries,
  }
}

function databaseRows(cluster: Cluster): DatabaseRow[] {
  const { pool, databases } = cluster.config
  return databases.flatMap((name) =>
    cluster.members.all.map(({ node }) => ({
      name,
      host: node.host,
      port: node.port,
      database: name,
      force_user: null,
      pool_size: pool.size,
      min_pool_size: 0,
      reserve_pool_size: 0,
      pool_mode: pool.mode,
      max_connections: 0,
      current_connections: [...cluster.scopes.values()]
        .filter((scope) => scope.database === name)
        .reduce((sum, scope) => sum + scope.sessions.size, 0),
      paused: cluster.isPaused ? 1 : 0,
      disabled: 0,
      node: node.name,
    })),
  )
}

/** `2026-11-22 10:00:00 UTC` from a time of the monotonic clock. */
function clockText(monotonicMs: number): string {
  const date = new Date(performance.timeOrigin + monotonicMs)
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
