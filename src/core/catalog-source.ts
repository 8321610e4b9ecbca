import { nodeAt, type Snapshot } from '../topology/snapshot.ts'

/** The node whose catalogs count now. */
export interface CatalogSource {
  readonly index: number
  /** It stands for a primary that isn't there. */
  readonly isStandby: boolean
}

/**
 * The primary or, while there is none, the standby that has replayed most: what reads can meet
 * elsewhere is no newer, and what it has will be the next primary's. It stays while it is readable, as
 * all of them come to the same end. Null: no node may be read.
 */
export function catalogSource(
  snapshot: Snapshot,
  last: CatalogSource | null,
): CatalogSource | null {
  const { primary, nodes } = snapshot
  if (primary !== null) return { index: primary.index, isStandby: false }
  if (last?.isStandby === true && nodeAt(snapshot, last.index)?.readable === true) return last
  let best: (typeof nodes)[number] | null = null
  for (const node of nodes) {
    if (!node.readable || node.leaving) continue
    if (best === null || (node.replayLsn ?? 0n) > (best.replayLsn ?? 0n)) best = node
  }
  return best === null ? null : { index: best.index, isStandby: true }
}

export function sameSource(one: CatalogSource | null, other: CatalogSource | null): boolean {
  return one?.index === other?.index && one?.isStandby === other?.isStandby
}
