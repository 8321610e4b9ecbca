import { MAX_NODES, type NodeView } from '../../topology/node.ts'
import { type Balancer, firstOf } from './balancer.ts'

/**
 * Requests in flight, or leases, per weight that count as equally few, beside the fewest: half again and one. A
 * server that was merely slow for a moment keeps its share; without that, two equal replicas on a
 * busy machine were seen 40 : 60. An idle node always comes before one that works.
 */
function within(least: number): number {
  return least === 0 ? 0 : least * 1.5 + 1
}

/** Most turns that a node gets back, or pays back, when it is as free as the others again. */
const mostTurns = 256

/** A node that had so many turns more than its share should lose a session. */
const turnsTooMany = 32

/**
 * Fewest requests in flight per weight, where an idle lease counts as one. Ties rotate smoothly by weight, as nginx does it: every
 * candidate gains its weight, the richest of the tied is chosen and pays the sum. Under light load
 * everything is a tie, and the first node in the list must not get it all.
 */
export function leastConnections(): Balancer {
  const credit = new Float64Array(MAX_NODES)
  return {
    name: 'least-connections',
    pick(candidates, load) {
      let least = Number.POSITIVE_INFINITY
      for (let i = 0; i < candidates.length; i++) {
        const { index, effectiveWeight } = candidates[i] as NodeView
        const busy = load.busy(index) / effectiveWeight
        if (busy < least) least = busy
      }
      const most = within(least)
      let chosen = firstOf(candidates)
      let best = Number.NEGATIVE_INFINITY
      let total = 0
      for (let i = 0; i < candidates.length; i++) {
        const node = candidates[i] as NodeView
        const { index, effectiveWeight } = node
        const gained = Math.min((credit[index] ?? 0) + effectiveWeight, mostTurns * effectiveWeight)
        credit[index] = gained
        total += effectiveWeight
        if (gained > best && load.busy(index) / effectiveWeight <= most) {
          best = gained
          chosen = node
        }
      }
      credit[chosen.index] = Math.max(best - total, -mostTurns * chosen.effectiveWeight)
      return chosen
    },
    wantsAway({ index, effectiveWeight }) {
      const owed = credit[index] ?? 0
      if (owed >= -turnsTooMany * effectiveWeight) return false
      // One session makes up for it, not all that ask in the same moment.
      credit[index] = owed + turnsTooMany * effectiveWeight
      return true
    },
    stayed(node, candidates) {
      let total = 0
      for (let i = 0; i < candidates.length; i++) {
        const { index, effectiveWeight } = candidates[i] as NodeView
        const gained = (credit[index] ?? 0) + effectiveWeight
        credit[index] = Math.min(gained, mostTurns * effectiveWeight)
        total += effectiveWeight
      }
      const left = (credit[node.index] ?? 0) - total
      credit[node.index] = Math.max(left, -mostTurns * node.effectiveWeight)
    },
  }
}
