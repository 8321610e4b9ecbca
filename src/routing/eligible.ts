import type { Lsn } from '../topology/lsn.ts'
import type { NodeView } from '../topology/node.ts'
import type { Snapshot } from '../topology/snapshot.ts'
import { PLAIN_REPLICA, type Requirement } from './requirement.ts'

/** Replay position of a node by a source that is newer than the snapshot; less than any position = it has none. */
export type Replayed = (nodeIndex: number) => Lsn

const noNewer: Replayed = () => -1n

/** Whether this replica may serve a request with this requirement, whatever its zone. */
function isEligible(node: NodeView, requirement: Requirement, replayed: Replayed): boolean {
  if (!node.readable || !(node.effectiveWeight > 0)) return false
  const { maxLagMs, minLsn } = requirement
  if (maxLagMs === null) {
    if (!node.fresh) return false
  } else if (node.lagMs === null || node.lagMs > maxLagMs) return false
  if (minLsn === null || (node.replayLsn !== null && node.replayLsn >= minLsn)) return true
  return replayed(node.index) >= minLsn
}

/**
 * The replicas that may serve, of the own zone if it has one, else of all zones.
 *
 * @param exclude bit n = the node with index n was tried already
 */
export function eligibleReplicas(
  snapshot: Snapshot,
  requirement: Requirement,
  zone: string | null,
  exclude = 0,
  replayed: Replayed = noNewer,
): readonly NodeView[] {
  const all = snapshot.nodes.filter(
    (node) => !isExcluded(node, exclude) && isEligible(node, requirement, replayed),
  )
  if (zone === null) return all
  const near = all.filter((node) => node.spec.zone === zone)
  return near.length > 0 ? near : all
}

function isExcluded(node: NodeView, exclude: number): boolean {
  return ((exclude >>> node.index) & 1) === 1
}

/** Why `eligibleReplicas` is empty: the last hurdle that nobody took. */
export function whyNone(snapshot: Snapshot, requirement: Requirement, exclude = 0): string {
  const replicas = snapshot.nodes.filter((node) => node.role === 'replica')
  if (replicas.length === 0) return 'no replica is known'
  const up = replicas.filter((node) => node.readable && node.effectiveWeight > 0)
  if (up.length === 0) return 'no replica is up'
  const untried = up.filter((node) => !isExcluded(node, exclude))
  if (untried.length === 0) return 'every replica was tried'
  const unlimited = { ...requirement, minLsn: null }
  if (untried.some((node) => isEligible(node, unlimited, noNewer))) {
    return "no replica has reached the session's watermark"
  }
  return 'every replica lags too far behind'
}

/** The answer for reads without special wishes, worked out once per snapshot. */
export class PlainCandidates {
  readonly #zone: string | null
  #snapshot: Snapshot | null = null
  #nodes: readonly NodeView[] = []
  #minReplayLsn: Lsn = 0n
  #whyNone = ''

  constructor(zone: string | null) {
    this.#zone = zone
  }

  /** null when the requirement needs a look at each node. */
  of(snapshot: Snapshot, requirement: Requirement): readonly NodeView[] | null {
    if (requirement.maxLagMs !== null) return null
    if (snapshot !== this.#snapshot) this.#workOut(snapshot)
    const { minLsn } = requirement
    // Every candidate has replayed that far: the usual case soon after a write.
    if (minLsn !== null && (minLsn > this.#minReplayLsn || this.#nodes.length === 0)) return null
    return this.#nodes
  }

  /** Valid after `of` returned an empty list. */
  get whyNone(): string {
    return this.#whyNone
  }

  #workOut(snapshot: Snapshot): void {
    const nodes = eligibleReplicas(snapshot, PLAIN_REPLICA, this.#zone)
    let least: Lsn | null = null
    for (const { replayLsn } of nodes) {
      const own = replayLsn ?? -1n
      if (least === null || own < least) least = own
    }
    this.#nodes = nodes
    this.#minReplayLsn = least ?? -1n
    this.#whyNone = nodes.length > 0 ? '' : whyNone(snapshot, PLAIN_REPLICA)
    this.#snapshot = snapshot
  }
}
