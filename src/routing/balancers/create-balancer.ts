import type { Balancer, BalancerName, Random } from './balancer.ts'
import { ipHash } from './ip-hash.ts'
import { latency } from './latency.ts'
import { leastConnections } from './least-connections.ts'
import { roundRobin } from './round-robin.ts'
import { weightedRandom } from './weighted-random.ts'

/** A balancer with state of its own. */
export function createBalancer(name: BalancerName, random: Random = Math.random): Balancer {
  switch (name) {
    case 'least-connections':
      return leastConnections()
    case 'round-robin':
      return roundRobin()
    case 'weighted-random':
      return weightedRandom(random)
    case 'ip-hash':
      return ipHash()
    case 'latency':
      return latency(random)
    default:
      return name satisfies never
  }
}
