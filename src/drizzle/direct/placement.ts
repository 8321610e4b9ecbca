import { isCausal } from '../../consistency.ts'
import type { ClusterCore } from '../../core/cluster-core.ts'
import { PgSplitError } from '../../errors.ts'
import { ownFailure } from '../../net/own-failure.ts'
import { catchUpUntilMs, mayLookAround, moveOnUntilMs } from '../../routing/patience.ts'
import { mostShownWaitMs } from '../../routing/primary-shows.ts'
import { consistencyOf, type SessionFacts } from '../../routing/requirement.ts'
import type { Route } from '../../routing/route.ts'
import type { StatementClass } from '../../sql/statement-class.ts'
import type { NodeView } from '../../topology/node.ts'
import { closedError, DoorError, noNode } from '../door-error.ts'
import type { DirectContext } from './direct-context.ts'
import type { LoginRefusals } from './login-refusals.ts'
import type { Held, NodePools } from './node-pools.ts'
import { noteSent } from './note-done.ts'
import { sqlstateOf, whyOf } from './server-error.ts'
import { firstTrouble, refusedByAll } from './unreachable.ts'
import { waitForNews } from './wait-for-news.ts'

/** What a statement wants of the node that it runs on. */
interface Wish {
  readonly context: DirectContext
  readonly cls: StatementClass
  /** Bit mask of nodes where it was in vain. */
  readonly exclude: number
  readonly isReadOnly: boolean
  /** When it came, monotonic ms. */
  readonly startMs: number
  /** By which it is routed: its context's, or its own where it sees more than its context does. */
  readonly facts: SessionFacts
}

/** A node that could give no connection. */
interface FailedPlace {
  readonly route: Route
  readonly node: NodeView
  readonly error: unknown
}

/** Called once; `held` null: there is none, and why. */
type Taken<Connection> = (error: unknown, held: Held<Connection> | null) => void

/** Where there may be connections. */
interface Places<Connection> {
  readonly core: ClusterCore
  readonly pools: NodePools<Connection>
  readonly refusals: LoginRefusals
}

/** Finds the node and the connection that a statement runs on, and waits where waiting is of use. */
export class Placement<Connection> {
  readonly #core: ClusterCore
  readonly #pools: NodePools<Connection>
  readonly #refusals: LoginRefusals
  readonly #isClosed: () => boolean
  /** Statements that wait for a node now. */
  #held = 0

  constructor({ core, pools, refusals }: Places<Connection>, isClosed: () => boolean) {
    this.#core = core
    this.#pools = pools
    this.#refusals = refusals
    this.#isClosed = isClosed
  }

  /**
   * A connection to a node that may serve the class now: waits for a replica that is far enough, for
   * a primary, for a free connection, each within its bound. Rejects with DoorError 57P03 or 53300.
   */
  hold(
    context: DirectContext,
    cls: StatementClass,
    exclude: number,
    isReadOnly: boolean,
  ): Promise<Held<Connection>> {
    const facts = this.arrived(context, cls, isReadOnly)
    const wish: Wish = { context, cls, exclude, isReadOnly, startMs: this.#core.nowMs(), facts }
    return new Promise((resolve, reject) => {
      this.#find(wish, (error, held) => (held === null ? reject(error) : resolve(held)))
    })
  }

  /** The same for a statement that was nowhere yet, with a callback. */
  take(
    context: DirectContext,
    cls: StatementClass,
    isReadOnly: boolean,
    done: Taken<Connection>,
  ): void {
    const startMs = this.#core.nowMs()
    const facts = this.arrived(context, cls, isReadOnly)
    this.#find({ context, cls, exclude: 0, isReadOnly, startMs, facts }, done)
  }

  /**
   * What a read that comes now is routed by. Reads of one context wait side by side; those at `shared`
   * by the same facts, as what the process has written only becomes more.
   */
  arrived({ facts }: DirectContext, cls: StatementClass, isReadOnly: boolean): SessionFacts {
    const level = consistencyOf(cls, facts)
    if (!isReadOnly || !isCausal(level)) return facts
    const isCommon = level === facts.consistency && level !== 'strict'
    const own = isCommon ? facts : { ...facts }
    this.#core.positions.begin(own, level)
    return own
  }

  /**
   * Waits until the replica of an open transaction has all that a read that comes now must see, up
   * to `causalWait`. False: it hasn't by then.
   */
  async catchUp(context: DirectContext, cls: StatementClass, nodeIndex: number): Promise<boolean> {
    const core = this.#core
    const facts = this.arrived(context, cls, true)
    const startMs = core.nowMs()
    const own = { ...context.patience, catchUpUntilMs: null }
    for (;;) {
      if (core.positions.isCoveredBy(facts, nodeIndex)) return true
      const untilMs = catchUpUntilMs(own, facts, core, startMs, cls, 0)
      if (untilMs === null) return false
      await waitForNews(
        (callback) => core.positions.onProgress(facts, callback),
        untilMs - core.nowMs(),
      )
    }
  }

  #find(wish: Wish, done: Taken<Connection>): void {
    const { context, cls, exclude, isReadOnly, startMs, facts } = wish
    const core = this.#core
    const { patience } = context
    const looksAround =
      isReadOnly && mayLookAround(patience, facts, startMs) && core.wantsAway(facts)
    // The usual case, without a promise.
    if (!looksAround) {
      const route = core.route(cls, facts, exclude | this.#refusing(isReadOnly))
      const { node } = route
      const isHere = node !== null && route.isBehind !== true && this.#isFree(node, isReadOnly)
      if (isHere && !(node.role === 'primary' && core.positions.shown.lacks(facts))) {
        patience.wasBehind = false
        if (isReadOnly) noteSent(core, context, node.index)
        this.#pools.take(node.index, isReadOnly, (error, held) => {
          if (held !== null) done(null, held)
          else this.#findOn(wish, { route, node, error }, done)
        })
        return
      }
    }
    this.#findOn(wish, null, done)
  }

  #findOn(wish: Wish, failed: FailedPlace | null, done: Taken<Connection>): void {
    this.#holdOn(wish, failed).then(
      (held) => done(null, held),
      (error: unknown) => done(error, null),
    )
  }

  async #holdOn(wish: Wish, failed: FailedPlace | null): Promise<Held<Connection>> {
    const core = this.#core
    const pools = this.#pools
    const { context, isReadOnly } = wish
    let { exclude } = wish
    let cause: unknown = failed?.error
    let route = failed?.route ?? null
    let node = failed?.node ?? null
    const held = { untilMs: core.nowMs() + core.config.failover.holdWritesMs }
    for (;;) {
      if (this.#isClosed()) throw closedError()
      if (route !== null && node !== null) {
        if (!this.#mayGoElsewhere(node, cause, isReadOnly)) throw cause
        const isNew = isReadOnly && ((exclude >>> node.index) & 1) === 0
        if (isNew) exclude |= 1 << node.index
        else await this.#holdBack(whyOf(cause), held.untilMs, cause)
      }
      route = await this.#route({ ...wish, exclude: exclude | this.#refusing(isReadOnly) })
      node = route.node
      if (node === null) {
        await this.#holdBack(route.reason, held.untilMs, cause)
        exclude = wish.exclude
        continue
      }
      if (node.role === 'primary') await this.#findShown(wish.facts)
      let hasWaited = false
      try {
        if (!isReadOnly) return await pools.checkout(node.index, false)
        const tried = exclude | this.#refusing(true)
        const places = this.#placesFor({ ...wish, exclude: tried }, node)
        const [place] = places
        if (places.length === 1 && place !== undefined) {
          noteSent(core, context, place.index)
          node = place
          return await pools.checkout(place.index, true)
        }
        hasWaited = true
        const taken = await pools.checkoutAny(places.map(({ index }) => index))
        if (this.#mayUse(wish.facts, taken.nodeIndex)) {
          noteSent(core, context, taken.nodeIndex)
          return taken
        }
        // Another read of the context was sent to another replica meanwhile.
        pools.checkin(taken, false)
        route = null
      } catch (problem) {
        cause = problem
        // It has waited wherever it may run.
        if (hasWaited && problem instanceof DoorError && problem.sqlstate === '53300') throw problem
      }
    }
  }

  /** Waits until the primary shows what replicas have shown, within a bound. */
  async #findShown(facts: SessionFacts): Promise<void> {
    const { positions } = this.#core
    const untilMs = this.#core.nowMs() + mostShownWaitMs
    while (positions.shown.lacks(facts) && !this.#isClosed()) {
      const leftMs = untilMs - this.#core.nowMs()
      if (leftMs <= 0) {
        positions.shown.forget(facts)
        return
      }
      await waitForNews((callback) => positions.shown.onShown(facts, callback), leftMs)
    }
  }

  /** Bit mask of the nodes that let nobody in for now; a write has only the primary. */
  #refusing(isReadOnly: boolean): number {
    return isReadOnly ? this.#refusals.at(this.#core.nowMs()) : 0
  }

  /** Reads look for another node before they wait; a write has only this one. */
  #isFree({ index }: NodeView, isReadOnly: boolean): boolean {
    return !isReadOnly || this.#pools.isFree(index, true)
  }

  /**
   * Where a read may run: the first node of those that may serve it, in the router's order, that has
   * a connection, or all of them if none has.
   */
  #placesFor({ facts, cls, exclude }: Wish, first: NodeView): readonly NodeView[] {
    const places: NodeView[] = []
    let tried = exclude
    let node: NodeView | null = first
    while (node !== null) {
      if (this.#pools.isFree(node.index, true)) return [node]
      const isEarly = node.role === 'primary' && this.#core.positions.shown.lacks(facts)
      if (isEarly && places.length > 0) break
      places.push(node)
      if (node.role !== 'replica') break
      tried |= 1 << node.index
      node = this.#core.route(cls, facts, tried).node
    }
    return places
  }

  /** What two replicas have shown has no common position. */
  #mayUse(facts: SessionFacts, nodeIndex: number): boolean {
    if (!isCausal(facts.consistency) || !this.#core.isReplica(nodeIndex)) return true
    return facts.reader < 0 || facts.reader === nodeIndex
  }

  /** The route; before that a read waits for a replica as long as that is of use. */
  async #route({ context, cls, exclude, isReadOnly, startMs, facts }: Wish): Promise<Route> {
    const core = this.#core
    const { patience } = context
    if (!isReadOnly) return core.route(cls, facts, exclude)
    // Reads of one context may wait side by side: each has its own time.
    const own = { ...patience, catchUpUntilMs: null }
    for (;;) {
      const untilMs = moveOnUntilMs(own, facts, core, startMs)
      if (untilMs === null) break
      await waitForNews((callback) => core.onNews(callback), untilMs - core.nowMs())
    }
    own.catchUpUntilMs = null
    let route = core.route(cls, facts, exclude)
    while (route.isBehind === true) {
      const untilMs = catchUpUntilMs(own, facts, core, startMs, cls, exclude)
      if (untilMs === null) break
      await waitForNews(
        (callback) => core.positions.onProgress(facts, callback),
        untilMs - core.nowMs(),
      )
      route = core.route(cls, facts, exclude)
    }
    patience.choseAtMs = own.choseAtMs
    patience.behindSinceMs = own.behindSinceMs
    patience.wasBehind = route.isBehind === true
    return route
  }

  /** No node for it now: it waits for the next news, up to `failover.holdWrites` in all. */
  async #holdBack(reason: string, untilMs: number, cause: unknown): Promise<void> {
    const core = this.#core
    const leftMs = untilMs - core.nowMs()
    const refused = refusedByAll(core)
    if (refused !== null) throw refused
    if (!(leftMs > 0) || this.#held >= core.config.failover.maxHeld) {
      throw noNode(reason, cause ?? firstTrouble(core))
    }
    this.#held++
    try {
      await waitForNews((callback) => core.onNews(callback), leftMs)
    } finally {
      this.#held--
    }
  }

  /** No connection to the node could be had, so nothing was sent: is that the node's trouble? */
  #mayGoElsewhere(node: NodeView, error: unknown, isReadOnly: boolean): boolean {
    const core = this.#core
    const isFull = error instanceof PgSplitError && error.sqlstate === '53300'
    if (isFull) return isReadOnly && node.role === 'replica'
    const sqlstate = sqlstateOf(error)
    if (ownFailure(error) !== null) return true
    if (sqlstate === '') core.reportFailure(node.index, dialFailure(error), whyOf(error))
    else if (sqlstate.startsWith('57P')) core.reportFailure(node.index, 'shutdown', whyOf(error))
    if (node.role === 'replica') this.#refusals.note(node.index, error, core.nowMs())
    // What a replica refuses, a log-in too, may be there already on the primary.
    return sqlstate === '' || /^(08|57P|53)/.test(sqlstate) || node.role === 'replica'
  }
}

function dialFailure(error: unknown): 'timeout' | 'refused' {
  return /time/i.test(whyOf(error)) ? 'timeout' : 'refused'
}
