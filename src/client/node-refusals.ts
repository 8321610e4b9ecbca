import type { SessionState } from '../server/session-state.ts'

/** The pause behind a first refusal, ms; each further one doubles it. */
const firstPauseMs = 50
/** What replication brings is there soon; what an administrator must mend is not. */
const longestPauseMs = { settings: 2_000, login: 10_000 } as const

interface Refusal {
  readonly pauseMs: number
  readonly untilMs: number
  readonly why: string
}

/**
 * Replicas that have refused what a session needs there: its settings (a role that was made a moment
 * ago), or the log-in of its user (pg_hba.conf, a log-in trigger). Its reads run elsewhere, and only
 * now and then one of them tries that replica again.
 */
export class NodeRefusals {
  /** Nothing is held against any node from then on. */
  #untilMs = Number.NEGATIVE_INFINITY
  readonly #logins: (Refusal | undefined)[] = []
  readonly #settings = new WeakMap<SessionState, (Refusal | undefined)[]>()

  /** Bit mask of the nodes that are not to be tried now for a session with these settings. */
  at(state: SessionState, nowMs: number): number {
    if (nowMs >= this.#untilMs) return 0
    return maskOf(this.#logins, nowMs) | maskOf(this.#settings.get(state), nowMs)
  }

  noteSettings(state: SessionState, nodeIndex: number, why: string, nowMs: number): void {
    let refusals = this.#settings.get(state)
    if (refusals === undefined) {
      refusals = []
      this.#settings.set(state, refusals)
    }
    this.#note(refusals, nodeIndex, why, nowMs, longestPauseMs.settings)
  }

  /** True: for the first time since it let the user in. */
  noteLogin(nodeIndex: number, why: string, nowMs: number): boolean {
    const isNew = this.#logins[nodeIndex] === undefined
    this.#note(this.#logins, nodeIndex, why, nowMs, longestPauseMs.login)
    return isNew
  }

  /** The node has let the user in. True: it had not before. */
  endLogin(nodeIndex: number): boolean {
    const wasRefused = this.#logins[nodeIndex] !== undefined
    this.#logins[nodeIndex] = undefined
    return wasRefused
  }

  /** Why the node refuses the user's log-ins; null = it doesn't, as far as is known. */
  whyNoLogin(nodeIndex: number): string | null {
    return this.#logins[nodeIndex]?.why ?? null
  }

  #note(
    refusals: (Refusal | undefined)[],
    nodeIndex: number,
    why: string,
    nowMs: number,
    longestMs: number,
  ): void {
    const before = refusals[nodeIndex]
    // Others that tried at the same time say nothing new.
    if (before !== undefined && nowMs < before.untilMs) return
    const isOld = before === undefined || nowMs - before.untilMs > longestMs
    const pauseMs = isOld ? firstPauseMs : Math.min(longestMs, before.pauseMs * 2)
    const untilMs = nowMs + pauseMs
    refusals[nodeIndex] = { pauseMs, untilMs, why }
    this.#untilMs = Math.max(this.#untilMs, untilMs)
  }
}

function maskOf(refusals: readonly (Refusal | undefined)[] | undefined, nowMs: number): number {
  if (refusals === undefined) return 0
  let mask = 0
  for (const [index, refusal] of refusals.entries()) {
    if (refusal !== undefined && nowMs < refusal.untilMs) mask |= 1 << index
  }
  return mask
}
