import type { Lsn } from '../topology/lsn.ts'
import type { NodeView } from '../topology/node.ts'
import type { Snapshot } from '../topology/snapshot.ts'
import { NO_POSITIONS, type Positions } from './positions.ts'
import type { Requirement } from './requirement.ts'

/** What eligibility depends on besides the snapshot and the requirement. */
export interface Circumstances {
  /** Zone that pgsplit runs in; null = zones don't matter. */
  readonly zone: string | null
  /** Bit n = the node with index n was tried already. */
  readonly exclude: number
  /** Position that `sees` means; less than any = none. */
  readonly minLsn: Lsn
  readonly positions: Positions
  readonly nowMs: number
  /** Limit of a bounded read that names none, ms. */
  readonly maxLagMs: number
}

/** No wishes: every replica that may serve. */
export const ANY: Circumstances = {
  zone: null,
  exclude: 0,
  minLsn: -1n,
  positions: NO_POSITIONS,
  nowMs: 0,
  maxLagMs: Number.POSITIVE_INFINITY,
}

/** Whether this replica may serve a request with this requirement, whatever its zone. */
function isEligible(node: NodeView, requirement: Requirement, given: Circumstances): boolean {
  if (!node.readable || !(node.effectiveWeight > 0)) return false
  const { maxLagMs, sees } = requirement
  if (requirement.isBounded) {
    const limitMs = maxLagMs ?? given.maxLagMs
    if (!(given.nowMs - currentAtMs(node, given.positions) <= limitMs)) return false
  } else if (maxLagMs === null) {
    if (!node.fresh) return false
  } else if (node.lagMs === null || node.lagMs > maxLagMs) return false
  return !sees || (given.positions.follows(node.index) && hasReached(node, given))
}

function hasReached({ index, replayLsn }: NodeView, { minLsn, positions }: Circumstances): boolean {
  if (minLsn < 0n || (replayLsn !== null && replayLsn >= minLsn)) return true
  return positions.replayed(index) >= minLsn
}

/** The latest moment that the replica's data certainly contains, monotonic ms. */
function currentAtMs({ index, lagMs, observedAtMs }: NodeView, positions: Positions): number {
  const probed =
    lagMs === null || observedAtMs === null ? Number.NEGATIVE_INFINITY : observedAtMs - lagMs
  return Math.max(probed, positions.caughtUpAtMs(index))
}

/** The replicas that may serve, of the own zone if it has one, else of all zones. */
export function eligibleReplicas(
  snapshot: Snapshot,
  requirement: Requirement,
  given: Circumstances,
): readonly NodeView[] {
  const all = snapshot.nodes.filter(
    (node) => !isExcluded(node, given.exclude) && isEligible(node, requirement, given),
  )
  const { zone } = given
  if (zone === null) return all
  const near = all.filter((node) => node.spec.zone === zone)
  return near.length > 0 ? near : all
}

/** Whether the session may stay at the replica that it has read from. */
export function mayStay(node: NodeView, requirement: Requirement, given: Circumstances): boolean {
  return !isExcluded(node, given.exclude) && isEligible(node, requirement, given)
}

function isExcluded(node: NodeView, exclude: number): boolean {
  return ((exclude >>> node.index) & 1) === 1
}

/** Why `eligibleReplicas` is empty: the last hurdle that nobody took. */
export function whyNone(
  snapshot: Snapshot,
  requirement: Requirement,
  given: Circumstances,
): { readonly why: string; readonly isBehind: boolean } {
  const no = (why: string) => ({ why, isBehind: false })
  const replicas = snapshot.nodes.filter((node) => node.role === 'replica')
  if (replicas.length === 0) return no('no replica is known')
  const up = replicas.filter((node) => node.readable && node.effectiveWeight > 0)
  if (up.length === 0) return no('no replica is up')
  const untried = up.filter((node) => !isExcluded(node, given.exclude))
  if (untried.length === 0) return no('every replica was tried')
  const unseeing = { ...requirement, sees: false }
  if (untried.some((node) => isEligible(node, unseeing, given))) {
    return { why: "no replica has reached the session's watermark", isBehind: true }
  }
  return no('every replica lags too far behind')
}

/** The answer for reads without a lag limit of their own, worked out once per snapshot. */
export class PlainCandidates {
  readonly #requirement: Requirement
  readonly #zone: string | null
  #snapshot: Snapshot | null = null
  #version = -1
  #nodes: readonly NodeView[] = []

  /** `requirement` stands for all that differ from it only in their reason. */
  constructor(requirement: Requirement, zone: string | null) {
    this.#requirement = requirement
    this.#zone = zone
  }

  /** Those that may serve if they have reached the watermark. */
  of(snapshot: Snapshot, positions: Positions): readonly NodeView[] {
    if (snapshot !== this.#snapshot || positions.version !== this.#version) {
      this.#snapshot = snapshot
      this.#version = positions.version
      this.#nodes = eligibleReplicas(snapshot, this.#requirement, {
        ...ANY,
        zone: this.#zone,
        positions,
      })
    }
    return this.#nodes
  }
}

/** Those of `nodes` that have reached the watermark: `nodes` itself when all have. */
export function reached(nodes: readonly NodeView[], given: Circumstances): readonly NodeView[] {
  for (const node of nodes) {
    if (!hasReached(node, given)) return nodes.filter((other) => hasReached(other, given))
  }
  return nodes
}
