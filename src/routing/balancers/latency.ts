import type { NodeView } from '../../topology/node.ts'
import type { LoadTable } from '../load.ts'
import { type Balancer, firstOf, type Random } from './balancer.ts'

/** What a busy node without any measurement is taken to cost, in ms. */
const UNKNOWN_MS = 1000

/**
 * The cheaper of two nodes drawn by chance, by peak EWMA × requests in flight or leases. Two choices are
 * enough to avoid the slow ones, and chance keeps many instances from all running to the fastest.
 */
export function latency(random: Random): Balancer {
  return {
    name: 'latency',
    wantsAway: () => true,
    pick(candidates, load) {
      const { length } = candidates
      const only = firstOf(candidates)
      if (length === 1) return only
      const first = Math.floor(random() * length)
      const second = (first + 1 + Math.floor(random() * (length - 1))) % length
      const a = candidates[first] ?? only
      const b = candidates[second] ?? only
      return cost(a, load) <= cost(b, load) ? a : b
    },
  }
}

function cost(node: NodeView, load: LoadTable): number {
  const busy = load.busy(node.index)
  const seenMs = load.latencyMs(node.index)
  const eachMs = seenMs > 0 ? seenMs : busy > 0 ? UNKNOWN_MS : 0
  return (eachMs * (busy + 1)) / node.effectiveWeight
}
