/** What user functions do to the session that calls them, by what their sources show. */
import { isDeepStrictEqual } from 'node:util'
import { sessionEffects } from '../sql/source-scan.ts'
import type { Effect } from '../sql/statement-class.ts'
import type { FunctionFacts } from './function-facts.ts'

/**
 * Name → effects, over all overloads and over what they call: names about all of whose effects the
 * server can be asked afterwards, and that have any.
 */
export function effectsByName(routines: readonly FunctionFacts[]): Map<string, readonly Effect[]> {
  /** null: does something that the server can't be asked about. */
  const byName = new Map<string, Effect[] | null>()
  for (const { name, source } of routines) merge(byName, name, sessionEffects(source))
  for (let isGrown = true; isGrown; ) {
    isGrown = false
    for (const { name, words } of routines) {
      for (const word of words) {
        const called = word === name ? undefined : byName.get(word)
        if (called !== undefined && merge(byName, name, called)) isGrown = true
      }
    }
  }
  const found = new Map<string, readonly Effect[]>()
  for (const [name, effects] of byName) {
    if (effects !== null && effects.length > 0) found.set(name, effects)
  }
  return found
}

/** Adds to what is known of `name`; true when that was new. */
function merge(
  byName: Map<string, Effect[] | null>,
  name: string,
  added: readonly Effect[] | null,
): boolean {
  const known = byName.get(name)
  if (known === null) return false
  if (added === null) {
    byName.set(name, null)
    return true
  }
  const own = known ?? []
  const before = own.length
  for (const effect of added) {
    if (!own.some((other) => isDeepStrictEqual(other, effect))) own.push(effect)
  }
  byName.set(name, own)
  return own.length > before
}
