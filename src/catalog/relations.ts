/**
 * All relations of a database with their row types, kept small: nearly all are plain tables, of
 * which nothing counts but what they are called.
 */
import { integer, type Row, text } from './catalog-rows.ts'

/** A row of `relationsQuery`. */
export interface Relation {
  readonly oid: number
  readonly name: string
  /** pg_class.relkind. */
  readonly kind: string
  /** pg_class.relpersistence. */
  readonly persistence: string
  /** Its row type; 0: it has none. */
  readonly type: number
  /** Arrays of that; 0: there are none. */
  readonly array: number
  /** What they are called; null: as the relation, behind an underscore. */
  readonly arrayName: string | null
}

export function relationOf(row: Row): Relation {
  const arrayName = text(row, 'array_name')
  return {
    oid: integer(row, 'oid'),
    name: text(row, 'name'),
    kind: text(row, 'kind'),
    persistence: text(row, 'persistence'),
    type: integer(row, 'type'),
    array: integer(row, 'array'),
    arrayName: arrayName === '' ? null : arrayName,
  }
}

/** What arrays of its row type are called; null: there are none. */
export function arrayNameOf({ name, array, arrayName }: Relation): string | null {
  return array === 0 ? null : (arrayName ?? `_${name}`)
}

/** Is it no table whose rows are as safe on a replica as anywhere? */
function isSpecial({ kind, persistence }: Relation): boolean {
  return !(kind === 'r' || kind === 'p') || persistence !== 'p'
}

/** More changes than these are laid under the others. */
const MAX_CHANGES = 1_000

let versions = 0

/** It never changes: relations that come or go make another one, which shares what is the same. */
export class Relations {
  /** Equal numbers mean equal relations. */
  readonly version: number
  readonly size: number
  readonly #base: Index
  /** Later than `#base`, and what of that is no more, or is in here. */
  readonly #later: Index
  readonly #hidden: ReadonlySet<number>

  private constructor(
    base: ReadonlyMap<number, Relation> | Index,
    later: ReadonlyMap<number, Relation>,
    hidden: ReadonlySet<number>,
  ) {
    this.version = ++versions
    this.#base = base instanceof Index ? base : new Index(base)
    this.#later = new Index(later)
    this.#hidden = hidden
    this.size = this.#base.byOid.size - hidden.size + this.#later.byOid.size
  }

  static of(relations: Iterable<Relation>): Relations {
    const byOid = new Map<number, Relation>()
    for (const relation of relations) byOid.set(relation.oid, relation)
    return new Relations(byOid, new Map(), new Set())
  }

  /** With these, new or changed, and without those of the oids in `gone`; itself, if that is the same. */
  with(changed: readonly Relation[], gone: readonly number[]): Relations {
    const news = changed.filter((relation) => !isSame(this.get(relation.oid), relation))
    if (news.length === 0 && gone.every((oid) => this.get(oid) === undefined)) return this
    if (this.#later.byOid.size + this.#hidden.size + news.length + gone.length > MAX_CHANGES) {
      const all = new Map<number, Relation>()
      for (const relation of this) all.set(relation.oid, relation)
      for (const relation of news) all.set(relation.oid, relation)
      for (const oid of gone) all.delete(oid)
      return new Relations(all, new Map(), new Set())
    }
    const later = new Map(this.#later.byOid)
    const hidden = new Set(this.#hidden)
    const hide = (oid: number): void => {
      if (this.#base.byOid.has(oid)) hidden.add(oid)
    }
    for (const relation of news) {
      later.set(relation.oid, relation)
      hide(relation.oid)
    }
    for (const oid of gone) {
      later.delete(oid)
      hide(oid)
    }
    return new Relations(this.#base, later, hidden)
  }

  /** These and no others; itself, if that is the same. */
  all(relations: readonly Relation[]): Relations {
    const isKnown = relations.every((relation) => isSame(this.get(relation.oid), relation))
    return isKnown && relations.length === this.size ? this : Relations.of(relations)
  }

  get(oid: number): Relation | undefined {
    return this.#later.byOid.get(oid) ?? this.#shown(this.#base.byOid.get(oid))
  }

  *[Symbol.iterator](): Generator<Relation> {
    yield* this.#later.byOid.values()
    for (const relation of this.#base.byOid.values()) if (this.#isShown(relation)) yield relation
  }

  /** All that aren't plain tables. */
  *special(): Generator<Relation> {
    yield* this.#later.special
    for (const relation of this.#base.special) if (this.#isShown(relation)) yield relation
  }

  /** Those of that name, of all schemas. */
  *named(name: string): Generator<Relation> {
    yield* this.#later.named(name)
    for (const relation of this.#base.named(name)) if (this.#isShown(relation)) yield relation
  }

  /** Those of whose rows there are arrays of that name. */
  *withArrays(name: string): Generator<Relation> {
    if (name.startsWith('_')) {
      for (const relation of this.named(name.slice(1))) {
        if (arrayNameOf(relation) === name) yield relation
      }
    }
    yield* this.#later.oddArrays.get(name) ?? []
    for (const one of this.#base.oddArrays.get(name) ?? []) if (this.#isShown(one)) yield one
  }

  /** Can something of that name be read? A composite type is no relation. */
  hasRelation(name: string): boolean {
    for (const { kind } of this.named(name)) if (kind !== 'c') return true
    return false
  }

  /** Is there a row type or array of that name whose oid is not below `from`? */
  hasType(name: string, from = 1): boolean {
    for (const { type } of this.named(name)) if (type >= from) return true
    for (const { array } of this.withArrays(name)) if (array >= from) return true
    return false
  }

  #isShown({ oid }: Relation): boolean {
    return !this.#hidden.has(oid)
  }

  #shown(relation: Relation | undefined): Relation | undefined {
    return relation !== undefined && this.#isShown(relation) ? relation : undefined
  }
}

/** Where each is found. */
class Index {
  readonly byOid: ReadonlyMap<number, Relation>
  readonly special: Relation[] = []
  readonly oddArrays = new Map<string, Relation[]>()
  /** An array only where there are several: nearly all names are taken once. */
  readonly #byName = new Map<string, Relation | Relation[]>()

  constructor(byOid: ReadonlyMap<number, Relation>) {
    this.byOid = byOid
    for (const relation of byOid.values()) this.#add(relation)
  }

  #add(relation: Relation): void {
    const { name, arrayName } = relation
    const known = this.#byName.get(name)
    if (known === undefined) this.#byName.set(name, relation)
    else if (Array.isArray(known)) known.push(relation)
    else this.#byName.set(name, [known, relation])
    if (isSpecial(relation)) this.special.push(relation)
    if (arrayName === null) return
    const odd = this.oddArrays.get(arrayName)
    if (odd === undefined) this.oddArrays.set(arrayName, [relation])
    else odd.push(relation)
  }

  named(name: string): readonly Relation[] {
    const found = this.#byName.get(name)
    return found === undefined ? [] : Array.isArray(found) ? found : [found]
  }
}

export const noRelations = Relations.of([])

function isSame(one: Relation | undefined, other: Relation): boolean {
  return (
    one !== undefined &&
    one.name === other.name &&
    one.kind === other.kind &&
    one.persistence === other.persistence &&
    one.type === other.type &&
    one.array === other.array &&
    one.arrayName === other.arrayName
  )
}
