import { SessionState } from '../server/session-state.ts'

/** What RESET ALL leaves alone (PostgreSQL: GUC_NO_RESET_ALL), in the order in which it is set. */
const identity = ['session_authorization', 'role'] as const

/** The settings of a session, as its client has them and as its lease has. */
export class SessionSettings {
  /** From the startup packet: what RESET goes back to. */
  readonly startup: SessionState
  #state: SessionState
  #actual: SessionState | null = null

  constructor(startup: SessionState) {
    this.startup = startup
    this.#state = startup
  }

  /** Settings now. */
  get state(): SessionState {
    return this.#state
  }

  /**
   * Those that the leased connection really has, while they differ: RESET goes back to the server's
   * defaults there, and to the startup packet's values for the client.
   */
  get actual(): SessionState | null {
    return this.#actual
  }

  /** Those that the leased connection has, with the custom ones that are known there. */
  get onServer(): SessionState {
    return (this.#actual ?? this.#state).knowing(this.#state.customs)
  }

  /** The parameter has this value now, for the client and on its lease. */
  set(name: string, value: string): void {
    // A new session user has its own role (PostgreSQL: SET SESSION AUTHORIZATION).
    const base = name === 'session_authorization' ? this.#state.without('role') : this.#state
    this.#state = base.with(name, value)
    if (this.#actual !== null) this.#actual = this.#actual.with(name, value)
  }

  /** The parameter goes back to what the startup packet, or the server, says. */
  reset(name: string): void {
    const initial = this.startup.get(name)
    if (initial !== undefined || this.#actual !== null) {
      this.#actual = (this.#actual ?? this.#state).without(name)
    }
    this.#state =
      initial === undefined ? this.#state.without(name) : this.#state.with(name, initial)
  }

  /** RESET ALL, which leaves the role and the session user alone. */
  resetAll(): void {
    this.#actual = this.#keepIdentity(SessionState.empty)
    this.#state = this.afterResetAll()
  }

  afterResetAll(): SessionState {
    return this.#keepIdentity(this.afterDiscard())
  }

  #keepIdentity(state: SessionState): SessionState {
    let kept = state
    for (const name of identity) {
      const value = this.#state.get(name)
      if (value !== undefined) kept = kept.with(name, value)
    }
    return kept
  }

  /** DISCARD ALL; `isOnServer`: the lease has run it, too. */
  discard(isOnServer: boolean): void {
    this.#state = this.afterDiscard()
    if (isOnServer) this.#actual = SessionState.empty
  }

  afterDiscard(): SessionState {
    return this.startup.knowing(this.#state.customs)
  }

  /** These custom parameters are known to the server from here on. */
  know(names: readonly string[]): void {
    this.#state = this.#state.knowing(names)
  }

  /** A rollback: settings are what they were, but what has become known stays so. */
  rollBack(state: SessionState, actual: SessionState | null): void {
    this.#state = state.knowing(this.#state.customs)
    this.#actual = actual
  }

  /** They are these on any connection that comes next: the last one went, or refuses others. */
  goOnWith(state: SessionState): void {
    this.#state = state
  }

  /** Another connection is brought to what the client has. */
  leaveLease(): void {
    this.#actual = null
  }
}
