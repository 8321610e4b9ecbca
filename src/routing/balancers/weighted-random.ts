import { type Balancer, firstOf, type Random } from './balancer.ts'

/** By chance, in proportion to the weights: no state, so many instances don't march in step. */
export function weightedRandom(random: Random): Balancer {
  return {
    name: 'weighted-random',
    wantsAway: () => true,
    pick(candidates) {
      let total = 0
      for (let i = 0; i < candidates.length; i++) total += candidates[i]?.effectiveWeight ?? 0
      let left = random() * total
      let chosen = firstOf(candidates)
      for (let i = 0; i < candidates.length; i++) {
        const node = candidates[i]
        if (node === undefined) continue
        chosen = node
        left -= node.effectiveWeight
        if (left < 0) break
      }
      return chosen
    },
  }
}
