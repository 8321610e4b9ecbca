import type { Metric, Sample } from '../metrics/metric.ts'
import type { NodeView } from '../topology/node.ts'
import { nodeState } from '../topology/node-state.ts'
import type { Cluster } from './cluster.ts'
import { useOf } from './cluster-use.ts'

type Labels = Sample['labels']

/**
 * The metrics of one cluster: always the same families, in the same order. Labels are names that the
 * configuration or the cluster's members have, and words of pgsplit.
 */
export function clusterMetrics(cluster: Cluster): Metric[] {
  const { counters, snapshot } = cluster
  const own = { cluster: cluster.name }
  const total = (name: string, help: string, value: number): Metric => {
    return {
      name: `pgsplit_${name}_total`,
      help,
      type: 'counter',
      samples: [{ labels: own, value }],
    }
  }
  const gauge = (name: string, help: string, value: number | null): Metric => {
    const samples = value === null ? [] : [{ labels: own, value }]
    return { name: `pgsplit_${name}`, help, type: 'gauge', samples }
  }
  const perNode = (
    type: Metric['type'],
    name: string,
    help: string,
    numberOf: (node: NodeView) => number | null,
    labelsOf: (node: NodeView) => Labels = () => ({}),
  ): Metric => {
    const samples = snapshot.nodes.flatMap((node) => {
      const value = numberOf(node)
      const labels = { ...own, node: node.id, ...labelsOf(node) }
      return value === null ? [] : [{ labels, value }]
    })
    return { name: `pgsplit_${name}`, help, type, samples }
  }
  const use = useOf(cluster)
  const nowMs = cluster.nowMs()
  const currentAtMs = cluster.catalogsCurrentAtMs
  return [
    {
      name: 'pgsplit_clients',
      help: 'Clients that are logged in, by what they do now.',
      type: 'gauge',
      samples: (['idle', 'active', 'waiting'] as const).map((state) => ({
        labels: { ...own, state },
        value: use.clients[state],
      })),
    },
    gauge(
      'longest_wait_seconds',
      'How long the request has waited that waits longest now.',
      use.longestWaitMs / 1000,
    ),
    perNode(
      'gauge',
      'waiting_requests',
      'Requests that wait for a connection to the node.',
      ({ index }) => use.nodes[index]?.waiting ?? 0,
    ),
    {
      name: 'pgsplit_server_connections',
      help: 'Connections to the nodes, by what they do now.',
      type: 'gauge',
      samples: snapshot.nodes.flatMap(({ id, index }) =>
        (['active', 'idle', 'connecting'] as const).map((state) => ({
          labels: { ...own, node: id, state },
          value: use.nodes[index]?.[state] ?? 0,
        })),
      ),
    },
    gauge(
      'pool_size',
      'Server connections that a pool (node, user, database) may have.',
      cluster.config.pool.size,
    ),
    gauge('pools', 'Pools: one per node, user and database.', use.pools),
    perNode('gauge', 'node_up', '1 if the node may be used now.', ({ health, fenced }) =>
      health === 'up' && fenced === null ? 1 : 0,
    ),
    perNode(
      'gauge',
      'node_state',
      "1 for the node's state now.",
      () => 1,
      (node) => ({ state: nodeState(node), role: node.role }),
    ),
    gauge('has_primary', '1 while a primary is known.', snapshot.primary === null ? 0 : 1),
    perNode(
      'gauge',
      'replica_lag_seconds',
      'Age of the oldest WAL of the primary that the replica has not replayed.',
      ({ role, lagMs }) => (role !== 'replica' || lagMs === null ? null : lagMs / 1000),
    ),
    perNode(
      'gauge',
      'replica_lag_bytes',
      'WAL of the primary that the replica has not replayed.',
      ({ role, lagBytes }) => (role === 'replica' ? lagBytes : null),
    ),
    perNode(
      'counter',
      'reads_total',
      'Requests that were proved to read only, by the node that has answered.',
      ({ index }) => counters.readsByNode[index] ?? 0,
    ),
    perNode(
      'counter',
      'request_errors_total',
      'Requests that the node has answered with an error.',
      ({ index }) => counters.errors[index] ?? 0,
    ),
    perNode(
      'gauge',
      'requests_in_flight',
      'Requests that the node has not answered yet.',
      ({ index }) => cluster.load.inFlight[index] ?? 0,
    ),
    total('transactions', 'Transactions, single statements included.', counters.transactions),
    total(
      'retries',
      'Requests that were run again elsewhere, unseen by the client.',
      counters.retries,
    ),
    total(
      'misroutes',
      'Statements judged to be reads that a replica refused and the primary did not.',
      counters.misroutes,
    ),
    gauge(
      'held_requests',
      'Requests that wait for a primary, or for the end of a pause, now.',
      counters.held,
    ),
    gauge('held_bytes', 'Size of these requests.', counters.heldBytes),
    total(
      'primary_elections',
      'How often a node was found to be the primary, the first time included.',
      counters.elections,
    ),
    total('received_bytes', 'Received from clients.', counters.received),
    total('sent_bytes', 'Sent to clients.', counters.sent),
    total(
      'wait_seconds',
      'Time that requests have waited for a server connection, together.',
      counters.waitMs / 1000,
    ),
    total(
      'request_seconds',
      'Time that nodes have taken to answer, together.',
      counters.queryMs / 1000,
    ),
    gauge('paused', '1 while the cluster is paused by an operator.', cluster.isPaused ? 1 : 0),
    gauge(
      'catalog_age_seconds',
      'How long ago the catalog that reads are judged by was looked at, the oldest one.',
      currentAtMs === null ? null : Math.max(0, nowMs - currentAtMs) / 1000,
    ),
  ]
}
