import type { NodeView } from '../../topology/node.ts'
import { type Balancer, firstOf } from './balancer.ts'
import { Rotation } from './rotation.ts'

/**
 * Fewest requests in flight per weight. Ties rotate by weight: under light load everything is a
 * tie, and the first node in the list must not get it all.
 */
export function leastConnections(): Balancer {
  const rotation = new Rotation()
  const ties: NodeView[] = []
  return {
    name: 'least-connections',
    pick(candidates, load) {
      const { inFlight } = load
      let chosen = firstOf(candidates)
      let least = Number.POSITIVE_INFINITY
      ties.length = 0
      for (let i = 0; i < candidates.length; i++) {
        const node = candidates[i]
        if (node === undefined) continue
        const busy = (inFlight[node.index] ?? 0) / node.effectiveWeight
        if (busy > least) continue
        if (busy < least) {
          least = busy
          chosen = node
          ties.length = 0
        }
        ties.push(node)
      }
      return ties.length < 2 ? chosen : rotation.next(ties)
    },
  }
}
