import type { ClusterSample, NodeSample } from '../history/samples.ts'
import { nodeState } from '../topology/node-state.ts'
import type { Cluster } from './cluster.ts'
import { useOf } from './cluster-use.ts'

/** What the dashboard shows of a cluster, copied out of the live objects. */
export function sampleOf(cluster: Cluster): ClusterSample {
  const { counters, load, meter, snapshot } = cluster
  const use = useOf(cluster)
  return {
    cluster: cluster.name,
    isPaused: cluster.isPaused,
    clients: use.clients,
    longestWaitMs: use.longestWaitMs,
    retries: counters.retries,
    misroutes: counters.misroutes,
    nodes: snapshot.nodes.map((node): NodeSample => {
      const { index } = node
      const own = use.nodes[index]
      const answered = meter.node(index)
      return {
        node: node.id,
        role: node.role,
        state: nodeState(node),
        reason: node.fenced ?? node.healthReason,
        zone: node.spec.zone,
        weight: node.spec.weight,
        lagMs: node.lagMs,
        lagBytes: node.lagBytes,
        inFlight: load.inFlight[index] ?? 0,
        active: own?.active ?? 0,
        idle: own?.idle ?? 0,
        waiting: own?.waiting ?? 0,
        requests: counters.requests[index] ?? 0,
        reads: counters.readsByNode[index] ?? 0,
        errors: counters.errors[index] ?? 0,
        read: answered?.read ?? null,
        write: answered?.write ?? null,
      }
    }),
    statements: meter.statements.all,
  }
}
