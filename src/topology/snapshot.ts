import type { Lsn } from './lsn.ts'
import type { NodeView } from './node.ts'

/** The topology at one moment: the only thing that routing sees of it. Deeply frozen. */
export interface Snapshot {
  /** Grows by one with each publication. */
  readonly version: number
  /** Monotonic ms of the publication. */
  readonly atMs: number
  /** Dense, in the order of joining; `nodeAt` finds one by its index. */
  readonly nodes: readonly NodeView[]
  /** The one elected primary, and only while it is up. */
  readonly primary: NodeView | null
  /** Timeline of the last elected primary; null until one was seen. */
  readonly timeline: number | null
  /**
   * A position that the current timeline certainly contains of the one before: LSNs of older
   * timelines up to it are on this history too. Null = no promotion was witnessed.
   */
  readonly timelineStartLsn: Lsn | null
  /** Of the cluster, from the first primary that was elected; null until then. */
  readonly systemIdentifier: string | null
}

/** The node with that `NodeSpec.index`. Where no node ever left, that is its place in the list. */
export function nodeAt(snapshot: Snapshot, index: number): NodeView | undefined {
  const there = snapshot.nodes[index]
  if (there?.index === index) return there
  return snapshot.nodes.find((node) => node.index === index)
}

/** Freezes the snapshot, its nodes and their specs. */
export function freezeSnapshot(snapshot: Snapshot): Snapshot {
  for (const node of snapshot.nodes) {
    Object.freeze(node.spec)
    Object.freeze(node)
  }
  Object.freeze(snapshot.nodes)
  return Object.freeze(snapshot)
}
