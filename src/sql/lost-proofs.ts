import type { CatalogSets } from './catalog-sets.ts'

/**
 * Has something that was proved to read only lost that proof? What replicas ran by it meanwhile may
 * have left something behind in their sessions: a lock, a setting.
 */
export function hasLostProofs(before: CatalogSets, after: CatalogSets): boolean {
  if (before.everything === null && after.everything !== null) return true
  for (const name of after.unsafeFunctions.keys()) if (before.functions.has(name)) return true
  for (const name of after.unsafeOperators.keys()) {
    if (!before.unsafeOperators.has(name)) return true
  }
  for (const name of after.unsafeTypes.keys()) {
    if (before.types.has(name) && !before.unsafeTypes.has(name)) return true
  }
  for (const name of after.unsafeRelations.keys()) if (before.relations.has(name)) return true
  return false
}
