import type { StatementClass } from '../sql/statement-class.ts'
import type { NodeView } from '../topology/node.ts'
import { nodeAt, type Snapshot } from '../topology/snapshot.ts'
import type { Balancer } from './balancers/balancer.ts'
import { eligibleReplicas, PlainCandidates, type Replayed, whyNone } from './eligible.ts'
import type { LoadTable } from './load.ts'
import { PLAIN_REPLICA, type Requirement, requirementOf, type SessionFacts } from './requirement.ts'
import type { Route } from './route.ts'

export interface RouterOptions {
  readonly balancer: Balancer
  readonly load: LoadTable
  /** Zone that pgsplit runs in: its replicas come first. Default null = zones don't matter. */
  readonly zone?: string | null
  /** Default true: reads go to the primary when no replica may serve them. */
  readonly fallbackToPrimary?: boolean
  /** Replay positions newer than the snapshot's, for sessions that wait for their own writes. */
  readonly replayed?: Replayed
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
  readonly #replayed: Replayed | undefined
  readonly #plain: PlainCandidates
  /** Routes of plain reads by node index, valid for `#cachedFor`. */
  #cached: (Route | undefined)[] = []
  #cachedFor: Snapshot | null = null

  constructor(options: RouterOptions) {
    this.#balancer = options.balancer
    this.#load = options.load
    this.#zone = options.zone ?? null
    this.#fallbackToPrimary = options.fallbackToPrimary ?? true
    this.#replayed = options.replayed
    this.#plain = new PlainCandidates(this.#zone)
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
      return { node, target: 'primary', reason: `routing failed (${what}), so the primary` }
    }
  }

  #decide(
    requirement: Requirement,
    facts: SessionFacts,
    snapshot: Snapshot,
    exclude: number,
  ): Route {
    if (facts.heldNode !== null) return held(requirement, facts.heldNode, snapshot)
    if (requirement.target === 'primary') return onPrimary(requirement, snapshot)
    const plain = exclude === 0 ? this.#plain.of(snapshot, requirement) : null
    const candidates =
      plain ?? eligibleReplicas(snapshot, requirement, this.#zone, exclude, this.#replayed)
    if (candidates.length === 0) {
      const why = plain === null ? whyNone(snapshot, requirement, exclude) : this.#plain.whyNone
      return this.#fallBack(requirement, snapshot, why)
    }
    const node = this.#balancer.pick(candidates, this.#load, facts.clientAddressHash)
    if (requirement.reason === PLAIN_REPLICA.reason) return this.#plainRoute(node, snapshot)
    return { node, target: 'replica', reason: requirement.reason }
  }

  #plainRoute(node: NodeView, snapshot: Snapshot): Route {
    if (this.#cachedFor !== snapshot) {
      this.#cached = []
      this.#cachedFor = snapshot
    }
    let route = this.#cached[node.index]
    if (route === undefined) {
      route = Object.freeze({ node, target: 'replica', reason: PLAIN_REPLICA.reason })
      this.#cached[node.index] = route
    }
    return route
  }

  #fallBack(requirement: Requirement, snapshot: Snapshot, why: string): Route {
    const { target } = requirement
    if (!this.#fallbackToPrimary) {
      return { node: null, target, reason: `${why}, and fallbackToPrimary is off` }
    }
    const node = snapshot.primary
    if (node === null) return { node, target, reason: `${why}, and there is no primary now` }
    return { node, target, reason: `${requirement.reason}, but ${why}` }
  }
}

function onPrimary(requirement: Requirement, snapshot: Snapshot): Route {
  const node = snapshot.primary
  if (node !== null) return { node, target: 'primary', reason: requirement.reason }
  return { node, target: 'primary', reason: `${requirement.reason}, but there is no primary now` }
}

/** A pin or an open transaction keeps its node, whatever has become of it. */
function held(requirement: Requirement, index: number, snapshot: Snapshot): Route {
  const node = nodeAt(snapshot, index) ?? null
  return { node, target: requirement.target, reason: requirement.reason }
}
