import type { Balancer } from './balancer.ts'
import { Rotation } from './rotation.ts'

/** A node that had so many turns more than its share should lose a session. */
const turnsTooMany = 32

/** Takes turns in proportion to the weights, whatever the load. */
export function roundRobin(): Balancer {
  const rotation = new Rotation()
  return {
    name: 'round-robin',
    pick: (candidates) => rotation.next(candidates),
    stayed: (node, candidates) => rotation.took(node, candidates),
    wantsAway: (node) => rotation.isAhead(node, turnsTooMany),
  }
}
