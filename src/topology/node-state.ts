import type { NodeHealth, NodeView } from './node.ts'

/**
 * The one word for a node that people are shown: its health or, of one that answers, what keeps
 * requests from it. `fenced`: its claim to be primary, or to this cluster, is not believed.
 * `strayed`: a replica that follows another history than the primary's, such as that of a fenced
 * former primary. `lagging`: a replica beyond `maxLag`.
 */
export type NodeState = NodeHealth | 'fenced' | 'strayed' | 'lagging'

export function nodeState({ fenced, health, role, readable, fresh }: NodeView): NodeState {
  if (fenced !== null) return 'fenced'
  if (role !== 'replica' || health !== 'up') return health
  if (!readable) return 'strayed'
  return fresh ? 'up' : 'lagging'
}
