import type { SessionState } from '../server/session-state.ts'

/**
 * Settings that are looked at when a text is parsed, and not only when it runs: what its names mean
 * (search_path, and the role for "$user"), and how its constants are read.
 */
const looksAt = [
  'search_path',
  'role',
  'session_authorization',
  'datestyle',
  'intervalstyle',
  'timezone',
  'lc_monetary',
  'client_encoding',
  'backslash_quote',
  'array_nulls',
  'xmloption',
  'transform_null_equals',
]

const known = new WeakMap<SessionState, string>()

/** Equal for sessions to which the same text means the same. */
export function parseSettings(state: SessionState): string {
  let settings = known.get(state)
  if (settings === undefined) {
    const parts: string[] = []
    for (const name of looksAt) {
      const value = state.get(name)
      if (value !== undefined) parts.push(`${name}=${value}`)
    }
    settings = parts.join('\x01')
    known.set(state, settings)
  }
  return settings
}
