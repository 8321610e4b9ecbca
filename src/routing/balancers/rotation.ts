import { MAX_NODES, type NodeView } from '../../topology/node.ts'
import { firstOf } from './balancer.ts'

/** Most turns that a node is ahead or behind when it took some that nobody gave it. */
const mostTurns = 256

/**
 * Smooth weighted rotation, as nginx does it: every candidate gains its weight, the richest is
 * chosen and pays the sum. Equal weights alternate; 5:1:1 gives a a b a c a a, not five in a row.
 */
export class Rotation {
  readonly #credit = new Float64Array(MAX_NODES)

  next(candidates: readonly NodeView[]): NodeView {
    let chosen = firstOf(candidates)
    if (candidates.length === 1) return chosen
    let best = Number.NEGATIVE_INFINITY
    let total = 0
    for (let i = 0; i < candidates.length; i++) {
      const node = candidates[i]
      if (node === undefined) continue
      const credit = (this.#credit[node.index] ?? 0) + node.effectiveWeight
      this.#credit[node.index] = credit
      total += node.effectiveWeight
      if (credit > best) {
        best = credit
        chosen = node
      }
    }
    this.#credit[chosen.index] = best - total
    return chosen
  }

  /** `node` had a turn that nobody gave it. */
  took(node: NodeView, candidates: readonly NodeView[]): void {
    let total = 0
    for (const { index, effectiveWeight } of candidates) {
      const limit = mostTurns * effectiveWeight
      this.#credit[index] = Math.min((this.#credit[index] ?? 0) + effectiveWeight, limit)
      total += effectiveWeight
    }
    const left = (this.#credit[node.index] ?? 0) - total
    this.#credit[node.index] = Math.max(left, -mostTurns * node.effectiveWeight)
  }

  /**
   * Has `node` had more than `turns` beyond its share? They are forgiven then: one session makes up
   * for them, not all that ask in the same moment.
   */
  isAhead({ index, effectiveWeight }: NodeView, turns: number): boolean {
    const owed = this.#credit[index] ?? 0
    if (owed >= -turns * effectiveWeight) return false
    this.#credit[index] = owed + turns * effectiveWeight
    return true
  }
}
