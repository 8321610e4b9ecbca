import type { SessionState } from './session-state.ts'

/** Parameters that tell of the server, not of the session. */
const serversOwn: ReadonlySet<string> = new Set(['in_hot_standby', 'server_version'])

interface Explained {
  readonly tracked: string
  readonly reported: string
}

/**
 * What the server has reported of its session (ParameterStatus) since somebody compared it with the
 * settings that the session is known to have. What they don't explain was set by something that
 * nobody has seen.
 */
export class ReportedParameters {
  readonly #now: ReadonlyMap<string, string>
  /** Values of the log-in, of those that have ever changed. */
  readonly #atLogin = new Map<string, string>()
  /** What the server makes of a tracked value. */
  readonly #explained = new Map<string, Explained>()
  readonly #news = new Set<string>()

  /** `now`: the parameters as they are, kept up by the connection. */
  constructor(now: ReadonlyMap<string, string>) {
    this.#now = now
  }

  /** Call it before the value changes; `sets`: the state that is being set, if it is by pgsplit. */
  note(name: string, value: string, sets: SessionState | null): void {
    const before = this.#now.get(name)
    if (before !== undefined && !this.#atLogin.has(name)) this.#atLogin.set(name, before)
    if (sets === null) {
      this.#news.add(name)
      return
    }
    this.#news.delete(name)
    this.#explain(name, value, sets)
  }

  /** Name of a parameter whose value is not what the state has, or null: then nothing is new. */
  unexplained(state: SessionState): string | null {
    for (const name of this.#news) {
      if (!this.#isExplained(name, state)) return name
      this.#news.delete(name)
    }
    return null
  }

  /** The server was asked, and `state` is what its session has. */
  explain(state: SessionState): void {
    for (const name of this.#news) {
      const value = this.#now.get(name) ?? ''
      if (tracked(state, name) === undefined) this.#atLogin.set(name, value)
      else this.#explain(name, value, state)
    }
    this.#news.clear()
  }

  #explain(name: string, reported: string, state: SessionState): void {
    const value = tracked(state, name)
    if (value === undefined) this.#explained.delete(name)
    else this.#explained.set(name, { tracked: value, reported })
  }

  #isExplained(name: string, state: SessionState): boolean {
    if (serversOwn.has(name)) return true
    const value = this.#now.get(name) ?? ''
    const own = tracked(state, name)
    if (own === undefined) {
      if (value === this.#atLogin.get(name)) return true
      // It goes by the role.
      return name === 'is_superuser' && (has(state, 'role') || has(state, 'session_authorization'))
    }
    const known = this.#explained.get(name)
    if (known?.tracked === own && known.reported === value) return true
    return isSame(own, value)
  }
}

/** States are kept as the client's bytes. */
function tracked(state: SessionState, name: string): string | undefined {
  const value = state.get(name.toLowerCase())
  return value === undefined ? undefined : Buffer.from(value, 'latin1').toString()
}

function has(state: SessionState, name: string): boolean {
  return state.get(name) !== undefined
}

/** Spellings of one value; those that this doesn't know cost a question. */
function isSame(tracked: string, reported: string): boolean {
  return tracked === reported || plain(tracked) === plain(reported)
}

function plain(value: string): string {
  const folded = value.toLowerCase().replaceAll(/[\s_-]/g, '')
  if (/^(t|tr|tru|true|y|ye|yes|1)$/.test(folded)) return 'on'
  return /^(f|fa|fal|fals|false|n|no|of|0)$/.test(folded) ? 'off' : folded
}
