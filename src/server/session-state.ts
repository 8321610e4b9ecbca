/**
 * A session's settings as an interned immutable value: equal states are the same object, so "does
 * this server connection already have this client's settings?" is a pointer comparison.
 *
 * Names are lower case; values are what `set_config` takes (a string, lists flattened). A name that
 * is absent has the server's default for the role and database.
 */
export class SessionState {
  readonly entries: ReadonlyMap<string, string>
  readonly key: string

  private constructor(entries: ReadonlyMap<string, string>, key: string) {
    this.entries = entries
    this.key = key
  }

  static readonly #interned = new Map<string, WeakRef<SessionState>>()
  static readonly #registry = new FinalizationRegistry<string>((key) => {
    const ref = SessionState.#interned.get(key)
    if (ref !== undefined && ref.deref() === undefined) SessionState.#interned.delete(key)
  })

  static of(entries: Iterable<readonly [string, string]>): SessionState {
    const sorted = [...new Map(entries)].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    const key = JSON.stringify(sorted)
    const known = SessionState.#interned.get(key)?.deref()
    if (known !== undefined) return known
    const made = new SessionState(new Map(sorted), key)
    SessionState.#interned.set(key, new WeakRef(made))
    SessionState.#registry.register(made, key)
    return made
  }

  static readonly empty: SessionState = SessionState.of([])

  get(name: string): string | undefined {
    return this.entries.get(name)
  }

  with(name: string, value: string): SessionState {
    if (this.entries.get(name) === value) return this
    return SessionState.of([...this.entries, [name, value]])
  }

  without(name: string): SessionState {
    if (!this.entries.has(name)) return this
    return SessionState.of([...this.entries].filter(([key]) => key !== name))
  }
}

/** One step of a hand-over; `value` null resets to the server's default. */
export interface StateChange {
  readonly name: string
  readonly value: string | null
}

/**
 * Identity first: a role may be set only by a session user that may, and settings follow both. Then
 * the encoding, which the bytes of all other values are in.
 */
function rank(name: string): number {
  if (name === 'session_authorization') return 0
  if (name === 'role') return 1
  return name === 'client_encoding' ? 2 : 3
}

/** What turns a connection in state `from` into one in state `to`, in the order to send it. */
export function stateChanges(from: SessionState, to: SessionState): StateChange[] {
  const changes: StateChange[] = []
  for (const name of from.entries.keys()) {
    if (!to.entries.has(name)) changes.push({ name, value: null })
  }
  // A new session user resets the role on the server, so the role has to be said again.
  const isIdentityNew = from.get('session_authorization') !== to.get('session_authorization')
  for (const [name, value] of to.entries) {
    if (from.entries.get(name) !== value || (isIdentityNew && name === 'role')) {
      changes.push({ name, value })
    }
  }
  return changes.sort((a, b) => rank(a.name) - rank(b.name))
}
