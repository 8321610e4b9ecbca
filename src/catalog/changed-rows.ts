/**
 * Reads of a long part of the catalog only what was written since it was read before. What was
 * written carries a later xmin; that something is gone shows in the keys that there are.
 */
import { changedRelations, keysQuery, someRelations } from './catalog-queries.ts'
import { integer, type Queryable, type Row, text } from './catalog-rows.ts'
import { type Relation, type Relations, relationOf } from './relations.ts'

/** Rows of one part, and the state of its catalogs that they were read in. */
export interface ReadPart {
  readonly state: string
  readonly rows: readonly Row[]
  /** An xid says nothing on another server. */
  readonly connection: Queryable
  /** No row that is seen later, and was not then, is of an older transaction; null: nobody knows. */
  readonly xid: number | null
}

/** Relations that are read at a time: their rows are taken in one go. */
const PAGE = 1_000

/** The rows of a part as they are by now; null: it must be read as a whole. */
export async function changedRows(
  connection: Queryable,
  known: ReadPart | undefined,
  query: (since: number) => string,
  keys: string,
): Promise<readonly Row[] | null> {
  if (known?.connection !== connection || known.xid === null) return null
  const { rows } = await connection.query(query(known.xid))
  const byKey = new Map<string, Row>()
  for (const row of known.rows) byKey.set(text(row, 'oid'), row)
  for (const row of rows) byKey.set(text(row, 'oid'), row)
  const found = text((await connection.query(keys)).rows[0] ?? {}, 'oids').split(' ')
  const isLeft = new Set(found)
  for (const key of byKey.keys()) if (!isLeft.has(key)) byKey.delete(key)
  return byKey.size === isLeft.size ? [...byKey.values()] : null
}

/** In an order that doesn't tell how they were read: the reasons that are given hang on it. */
export function inOrder(rows: readonly Row[]): readonly Row[] {
  return [...rows].sort((one, other) => integer(one, 'oid') - integer(other, 'oid'))
}

/** The same of relations, of which there are `count` by now. */
export async function changedSince(
  connection: Queryable,
  known: Relations,
  xid: number,
  count: number,
): Promise<Relations | null> {
  const changed = (await connection.query(changedRelations(xid))).rows.map(relationOf)
  let news = 0
  for (const { oid } of changed) if (known.get(oid) === undefined) news++
  if (known.size + news === count) return known.with(changed, [])
  const row = (await connection.query(keysQuery('pg_class'))).rows[0] ?? {}
  const isLeft = new Set(text(row, 'oids').split(' ').map(Number))
  const gone: number[] = []
  for (const { oid } of known) if (!isLeft.has(oid)) gone.push(oid)
  const relations = known.with(changed, gone)
  return relations.size === count ? relations : null
}

/** All of them. */
export async function allRelations(connection: Queryable, known: Relations): Promise<Relations> {
  const found: Relation[] = []
  for (let last = 0; ; ) {
    const { rows } = await connection.query(someRelations(last, PAGE))
    for (const row of rows) found.push(relationOf(row))
    if (rows.length < PAGE) return known.all(found)
    last = integer(rows.at(-1) ?? {}, 'oid')
  }
}
