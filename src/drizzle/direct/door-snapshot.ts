import type { ClusterCore } from '../../core/cluster-core.ts'
import type { NodeView } from '../../topology/node.ts'
import { nodeState } from '../../topology/node-state.ts'
import type { DoorSnapshot } from '../door.ts'
import type { NodePools } from './node-pools.ts'

/** Copies out what a status page shows. */
export function doorSnapshot<C>(core: ClusterCore, pools: NodePools<C>): DoorSnapshot {
  const { snapshot, counters, load } = core
  return {
    primary: snapshot.primary?.id ?? null,
    timeline: snapshot.timeline,
    nodes: snapshot.nodes.map((node) => {
      const { index } = node
      const { total, idle, waiting } = pools.counts(index)
      return {
        name: node.id,
        role: node.role,
        state: stateOf(node),
        lagMs: node.lagMs,
        connections: total,
        idle,
        waiting,
        inFlight: load.inFlight[index] ?? 0,
        requests: counters.requests[index] ?? 0,
        reads: counters.readsByNode[index] ?? 0,
      }
    }),
  }
}

function stateOf(node: NodeView): string {
  if (node.fenced !== null) return node.fenced
  if (node.health !== 'up') return `${node.health}: ${node.healthReason}`
  const state = nodeState(node)
  return state === 'strayed' ? `strayed: ${node.healthReason}` : state
}
