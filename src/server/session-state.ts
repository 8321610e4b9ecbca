/**
 * Does the server's session know a parameter of this name only once it was set? From then on it
 * knows it for good, at the least as an empty string (PostgreSQL: "Customized Options").
 */
export function isCustomName(name: string): boolean {
  return name.includes('.')
}

/** Stands for custom parameters whose names a statement did not show. */
export const unshownName = '*.*'

const noNames: readonly string[] = []

/**
 * A session's settings as an interned immutable value: equal states are the same object, so "does
 * this server connection already have this client's settings?" is a pointer comparison.
 *
 * Names are lower case; values are what `set_config` takes (a string, lists flattened). A name that
 * is absent has the server's default for the role and database. The value null is a custom
 * parameter that is known and has its default: no state without its name can be reached any more.
 */
export class SessionState {
  readonly entries: ReadonlyMap<string, string | null>
  readonly key: string
  /** Names of custom parameters, whatever their values. */
  readonly customs: readonly string[]

  private constructor(entries: ReadonlyMap<string, string | null>, key: string) {
    this.entries = entries
    this.key = key
    const customs = [...entries.keys()].filter(isCustomName)
    this.customs = customs.length === 0 ? noNames : customs
  }

  static readonly #interned = new Map<string, WeakRef<SessionState>>()
  static readonly #registry = new FinalizationRegistry<string>((key) => {
    const ref = SessionState.#interned.get(key)
    if (ref !== undefined && ref.deref() === undefined) SessionState.#interned.delete(key)
  })

  static of(entries: Iterable<readonly [string, string | null]>): SessionState {
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
    return this.entries.get(name) ?? undefined
  }

  with(name: string, value: string): SessionState {
    if (this.entries.get(name) === value) return this
    return SessionState.of([...this.entries, [name, value]])
  }

  /** After a RESET of it. */
  without(name: string): SessionState {
    if (isCustomName(name)) {
      return this.entries.get(name) === null
        ? this
        : SessionState.of([...this.entries, [name, null]])
    }
    if (!this.entries.has(name)) return this
    return SessionState.of([...this.entries].filter(([key]) => key !== name))
  }

  /** The same settings where these custom parameters are known. */
  knowing(names: readonly string[]): SessionState {
    if (names.every((name) => this.entries.has(name))) return this
    return SessionState.of([...names.map((name) => [name, null] as const), ...this.entries])
  }

  /** What is created without a schema may be temporary. */
  get namesTemporarySchema(): boolean {
    return this.get('search_path')?.includes('pg_temp') ?? false
  }

  /** Has `other` all custom parameters that are known here? If not, it can't be reached. */
  canBecome(other: SessionState): boolean {
    const { customs } = this
    return customs === noNames || customs.every((name) => other.entries.has(name))
  }
}

/** One step of a hand-over; `value` null resets to the server's default. */
export interface StateChange {
  readonly name: string
  readonly value: string | null
  /** A custom parameter that the server is to know, at its default. */
  readonly isNew?: true
}

/**
 * Which may set what. `settings first`: as the user who logged in; then session user and role.
 * `identity first`: as the session's own role, which may be allowed more.
 */
export type SyncOrder = 'settings first' | 'identity first'

/** The encoding goes before all other values: their bytes are in it. */
function rank({ name, value }: StateChange, order: SyncOrder): number {
  const isIdentity = name === 'session_authorization' || name === 'role'
  const later = name === 'role' ? 1 : 0
  if (order === 'settings first') {
    if (isIdentity) return value === null ? later : 4 + later
    return name === 'client_encoding' ? 2 : 3
  }
  if (isIdentity) return 1 + later
  if (value === null) return 0
  return name === 'client_encoding' ? 3 : 4
}

/**
 * What turns a connection in state `from` into one in state `to`, in the order to send it. Custom
 * parameters that `to` hasn't stay known: `to.knowing(from.customs)` is what is reached.
 */
export function stateChanges(
  from: SessionState,
  to: SessionState,
  order: SyncOrder = 'settings first',
): StateChange[] {
  if (from === to) return []
  const changes: StateChange[] = []
  for (const [name, value] of from.entries) {
    if (value !== null && !to.entries.has(name)) changes.push({ name, value: null })
  }
  const user = from.get('session_authorization')
  const role = from.get('role')
  // Back to the user who logged in, as whom the settings are made.
  const isThrough = order === 'settings first' && (user ?? role) !== undefined
  if (isThrough && to.get('session_authorization') !== undefined && user !== undefined) {
    changes.push({ name: 'session_authorization', value: null })
  }
  if (isThrough && to.get('role') !== undefined && role !== undefined) {
    changes.push({ name: 'role', value: null })
  }
  // A new session user resets the role on the server, so the role has to be said again.
  const isIdentityNew = isThrough || user !== to.get('session_authorization')
  for (const [name, value] of to.entries) {
    const isIdentity = name === 'role' || (isThrough && name === 'session_authorization')
    if (value === null) {
      const before = from.entries.get(name)
      if (before === undefined && name !== unshownName) changes.push({ name, value, isNew: true })
      else if (typeof before === 'string') changes.push({ name, value })
    } else if (from.entries.get(name) !== value || (isIdentityNew && isIdentity)) {
      changes.push({ name, value })
    }
  }
  return changes.sort((a, b) => rank(a, order) - rank(b, order))
}
