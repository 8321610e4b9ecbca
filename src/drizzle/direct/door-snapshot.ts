import type { ClusterCore } from '../../core/cluster-core.ts'
import type { NodeView } from '../../topology/node.ts'
import { nodeState } from '../../topology/node-state.ts'
import type { DoorSnapshot } from '../door.ts'
import type { LoginRefusals } from './login-refusals.ts'
import type { NodePools } from './node-pools.ts'

interface Shown<Connection> {
  readonly core: ClusterCore
  readonly pools: NodePools<Connection>
  readonly refusals: LoginRefusals
}

/** Copies out what a status page shows. */
export function doorSnapshot<C>({ core, pools, refusals }: Shown<C>): DoorSnapshot {
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
        state: stateOf(node, refusals.why(index)),
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

function stateOf(node: NodeView, refused: string | null): string {
  if (node.fenced !== null) return node.fenced
  if (node.health !== 'up') return `${node.health}: ${node.healthReason}`
  const state = nodeState(node)
  if (refused !== null && state === 'up') return `refuses the log-in: ${refused}`
  return state === 'strayed' ? `strayed: ${node.healthReason}` : state
}
