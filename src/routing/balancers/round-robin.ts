import type { Balancer } from './balancer.ts'
import { Rotation } from './rotation.ts'

/** Takes turns in proportion to the weights, whatever the load. */
export function roundRobin(): Balancer {
  const rotation = new Rotation()
  return { name: 'round-robin', pick: (candidates) => rotation.next(candidates) }
}
