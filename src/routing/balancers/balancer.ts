import type { NodeView } from '../../topology/node.ts'
import type { LoadTable } from '../load.ts'

export type BalancerName =
  | 'least-connections'
  | 'round-robin'
  | 'weighted-random'
  | 'ip-hash'
  | 'latency'

/** Chooses among nodes that may all serve the request. Synchronous; keeps state by node index. */
export interface Balancer {
  readonly name: BalancerName
  /**
   * @param candidates at least one, each with a positive `effectiveWeight`
   * @param key the same for requests that should meet again (hash of the client's address)
   */
  pick(candidates: readonly NodeView[], load: LoadTable, key: number): NodeView
  /**
   * A request went to `node` without being asked for, as its session has to stay there: it counts
   * when the next turns are taken. Absent where turns don't matter.
   */
  stayed?(node: NodeView, candidates: readonly NodeView[]): void
  /**
   * Would the balancer rather see a session leave `node`, where it has stayed for a while? Who is
   * told so leaves: the next one is told so when it was not enough.
   */
  wantsAway(node: NodeView): boolean
}

/** A number from 0 (inclusive) to 1 (exclusive), like Math.random. */
export type Random = () => number

/** The only candidate there must be; a caller without one has a bug. */
export function firstOf(candidates: readonly NodeView[]): NodeView {
  const first = candidates[0]
  if (first === undefined) throw new RangeError('a balancer needs at least one candidate')
  return first
}
