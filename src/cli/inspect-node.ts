import { arrayText, identitySql } from '../auth/identity-sql.ts'
import { unreadableFailure } from '../auth/lookup-failure.ts'
import { chooseSource, lookupSourceSql } from '../auth/lookup-source.ts'
import { type NodeTraits, readTraits } from '../catalog/node-traits.ts'
import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { PgSplitError } from '../errors.ts'
import { connectNode } from '../node-client.ts'
import { type NodeHba, readHba, triggerObstacles } from './login-obstacles.ts'

/** What one look at a node shows. */
export interface NodeFacts {
  readonly isStandby: boolean
  readonly version: string
  readonly timeline: number
  /** Timeline that a standby streams; null: it streams none, or the monitor may not see it. */
  readonly receivedTimeline?: number | null
  readonly systemIdentifier: string
  readonly maxConnections: number
  /** Bytes of WAL inserted (primary) or replayed (standby). */
  readonly walPosition: bigint
  /** Why the monitor can't read verifiers in the way that `auth.lookup` says; null: it can. */
  readonly lookupFault: string | null
  /** What the server has of its own beside its data; undefined: not looked at. */
  readonly traits?: NodeTraits
  /** null: the monitor may not read it; undefined: not looked at. */
  readonly hba?: NodeHba | null
  /** What log-in triggers of a standby say to the monitor. */
  readonly triggers?: readonly string[]
}

const factsSql = `SELECT pg_is_in_recovery() AS is_standby,
  split_part(current_setting('server_version'), ' ', 1) AS version,
  (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
  (SELECT received_tli FROM pg_stat_wal_receiver) AS received_timeline,
  (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
  current_setting('max_connections')::int AS max_connections,
  pg_wal_lsn_diff(
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
      ELSE pg_current_wal_insert_lsn() END, '0/0')::text AS wal_position`

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
      receivedTimeline: row.received_timeline == null ? null : Number(row.received_timeline),
      systemIdentifier: row.system_identifier ?? '',
      maxConnections: Number(row.max_connections),
      walPosition: BigInt(row.wal_position ?? '0'),
      lookupFault: await lookupFault(node, cluster, client),
      traits: await traitsOf(node, timeouts),
      hba: await readHba(client),
      triggers: row.is_standby === 't' ? await triggerObstacles(client, node, timeouts) : [],
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

/** Tries what a log-in would ask. */
async function lookupFault(
  { login }: NodeConfig,
  { auth: { lookup, method } }: ClusterConfig,
  client: Awaited<ReturnType<typeof connectNode>>,
): Promise<string | null> {
  if (lookup.kind === 'off' || method === 'trust' || method === 'cert') return null
  const { user, database } = login
  const place = { node: null, user, database }
  const source =
    lookup.kind === 'auto'
      ? chooseSource((await client.query(lookupSourceSql)).rows[0] ?? {})
      : lookup
  if (typeof source === 'string') return unreadableFailure({ lookup, why: source }, place).text
  try {
    await client.query(identitySql(source), [arrayText([user]), arrayText([database])])
    return null
  } catch (error) {
    if (!(error instanceof PgSplitError)) throw error
    return unreadableFailure({ lookup: source, why: error }, place).text
  }
}
