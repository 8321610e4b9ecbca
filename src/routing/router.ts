import type { StatementClass } from '../sql/statement-class.ts'
import type { Lsn } from '../topology/lsn.ts'
import type { NodeView } from '../topology/node.ts'
import { nodeAt, type Snapshot } from '../topology/snapshot.ts'
import type { Balancer } from './balancers/balancer.ts'
import {
  type Circumstances,
  eligibleReplicas,
  mayStay,
  PlainCandidates,
  reached,
  whyNone,
} from './eligible.ts'
import type { LoadTable } from './load.ts'
import { NOTHING, neededLsn, unknownSince } from './owed.ts'
import { NO_POSITIONS, type Positions } from './positions.ts'
import {
  PLAIN_REPLICA,
  type Requirement,
  requirementOf,
  SEEING_REPLICA,
  type SessionFacts,
} from './requirement.ts'
import type { Route } from './route.ts'
import type { RouteWord } from './route-word.ts'

export interface RouterOptions {
  readonly balancer: Balancer
  readonly load: LoadTable
  /** Zone that pgsplit runs in: its replicas come first. Default null = zones don't matter. */
  readonly zone?: string | null
  /** Default true: reads go to the primary when no replica may serve them. */
  readonly fallbackToPrimary?: boolean
  /** Replay positions newer than the snapshot's, for sessions that have written or seen something. */
  readonly positions?: Positions
  /** Limit of reads at `bounded` that name none, ms. Default: none. */
  readonly maxLagMs?: number
  /** Monotonic ms, for reads at `bounded`. */
  readonly nowMs?: () => number
}

/**
 * The four steps of a decision: statement class → requirement → route + reason. Synchronous on an
 * immutable snapshot; never throws: what goes wrong goes to the primary.
 */
export class Router {
  readonly #balancer: Balancer
  readonly #load: LoadTable
  readonly #zone: string | null
  readonly #fallbackToPrimary: boolean
  readonly #positions: Positions
  readonly #maxLagMs: number
  readonly #nowMs: () => number
  readonly #plain: PlainCandidates
  readonly #seeing: PlainCandidates
  /** Routes of plain reads by node index, valid for `#cachedFor`. */
  #cached: (Route | undefined)[] = []
  #cachedFor: Snapshot | null = null

  constructor(options: RouterOptions) {
    this.#balancer = options.balancer
    this.#load = options.load
    this.#zone = options.zone ?? null
    this.#fallbackToPrimary = options.fallbackToPrimary ?? true
    this.#positions = options.positions ?? NO_POSITIONS
    this.#maxLagMs = options.maxLagMs ?? Number.POSITIVE_INFINITY
    this.#nowMs = options.nowMs ?? (() => performance.now())
    this.#plain = new PlainCandidates(PLAIN_REPLICA, this.#zone)
    this.#seeing = new PlainCandidates(SEEING_REPLICA, this.#zone)
  }

  /**
   * @param exclude bit mask of node indexes that must not be chosen among replicas: those that a
   *   retried read has already met
   */
  route(cls: StatementClass, facts: SessionFacts, snapshot: Snapshot, exclude = 0): Route {
    try {
      return this.#decide(requirementOf(cls, facts), facts, snapshot, exclude)
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error)
      const node = snapshot.primary
      const reason = `routing failed (${what}), so the primary`
      return { node, target: 'primary', reason, word: 'other' }
    }
  }

  /** Would the session's reads rather go to another replica than the one where it stays? */
  wantsAway(facts: SessionFacts, snapshot: Snapshot): boolean {
    const node = nodeAt(snapshot, facts.reader)
    return node !== undefined && this.#balancer.wantsAway(node)
  }

  /**
   * A read finds no replica that has what its session needs: will one have it within `limitMs`, as
   * far as can be known? False where waiting would only cost time.
   */
  isCatchingUp(
    cls: StatementClass,
    facts: SessionFacts,
    snapshot: Snapshot,
    exclude: number,
    limitMs: number,
  ): boolean {
    // Its watermark is of a history that no replica has: only what it does next has another one.
    if (unknownSince(facts) < 0 && neededLsn(facts, snapshot) === null) return false
    const requirement = { ...requirementOf(cls, facts), sees: false }
    const nodes = eligibleReplicas(snapshot, requirement, this.#given(exclude, NOTHING))
    return nodes.some(
      (node) =>
        !node.replayPaused && node.streaming !== false && this.#positions.delayMs(node) <= limitMs,
    )
  }

  #decide(
    requirement: Requirement,
    facts: SessionFacts,
    snapshot: Snapshot,
    exclude: number,
  ): Route {
    const isPrimaryOnly = requirement.target === 'primary'
    if ((isPrimaryOnly || requirement.sees) && isOutdated(facts, snapshot)) {
      const reason = 'its causal token is of a later promotion than is known of here'
      return { node: null, target: requirement.target, reason, word: requirement.word }
    }
    if (isPrimaryOnly) return onPrimary(requirement, snapshot)
    let minLsn = NOTHING
    if (requirement.sees) {
      // Only the primary could tell what others have written last.
      const isOwn = snapshot.primary === null
      if ((isOwn ? facts.dirtySince : unknownSince(facts)) >= 0) {
        return this.#unknown(requirement, snapshot, exclude)
      }
      const position = neededLsn(facts, snapshot, isOwn)
      if (position === null) {
        return this.#behind(requirement, snapshot, 'its watermark is not on this timeline')
      }
      minLsn = position
      if (facts.reader >= 0) return this.#stay(requirement, facts.reader, snapshot, exclude, minLsn)
      if (isOwn && owesOthers(facts)) {
        minLsn = this.#furthest(requirement, snapshot, exclude, minLsn)
      }
    }
    return this.#choose(requirement, facts, snapshot, exclude, minLsn)
  }

  /** What the read must see has no position yet: the primary has it. */
  #unknown(requirement: Requirement, snapshot: Snapshot, exclude: number): Route {
    if (!this.#mayFallBack(requirement)) {
      const { why, isBehind } = whyNone(snapshot, requirement, this.#given(exclude, NOTHING))
      const { length } = this.#seeing.of(snapshot, this.#positions)
      if (length === 0 && !isBehind) return this.#fallBack(requirement, snapshot, why)
    }
    const reason = `${requirement.reason}, but what it must see has no position yet`
    const route = onPrimary({ ...requirement, reason, word: 'behind' }, snapshot)
    // It may come while the read waits for a connection.
    return { ...route, target: requirement.target, isBehind: true }
  }

  /** While there is no primary: the latest position that a replica has of what others wrote. */
  #furthest(requirement: Requirement, snapshot: Snapshot, exclude: number, minLsn: Lsn): Lsn {
    let furthest = minLsn
    for (const node of eligibleReplicas(snapshot, requirement, this.#given(exclude, minLsn))) {
      const probed = node.timeline === snapshot.timeline ? (node.replayLsn ?? NOTHING) : NOTHING
      const reached = this.#reached(node)
      if (probed > furthest) furthest = probed
      if (reached > furthest) furthest = reached
    }
    return furthest
  }

  /** What the session has seen there has no position yet: only that replica, or the primary. */
  #stay(
    requirement: Requirement,
    reader: number,
    snapshot: Snapshot,
    exclude: number,
    minLsn: Lsn,
  ): Route {
    const node = nodeAt(snapshot, reader)
    const candidates = this.#seeing.of(snapshot, this.#positions)
    // The usual case, on the hot path, without the circumstances of the general one.
    const isPlain = requirement === SEEING_REPLICA && exclude === 0 && minLsn <= this.#reached(node)
    if (
      node !== undefined &&
      ((isPlain && candidates.includes(node)) ||
        mayStay(node, requirement, this.#given(exclude, minLsn)))
    ) {
      this.#balancer.stayed?.(node, candidates)
      return this.#toReplica(node, requirement, snapshot)
    }
    const name = node?.id ?? 'a replica'
    return this.#behind(requirement, snapshot, `what it saw on ${name} has no position yet`)
  }

  #reached(node: NodeView | undefined): Lsn {
    return node === undefined ? NOTHING : this.#positions.replayed(node.index)
  }

  #choose(
    requirement: Requirement,
    facts: SessionFacts,
    snapshot: Snapshot,
    exclude: number,
    minLsn: Lsn,
  ): Route {
    let candidates: readonly NodeView[]
    let avoidsStale = false
    if (exclude === 0 && requirement.maxLagMs === null && !requirement.isBounded) {
      candidates = (requirement.sees ? this.#seeing : this.#plain).of(snapshot, this.#positions)
      if (minLsn > NOTHING && candidates.length > 0) {
        const { length } = candidates
        candidates = reached(candidates, this.#given(0, minLsn))
        avoidsStale = candidates.length < length
      }
    } else candidates = eligibleReplicas(snapshot, requirement, this.#given(exclude, minLsn))
    if (candidates.length === 0) {
      const { why, isBehind } = whyNone(snapshot, requirement, this.#given(exclude, minLsn))
      return isBehind
        ? this.#behind(requirement, snapshot, why)
        : this.#fallBack(requirement, snapshot, why)
    }
    const node = this.#balancer.pick(candidates, this.#load, facts.clientAddressHash)
    const route = this.#toReplica(node, requirement, snapshot)
    return avoidsStale ? { ...route, avoidsStale } : route
  }

  #given(exclude: number, minLsn: Lsn): Circumstances {
    return {
      zone: this.#zone,
      exclude,
      minLsn,
      positions: this.#positions,
      nowMs: this.#nowMs(),
      maxLagMs: this.#maxLagMs,
    }
  }

  #toReplica(node: NodeView, requirement: Requirement, snapshot: Snapshot): Route {
    const { reason, word } = requirement
    const isPlain = requirement === PLAIN_REPLICA || requirement === SEEING_REPLICA
    if (!isPlain) return { node, target: 'replica', reason, word }
    if (this.#cachedFor !== snapshot) {
      this.#cached = []
      this.#cachedFor = snapshot
    }
    let route = this.#cached[node.index]
    if (route === undefined) {
      route = Object.freeze({ node, target: 'replica', reason, word })
      this.#cached[node.index] = route
    }
    return route
  }

  #mayFallBack({ isElective }: Requirement): boolean {
    return this.#fallbackToPrimary || isElective === true
  }

  #behind(requirement: Requirement, snapshot: Snapshot, why: string): Route {
    return { ...this.#fallBack(requirement, snapshot, why, 'behind'), isBehind: true }
  }

  #fallBack(
    requirement: Requirement,
    snapshot: Snapshot,
    why: string,
    word: RouteWord = 'no_replica',
  ): Route {
    const { target } = requirement
    if (!this.#mayFallBack(requirement)) {
      return { node: null, target, reason: `${why}, and fallbackToPrimary is off`, word }
    }
    const node = snapshot.primary
    if (node === null) return { node, target, reason: `${why}, and there is no primary now`, word }
    return { node, target, reason: `${requirement.reason}, but ${why}`, word }
  }
}

/**
 * The session was handed what lies behind a promotion that the snapshot knows nothing of: its
 * primary was replaced. Reads there would miss it, and writes be lost.
 */
function isOutdated({ watermark }: SessionFacts, { timeline }: Snapshot): boolean {
  return watermark !== null && timeline !== null && watermark.timeline > timeline
}

function owesOthers({ othersSince, othersMark }: SessionFacts): boolean {
  return othersSince >= 0 || othersMark !== null
}

function onPrimary({ reason, word }: Requirement, snapshot: Snapshot): Route {
  const node = snapshot.primary
  if (node !== null) return { node, target: 'primary', reason, word }
  return { node, target: 'primary', reason: `${reason}, but there is no primary now`, word }
}
