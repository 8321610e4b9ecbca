import { readFileSync } from 'node:fs'
import type { CatalogSets } from '../../src/sql/catalog-sets.ts'

const SETS = ['functions', 'nodeFunctions', 'pureFunctions', 'attributeFunctions', 'ddlFunctions', 'types', 'declaredVolatile'] as const
const MORE_SETS = ['userTypes', 'replacedNames', 'unsafeTypeOids', 'relations', 'nodeParameters'] as const
const MAPS = ['unsafeFunctions', 'sessionFunctions', 'unsafeOperators', 'unsafeTypes'] as const
const RECORD = new URL('catalog-15.json', import.meta.url)

/** The sets of PostgreSQL 15 with `schema.sql`, as `record-catalog.ts` wrote them. */
export function recordedCatalog(): CatalogSets {
  const record: Record<string, unknown> = JSON.parse(readFileSync(RECORD, 'utf8'))
  for (const key of [...SETS, ...MORE_SETS]) record[key] = new Set(record[key] as unknown[])
  for (const key of [...MAPS, 'unsafeRelations']) {
    record[key] = new Map(record[key] as [string, string][])
  }
  for (const key of ['sessionEffects', 'namedUses', 'operatorUses']) {
    record[key] = new Map((record[key] ?? []) as [string, unknown][])
  }
  return record as unknown as CatalogSets
}

/** The sets as JSON, in an order that doesn't depend on the server. */
export function catalogJson(sets: CatalogSets): string {
  const record: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(sets)) {
    const isMany = typeof value === 'object' && value !== null && Symbol.iterator in value
    record[key] = isMany ? [...(value as Iterable<unknown>)].sort() : value
  }
  return `${JSON.stringify(record, null, 1)}\n`
}
