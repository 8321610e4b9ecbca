/**
 * Which relations `closure.ts` and `neutral-closure.ts` have to look at: those that something may be
 * the matter with, by themselves or by their children. All others are plain tables that nothing can
 * come from: only their names count.
 */
import { type CatalogRows, integer, type Row } from './catalog-rows.ts'
import { arrayNameOf, type Relation, type Relations } from './relations.ts'

/** What hangs on a relation, by its column `relation`. */
const PARTS = [
  'columns',
  'trees',
  'triggers',
  'rules',
  'expressions',
  'classUses',
  'handlers',
] as const

export type NotableParts = Pick<CatalogRows, (typeof PARTS)[number] | 'inheritance' | 'foreignKeys'>

export function notableRelations(rows: NotableParts, all: Relations): readonly Relation[] {
  const found = new Set<Relation>()
  const open: number[] = []
  const note = (oid: number): void => {
    const relation = all.get(oid)
    if (relation === undefined || found.has(relation)) return
    found.add(relation)
    open.push(oid)
  }
  for (const { oid } of all.special()) note(oid)
  for (const part of PARTS) for (const row of rows[part]) note(integer(row, 'relation'))
  // What a child does is done by a use of its parent, and of what its foreign keys refer to.
  const parents = new Map<number, number[]>()
  const link = (child: number, parent: number): void => {
    const known = parents.get(child)
    if (known === undefined) parents.set(child, [parent])
    else known.push(parent)
  }
  for (const row of rows.inheritance) link(integer(row, 'child'), integer(row, 'parent'))
  for (const row of rows.foreignKeys) link(integer(row, 'relation'), integer(row, 'referenced'))
  for (let oid = open.pop(); oid !== undefined; oid = open.pop()) {
    for (const parent of parents.get(oid) ?? []) note(parent)
  }
  // In an order that tells nothing of how they were read: the reasons that are given hang on it.
  return [...found].sort((one, other) => one.oid - other.oid)
}

/** Rows of them as `CatalogRows.relations` has them, and of their row types and arrays. */
export function rowsOf(relations: Iterable<Relation>): { relations: Row[]; types: Row[] } {
  const rows: { relations: Row[]; types: Row[] } = { relations: [], types: [] }
  for (const relation of relations) {
    const { oid, name, kind, persistence, type, array } = relation
    rows.relations.push({ oid: `${oid}`, name, kind, persistence, type: `${type}` })
    if (type === 0) continue
    rows.types.push({ oid: `${type}`, name, kind: 'c', relation: `${oid}`, array: `${array}` })
    const arrayName = arrayNameOf(relation)
    if (arrayName !== null) {
      rows.types.push({ oid: `${array}`, name: arrayName, kind: 'b', element: `${type}` })
    }
  }
  return rows
}
