import type { Lsn } from '../topology/lsn.ts'
import type { NodeView } from '../topology/node.ts'

/** How far replicas have replayed, by a source that is newer than the snapshot. */
export interface Positions {
  /** Grows whenever `follows` may answer differently. */
  readonly version: number
  /** A restart of the replica would be noticed: sessions may rely on what they have seen there. */
  follows(nodeIndex: number): boolean
  /** Best known position; less than any real one = it has none. */
  replayed(nodeIndex: number): Lsn
  /** The latest moment, monotonic ms, of which the replica certainly has everything. */
  caughtUpAtMs(nodeIndex: number): number
  /** How long the replica takes to have what the primary has, ms, as last seen. */
  delayMs(node: NodeView): number
}

/** Where only the snapshot counts. */
export const NO_POSITIONS: Positions = {
  version: 0,
  follows: () => true,
  replayed: () => -1n,
  caughtUpAtMs: () => Number.NEGATIVE_INFINITY,
  delayMs: ({ lagMs }) => lagMs ?? Number.POSITIVE_INFINITY,
}
