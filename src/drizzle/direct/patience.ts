import type { ClusterCore } from '../../core/cluster-core.ts'
import type { Route } from '../../routing/route.ts'
import type { DirectContext } from './direct-context.ts'

/** A context that reads without a pause stays at one replica for so long, ms. */
const stayMs = 250
/** How long one read may wait for the position that lets its context choose again, ms. */
const moveWaitMs = 20
/** How long a read of a context that is stuck at the primary may wait for a replica, ms. */
const catchUpWaitMs = 100
/** After such a wait in vain the context does not wait again for so long, ms. */
const vainPauseMs = 1_000

/** How long one read still waits for a better place, as `client/read-elsewhere.ts` for the proxy. */
export class Patience {
  readonly #core: ClusterCore
  readonly #context: DirectContext
  readonly #startMs: number
  /** Until when it waits for a replica; NaN = that was not asked yet. */
  #catchUpUntilMs = Number.NaN

  constructor(core: ClusterCore, context: DirectContext, startMs: number) {
    this.#core = core
    this.#context = context
    this.#startMs = startMs
  }

  /** Until the context may leave the replica where it stays, and wants to. 0 = no more, or not at all. */
  toMoveOnMs(): number {
    const core = this.#core
    const context = this.#context
    const { facts } = context
    if (facts.reader < 0 || this.#startMs - context.choseAtMs < stayMs) return 0
    if (!core.wantsAway(facts)) return 0
    if (!core.positions.settle(facts) && facts.reader >= 0) {
      core.positions.hurry(facts)
      const leftMs = this.#startMs + moveWaitMs - core.nowMs()
      if (leftMs > 0) return leftMs
    }
    context.choseAtMs = this.#startMs
    return 0
  }

  /** Until a replica is far enough: `causalWait`, and longer for a context that is stuck. 0 = no more. */
  toCatchUpMs(route: Route): number {
    const context = this.#context
    if (route.isBehind !== true) {
      context.wasBehind = false
      return 0
    }
    const core = this.#core
    const { facts } = context
    const nowMs = core.nowMs()
    if (Number.isNaN(this.#catchUpUntilMs)) {
      const isStuck = context.wasBehind && this.#startMs >= context.catchUpAfterMs
      this.#catchUpUntilMs = nowMs + Math.max(facts.causalWaitMs, isStuck ? catchUpWaitMs : 0)
      context.wasBehind = true
    }
    const leftMs = this.#catchUpUntilMs - nowMs
    if (leftMs > 0) {
      core.positions.hurry(facts)
      return leftMs
    }
    if (this.#catchUpUntilMs > this.#startMs) context.catchUpAfterMs = nowMs + vainPauseMs
    return 0
  }
}
