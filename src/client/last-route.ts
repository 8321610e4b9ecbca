import { unreadNote } from '../sql/hints.ts'
import type { Hint } from '../sql/statement-class.ts'

/** Where the last statement of a session went, and why: what SHOW pgsplit.last_route shows. */
export class LastRoute {
  #node: string | null = null
  #reason = 'nothing has run yet'
  #hint: Hint | null = null

  /** A route was chosen for it; `hint`: the statement's. */
  choose(reason: string, hint: Hint | null): void {
    this.#reason = reason
    this.#hint = hint
  }

  /** It turned out otherwise. */
  amend(change: (reason: string) => string): void {
    this.#reason = change(this.#reason)
  }

  goTo(nodeId: string): void {
    this.#node = nodeId
  }

  /** The node's name; null: nothing has gone to any yet. */
  get node(): string | null {
    return this.#node
  }

  /** Node and reason, and what of the hint was not understood. */
  get text(): string {
    const why = this.#reason + unreadNote(this.#hint)
    return this.#node === null ? why : `${this.#node}: ${why}`
  }
}
