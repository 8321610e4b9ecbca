import type { EventLog } from '../../core/event-log.ts'
import { tellAdmitted, tellRefused } from '../../core/tell-login.ts'
import { isLoginRefusal, loginPauseMs, RefusedNodes } from '../../routing/refused-nodes.ts'
import type { NodeTarget } from '../driver-pool.ts'
import { sqlstateOf, whyOf } from './server-error.ts'

/**
 * Replicas that refuse the application's log-in, though they answer: told once, and not tried by
 * each read.
 */
export class LoginRefusals {
  readonly #nodes = new RefusedNodes(loginPauseMs)
  readonly #log: EventLog
  readonly #nameOf: (nodeIndex: number) => string
  readonly #loginAt: (nodeIndex: number) => Pick<NodeTarget, 'user' | 'database'>

  constructor(
    log: EventLog,
    nameOf: (nodeIndex: number) => string,
    loginAt: (nodeIndex: number) => Pick<NodeTarget, 'user' | 'database'>,
  ) {
    this.#log = log
    this.#nameOf = nameOf
    this.#loginAt = loginAt
  }

  /** Bit mask of the nodes that are not to be tried now. */
  at(nowMs: number): number {
    return this.#nodes.at(nowMs)
  }

  /** No connection to a replica could be had. */
  note(nodeIndex: number, error: unknown, nowMs: number): void {
    const sqlstate = sqlstateOf(error)
    if (!isLoginRefusal(sqlstate)) return
    const message = whyOf(error)
    if (!this.#nodes.note(nodeIndex, `${sqlstate}: ${message}`, nowMs)) return
    tellRefused(this.#log, this.#nameOf(nodeIndex), this.#loginAt(nodeIndex), { sqlstate, message })
  }

  /** The node has let the application in. */
  end(nodeIndex: number): void {
    if (!this.#nodes.end(nodeIndex)) return
    tellAdmitted(this.#log, this.#nameOf(nodeIndex), this.#loginAt(nodeIndex))
  }

  /** What the node says; null = it refuses nothing, as far as is known. */
  why(nodeIndex: number): string | null {
    return this.#nodes.why(nodeIndex)
  }
}
