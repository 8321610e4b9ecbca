import { loginPauseMs, RefusedNodes } from '../routing/refused-nodes.ts'
import type { SessionState } from '../server/session-state.ts'

/** Longest pause of those that refuse a session's settings, ms: what replication brings is there soon. */
const settingsPauseMs = 2_000

/**
 * Replicas that have refused what a session needs there: its settings (a role that was made a moment
 * ago), or the log-in of its user (pg_hba.conf, a log-in trigger).
 */
export class NodeRefusals {
  readonly logins = new RefusedNodes(loginPauseMs)
  readonly #settings = new WeakMap<SessionState, RefusedNodes>()
  /** Nobody's settings are held against any node from then on. */
  #untilMs = Number.NEGATIVE_INFINITY

  /** Bit mask of the nodes that are not to be tried now for a session with these settings. */
  at(state: SessionState, nowMs: number): number {
    const ofLogin = this.logins.at(nowMs)
    if (nowMs >= this.#untilMs) return ofLogin
    return ofLogin | (this.#settings.get(state)?.at(nowMs) ?? 0)
  }

  noteSettings(state: SessionState, nodeIndex: number, why: string, nowMs: number): void {
    let refusals = this.#settings.get(state)
    if (refusals === undefined) {
      refusals = new RefusedNodes(settingsPauseMs)
      this.#settings.set(state, refusals)
    }
    refusals.note(nodeIndex, why, nowMs)
    this.#untilMs = Math.max(this.#untilMs, refusals.untilMs)
  }
}
