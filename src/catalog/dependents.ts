/**
 * What may be judged otherwise when something of these names has changed: the rules of `closure.ts`,
 * backwards and at their worst. Made from what was loaded, when it is first asked for.
 */
import { FIRST_USER_OID } from './catalog-queries.ts'
import {
  type CatalogRows,
  integer,
  oids,
  parseChecks,
  parseTree,
  type Row,
  type TreeReferences,
  text,
} from './catalog-rows.ts'
import type { Closure } from './closure.ts'
import {
  COMPARABLE_TYPES,
  COMPARISONS,
  FILLS_RECORDS,
  IMPLICIT_OPERATORS,
  TYPE_SPELLINGS,
} from './function-lists.ts'
import { arrayNameOf, noRelations, type Relations } from './relations.ts'

/** Kinds of objects, whose oids are each their own, as the upper part of a key. */
const FUNCTION = 0
const TYPE = 2 ** 32
const RELATION = 2 * TYPE
const OPERATOR = 3 * TYPE
/** What changes the judgement of everything, unseen in any text. */
const ALL = -1

const PLAIN_WORD = /^[\p{L}_][\p{L}\p{N}_$]*$/u

export class Dependents {
  readonly #rows: CatalogRows
  readonly #closure: Closure
  readonly #others: Relations
  #graph: Graph | null = null

  /** `others`: of all relations, also those that aren't among the rows. */
  constructor(rows: CatalogRows, closure: Closure, others = noRelations) {
    this.#rows = rows
    this.#closure = closure
    this.#others = others
  }

  /** These names and those of all that depends on them; null: nothing is sure of any text. */
  of(names: Iterable<string>): ReadonlySet<string> | null {
    this.#graph ??= new Graph(this.#rows, this.#closure)
    return new Walk(this.#graph, this.#others).from(names)
  }
}

/** What uses what. */
class Graph {
  readonly names = new Map<number, string>()
  readonly keys = new Map<string, number[]>()
  readonly users = new Map<number, number[]>()
  /** Words of functions' sources → functions. */
  readonly words = new Map<string, number[]>()
  readonly sources: { readonly key: number; readonly source: string }[] = []
  /** What may convert to any type that it isn't seen to name. */
  readonly fillers: number[] = []
  /** Functions that put SQL together: it may use any relation or type. */
  readonly builders: number[] = []
  /** Both sides' types of an operator. */
  readonly sides = new Map<number, readonly number[]>()
  readonly isUnsafeType: (oid: number) => boolean

  constructor(rows: CatalogRows, closure: Closure) {
    this.isUnsafeType = (oid) => closure.unsafeTypes.has(oid)
    for (const row of rows.types) this.#object(TYPE + integer(row, 'oid'), text(row, 'name'))
    for (const row of rows.relations) {
      this.#object(RELATION + integer(row, 'oid'), text(row, 'name'))
    }
    this.#functions(closure)
    this.#types(rows)
    this.#casts(rows)
    this.#operators(rows)
    this.#relations(rows)
    for (const row of rows.aggregates) {
      for (const part of oids(row, 'parts')) this.#edge(part, FUNCTION + integer(row, 'oid'))
    }
  }

  #object(key: number, name: string): void {
    this.names.set(key, name)
    push(this.keys, name, key)
  }

  #edge(used: number, user: number): void {
    push(this.users, used, user)
  }

  #tree(tree: TreeReferences, user: number): void {
    for (const oid of tree.functions) this.#edge(FUNCTION + oid, user)
    for (const oid of tree.operators) this.#edge(OPERATOR + oid, user)
    for (const oid of tree.types) this.#edge(TYPE + oid, user)
    for (const oid of tree.relations) this.#edge(RELATION + oid, user)
    if (tree.fillsTable) this.fillers.push(user)
  }

  #functions({ functions }: Closure): void {
    for (const fn of functions) {
      const key = FUNCTION + fn.oid
      this.#object(key, fn.name)
      if (FILLS_RECORDS.has(fn.name)) this.fillers.push(key)
      if (fn.builtIn) continue
      if (fn.words.has('execute')) this.builders.push(key)
      for (const type of fn.types) this.#edge(TYPE + type, key)
      this.#tree(fn.tree, key)
      for (const word of fn.words) push(this.words, word, key)
      if (fn.source !== '') this.sources.push({ key, source: fn.source })
    }
  }

  #types(rows: CatalogRows): void {
    for (const row of rows.types) {
      const oid = integer(row, 'oid')
      const key = TYPE + oid
      if (text(row, 'checks') !== '') this.#tree(parseChecks(row), key)
      if (oid >= FIRST_USER_OID) {
        for (const fn of oids(row, 'functions')) {
          if (fn >= FIRST_USER_OID) this.#edge(FUNCTION + fn, key)
        }
        this.#edge(TYPE + integer(row, 'element'), key)
      }
      this.#edge(TYPE + integer(row, 'base'), key)
      this.#edge(TYPE + integer(row, 'subtype'), key)
      for (const made of [integer(row, 'array'), integer(row, 'multirange')]) {
        if (made !== 0) this.#edge(key, TYPE + made)
      }
      const relation = integer(row, 'relation')
      if (relation !== 0) this.#edge(RELATION + relation, key)
    }
  }

  #casts(rows: CatalogRows): void {
    for (const row of rows.casts) {
      const fn = FUNCTION + integer(row, 'function')
      const [source, target] = [integer(row, 'source'), integer(row, 'target')]
      const users = [source, target].filter((oid) => oid >= FIRST_USER_OID)
      for (const oid of users) this.#edge(fn, TYPE + oid)
      if (users.length > 0) continue
      this.#edge(fn, text(row, 'context') === 'e' ? TYPE + target : ALL)
    }
  }

  #operators(rows: CatalogRows): void {
    for (const row of rows.operators) {
      const key = OPERATOR + integer(row, 'oid')
      const fn = FUNCTION + integer(row, 'function')
      const sides = [integer(row, 'left_type'), integer(row, 'right_type')]
      this.#object(key, text(row, 'name'))
      this.sides.set(key, sides)
      this.#edge(fn, key)
      for (const side of sides) this.#edge(TYPE + side, key)
      if (!IMPLICIT_OPERATORS.has(text(row, 'name'))) continue
      const users = sides.filter((oid) => oid >= FIRST_USER_OID)
      for (const oid of users) this.#edge(fn, TYPE + oid)
      if (users.length === 0) this.#edge(fn, ALL)
    }
  }

  /** What sorts and hashes a type, and the relations that are indexed or parted by it. */
  #class(row: Row, { classUses }: CatalogRows): void {
    const type = integer(row, 'type')
    for (const fn of oids(row, 'functions')) {
      this.#edge(FUNCTION + fn, type >= FIRST_USER_OID ? TYPE + type : ALL)
      for (const use of classUses) {
        if (text(use, 'class') !== text(row, 'oid')) continue
        const relation = integer(use, 'relation')
        const user = relation === 0 ? TYPE + integer(use, 'type') : RELATION + relation
        this.#edge(FUNCTION + fn, user)
      }
    }
  }

  #relations(rows: CatalogRows): void {
    for (const row of [...rows.trees, ...rows.rules, ...rows.expressions, ...rows.triggers]) {
      this.#tree(parseTree(row), RELATION + integer(row, 'relation'))
    }
    for (const row of rows.triggers) {
      this.#edge(FUNCTION + integer(row, 'function'), RELATION + integer(row, 'relation'))
    }
    for (const row of rows.foreignKeys) {
      this.#edge(RELATION + integer(row, 'relation'), RELATION + integer(row, 'referenced'))
    }
    for (const row of rows.eventTriggers) this.#edge(FUNCTION + integer(row, 'function'), ALL)
    for (const row of rows.operatorClasses) this.#class(row, rows)
    for (const row of rows.columns) {
      const relation = RELATION + integer(row, 'relation')
      for (const type of oids(row, 'types')) this.#edge(TYPE + type, relation)
    }
    for (const row of rows.inheritance) {
      this.#edge(RELATION + integer(row, 'child'), RELATION + integer(row, 'parent'))
    }
  }
}

class Walk {
  readonly #graph: Graph
  readonly #others: Relations
  /** Names of row types and arrays of others that were met. */
  readonly #names = new Map<number, string>()
  readonly #found = new Set<string>()
  readonly #seen = new Set<number>()
  readonly #open: number[] = []

  constructor(graph: Graph, others: Relations) {
    this.#graph = graph
    this.#others = others
  }

  from(names: Iterable<string>): ReadonlySet<string> | null {
    for (const name of names) {
      // Used without being spelled: any text may.
      if (IMPLICIT_OPERATORS.has(name)) return null
      this.#name(name)
      for (const key of this.#graph.keys.get(name) ?? []) this.#reach(key)
      for (const { oid } of this.#others.named(name)) this.#reach(RELATION + oid)
      for (const { array } of this.#others.withArrays(name)) {
        this.#names.set(TYPE + array, name)
        this.#reach(TYPE + array)
      }
    }
    do this.#close()
    while (this.#showOperators())
    if (this.#seen.has(ALL)) return null
    for (const name of this.#found) if (IMPLICIT_OPERATORS.has(name)) return null
    return this.#found
  }

  #close(): void {
    for (let key = this.#open.pop(); key !== undefined; key = this.#open.pop()) {
      for (const user of this.#graph.users.get(key) ?? []) this.#reach(user)
      const isType = key >= TYPE && key < RELATION
      const name = this.#graph.names.get(key) ?? this.#names.get(key) ?? this.#nameOfOther(key)
      if (key >= TYPE && key < OPERATOR) {
        for (const builder of this.#graph.builders) this.#reach(builder)
      }
      if (isType) {
        for (const filler of this.#graph.fillers) this.#reach(filler)
        for (const spelling of TYPE_SPELLINGS.get(name) ?? []) this.#found.add(spelling)
      }
      if (key < OPERATOR) this.#name(name)
    }
  }

  /** A relation that is no row takes its row type and the arrays of that along. */
  #nameOfOther(key: number): string {
    const other = key >= RELATION && key < OPERATOR ? this.#others.get(key - RELATION) : undefined
    if (other === undefined) return ''
    const arrayName = arrayNameOf(other)
    const types: [number, string | null][] = [
      [other.type, other.name],
      [other.array, arrayName],
    ]
    for (const [oid, name] of types) {
      if (oid === 0 || name === null) continue
      this.#names.set(TYPE + oid, name)
      this.#reach(TYPE + oid)
    }
    return other.name
  }

  #reach(key: number): void {
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    this.#open.push(key)
  }

  /** Whatever is called so is in doubt, and functions in whose source it stands. */
  #name(name: string): void {
    if (name === '' || this.#found.has(name)) return
    this.#found.add(name)
    for (const key of this.#graph.words.get(name) ?? []) this.#reach(key)
    if (PLAIN_WORD.test(name)) return
    const spelled = name.replaceAll('"', '""')
    for (const { key, source } of this.#graph.sources) {
      if (source.includes(spelled)) this.#reach(key)
    }
  }

  /** Names of operators, but for comparisons that only values of unsafe types can reach. */
  #showOperators(): boolean {
    let isMore = false
    for (const key of this.#seen) {
      const sides = this.#graph.sides.get(key)
      if (sides === undefined) continue
      const name = this.#graph.names.get(key) ?? ''
      if (this.#found.has(name) || this.#isHidden(name, sides)) continue
      this.#name(name)
      isMore = true
    }
    return isMore
  }

  #isHidden(name: string, sides: readonly number[]): boolean {
    if (!COMPARISONS.has(name) || sides.every((oid) => oid < FIRST_USER_OID)) return false
    // A type in doubt may turn out to be safe, and then its comparison isn't hidden.
    return sides.every((oid) => {
      if (this.#graph.isUnsafeType(oid)) return true
      return COMPARABLE_TYPES.has(this.#graph.names.get(TYPE + oid) ?? '')
    })
  }
}

function push<K>(map: Map<K, number[]>, key: K, value: number): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [value])
  else known.push(value)
}
