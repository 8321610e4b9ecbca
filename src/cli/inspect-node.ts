import { type NodeTraits, readTraits } from '../catalog/node-traits.ts'
import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { connectNode } from '../node-client.ts'

/** What one look at a node shows. */
export interface NodeFacts {
  readonly isStandby: boolean
  readonly version: string
  readonly timeline: number
  readonly systemIdentifier: string
  readonly maxConnections: number
  /** Bytes of WAL inserted (primary) or replayed (standby). */
  readonly walPosition: bigint
  /** Whether the monitor may read verifiers in the way that `auth.lookup` says. */
  readonly mayLookUp: boolean
  /** What the server has of its own beside its data; undefined: not looked at. */
  readonly traits?: NodeTraits
}

const factsSql = `SELECT pg_is_in_recovery() AS is_standby,
  split_part(current_setting('server_version'), ' ', 1) AS version,
  (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
  (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
  current_setting('max_connections')::int AS max_connections,
  pg_wal_lsn_diff(
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
      ELSE pg_current_wal_insert_lsn() END, '0/0')::text AS wal_position`

const authidSql = `SELECT has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT')
  AND has_column_privilege('pg_catalog.pg_authid', 'rolname', 'SELECT') AS allowed`

const functionSql = `SELECT coalesce(
  has_function_privilege(to_regprocedure($1 || '(text)')::oid, 'EXECUTE'), false) AS allowed`

/** Connects as the monitor and looks. Rejects with the system's or the server's error. */
export async function inspectNode(node: NodeConfig, cluster: ClusterConfig): Promise<NodeFacts> {
  const { connectTimeoutMs } = cluster.pool
  const timeouts = { connectTimeoutMs, statementTimeoutMs: 5000 }
  const client = await connectNode(node, timeouts)
  try {
    const [row] = (await client.query(factsSql)).rows
    if (row === undefined) throw new Error('the node answered without a row')
    return {
      isStandby: row.is_standby === 't',
      version: row.version ?? '',
      timeline: Number(row.timeline),
      systemIdentifier: row.system_identifier ?? '',
      maxConnections: Number(row.max_connections),
      walPosition: BigInt(row.wal_position ?? '0'),
      mayLookUp: await mayLookUp(cluster, client),
      traits: await traitsOf(node, timeouts),
    }
  } finally {
    client.end()
  }
}

/** Over a connection that sets nothing, so that the server's own settings show. */
async function traitsOf(
  node: NodeConfig,
  timeouts: { readonly connectTimeoutMs: number; readonly statementTimeoutMs: number },
): Promise<NodeTraits> {
  const client = await connectNode(node, { ...timeouts, isPlain: true })
  try {
    return await readTraits(client)
  } finally {
    client.end()
  }
}

async function mayLookUp(
  { auth: { lookup, method } }: ClusterConfig,
  client: Awaited<ReturnType<typeof connectNode>>,
): Promise<boolean> {
  if (lookup.kind === 'off' || method === 'trust' || method === 'cert') return true
  const { rows } = await (lookup.kind === 'function'
    ? client.query(functionSql, [lookup.name])
    : client.query(authidSql))
  return rows[0]?.allowed === 't'
}
