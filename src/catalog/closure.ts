/**
 * Which functions, types, operators and relations may do something that a replica can't, by each
 * other: a fixpoint over everything that the catalog rows connect. Oids inside, names outside.
 */
import { FIRST_USER_OID } from './catalog-queries.ts'
import {
  type CatalogRows,
  flag,
  integer,
  isOfWritesOnly,
  oids,
  parseChecks,
  parseTree,
  type TreeReferences,
  text,
} from './catalog-rows.ts'
import { type FunctionFacts, functionFacts, seedReason } from './function-facts.ts'
import {
  COMPARABLE_TYPES,
  COMPARISONS,
  FILLS_RECORDS,
  IMPLICIT_OPERATORS,
} from './function-lists.ts'

export class Closure {
  readonly functions: readonly FunctionFacts[]
  readonly unsafeFunctions = new Map<number, string>()
  readonly unsafeTypes = new Map<number, string>()
  readonly unsafeOperators = new Map<number, string>()
  /** Those that only values of an unsafe type can reach: `=` of a user type needn't taint all `=`. */
  readonly hiddenOperators = new Set<number>()
  readonly unsafeRelations = new Map<number, string>()
  everything: string | null = null
  readonly #rows: CatalogRows
  readonly #functionNames = new Map<number, string>()
  readonly #typeNames = new Map<number, string>()
  readonly #relationNames = new Map<number, string>()
  readonly #unsafeWords = new Map<string, string>()
  /** Unsafe names that are no plain words (`my table`, `<+++>`): searched in the source. */
  readonly #unsafeTexts = new Map<string, string>()
  readonly #trees: readonly { relation: number; source: string; tree: TreeReferences }[]
  readonly #expressions: readonly { relation: number; source: string; tree: TreeReferences }[]
  readonly #unsafeClasses = new Map<number, string>()
  readonly #checks: readonly { type: number; tree: TreeReferences }[]
  #grown = false

  constructor(rows: CatalogRows) {
    this.#rows = rows
    this.functions = rows.functions.map(functionFacts)
    for (const fn of this.functions) this.#functionNames.set(fn.oid, fn.name)
    for (const row of rows.types) this.#typeNames.set(integer(row, 'oid'), text(row, 'name'))
    for (const row of rows.relations) {
      this.#relationNames.set(integer(row, 'oid'), text(row, 'name'))
    }
    this.#trees = rows.trees.map((row) => ({
      relation: integer(row, 'relation'),
      source: text(row, 'source'),
      tree: parseTree(row),
    }))
    const declared = new Set<number>()
    for (const fn of this.functions) if (fn.volatility === 'v') declared.add(fn.oid)
    this.#expressions = rows.expressions
      .filter((row) => !isOfWritesOnly(row))
      .map((row) => {
        const tree = parseTree(row)
        const functions = tree.functions.filter((oid) => !declared.has(oid))
        return {
          relation: integer(row, 'relation'),
          source: text(row, 'source'),
          tree: { ...tree, functions },
        }
      })
    this.#checks = rows.types
      .filter((row) => text(row, 'checks') !== '')
      .map((row) => ({ type: integer(row, 'oid'), tree: parseChecks(row) }))
    this.#seed()
    do {
      this.#grown = false
      this.#step()
    } while (this.#grown)
  }

  #seed(): void {
    const internals = new Set<string>()
    for (const fn of this.functions) {
      const why = seedReason(fn)
      if (why === null) continue
      this.#function(fn.oid, why)
      if (fn.builtIn && text(fn.row, 'language') === 'internal') internals.add(fn.source)
    }
    for (const fn of this.functions) {
      // LANGUAGE internal AS 'nextval_oid' is nextval under another name.
      const alias = !fn.builtIn && text(fn.row, 'language') === 'internal'
      if (alias && internals.has(fn.source)) this.#function(fn.oid, 'is an alias of a built-in')
    }
    for (const row of this.#rows.relations) {
      const why = relationReason(text(row, 'kind'), text(row, 'persistence'))
      if (why !== null) this.#relation(integer(row, 'oid'), why)
    }
    for (const { relation, tree } of this.#trees) {
      if (tree.locksRows) this.#relation(relation, 'locks rows')
    }
  }

  /** One round over every rule; rounds go on until nothing is added. */
  #step(): void {
    this.#aggregates()
    this.#userFunctions()
    this.#types()
    this.#casts()
    this.#operators()
    this.#operatorClasses()
    this.#relations()
    this.#evaluated()
  }

  /** Sorting, hashing and indexes call the functions of a type's operator classes unseen. */
  #operatorClasses(): void {
    for (const row of this.#rows.operatorClasses) {
      const fn = oids(row, 'functions').find((oid) => this.unsafeFunctions.has(oid))
      if (fn === undefined) continue
      const oid = integer(row, 'oid')
      const type = integer(row, 'type')
      const why = `is compared by ${this.#fn(fn)}`
      if (!this.#unsafeClasses.has(oid)) this.#grown = true
      this.#unsafeClasses.set(oid, why)
      if (type >= FIRST_USER_OID) this.#addType(type, why)
      // Nobody names the class of a type that has no other; its operators need not be named, either.
      else if (flag(row, 'default') || text(row, 'operators') !== '') {
        this.#all(`the type ${this.#type(type)} ${why}`)
      }
    }
    for (const row of this.#rows.classUses) {
      const why = this.#unsafeClasses.get(integer(row, 'class'))
      if (why === undefined) continue
      const relation = integer(row, 'relation')
      if (relation === 0) this.#addType(integer(row, 'type'), why)
      else this.#relation(relation, `has an index or key that ${why}`)
    }
  }

  /**
   * A planner evaluates what is declared IMMUTABLE and has constant arguments: in checks of the
   * relation and its children, in expressions and predicates of indexes, in statistics.
   */
  #evaluated(): void {
    for (const { relation, source, tree } of this.#expressions) {
      const why = this.#treeReason(tree)
      if (why !== null) this.#relation(relation, `has a ${source} that ${why}`)
    }
  }

  #aggregates(): void {
    for (const row of this.#rows.aggregates) {
      const bad = oids(row, 'parts').find((oid) => this.unsafeFunctions.has(oid))
      if (bad !== undefined) this.#function(integer(row, 'oid'), `calls ${this.#fn(bad)}`)
    }
  }

  #userFunctions(): void {
    const fills = this.unsafeTypes.size > 0
    for (const fn of this.functions) {
      if (this.unsafeFunctions.has(fn.oid)) continue
      if (fills && FILLS_RECORDS.has(fn.name)) {
        this.#function(fn.oid, 'may fill values of a type with unsafe checks or casts')
      }
      if (fn.builtIn) continue
      const support = integer(fn.row, 'support')
      if (support >= FIRST_USER_OID && this.unsafeFunctions.has(support)) {
        this.#function(fn.oid, `is planned by ${this.#fn(support)}`)
      }
      const type = fn.types.find((oid) => this.unsafeTypes.has(oid))
      if (type !== undefined) this.#function(fn.oid, `takes or returns ${this.#type(type)}`)
      const why = this.#treeReason(fn.tree) ?? this.#sourceReason(fn)
      if (why !== null) this.#function(fn.oid, why)
    }
  }

  #sourceReason(fn: FunctionFacts): string | null {
    for (const word of fn.words) {
      const why = this.#unsafeWords.get(word)
      if (why !== undefined && word !== fn.name) return why
    }
    if (fn.source === '') return null
    for (const [name, why] of this.#unsafeTexts) if (fn.source.includes(name)) return why
    return null
  }

  #treeReason(tree: TreeReferences): string | null {
    const fn = tree.functions.find((oid) => this.unsafeFunctions.has(oid))
    if (fn !== undefined) return `calls ${this.#fn(fn)}`
    const operator = tree.operators.find((oid) => this.unsafeOperators.has(oid))
    if (operator !== undefined) return 'uses an unsafe operator'
    const type = tree.types.find((oid) => this.unsafeTypes.has(oid))
    if (type !== undefined) return `converts to ${this.#type(type)}`
    const relation = tree.relations.find((oid) => this.unsafeRelations.has(oid))
    if (relation !== undefined) return `reads ${this.#relationNames.get(relation)}`
    if (tree.fillsTable && this.unsafeTypes.size > 0) return 'may convert to an unsafe type'
    return null
  }

  #types(): void {
    for (const { type, tree } of this.#checks) {
      const why = this.#treeReason(tree)
      if (why !== null) this.#addType(type, `has a check that ${why}`)
    }
    for (const row of this.#rows.types) {
      const oid = integer(row, 'oid')
      // array_in and its like are unsafe to call, not to be used by every array.
      const fn = oids(row, 'functions').find(
        (id) => id >= FIRST_USER_OID && this.unsafeFunctions.has(id),
      )
      if (fn !== undefined && oid >= FIRST_USER_OID) this.#addType(oid, `calls ${this.#fn(fn)}`)
      const parts = [integer(row, 'base'), integer(row, 'subtype')]
      // typelem of point or name is no element of an array; only user types matter here.
      if (oid >= FIRST_USER_OID) parts.push(integer(row, 'element'))
      const part = parts.find((id) => this.unsafeTypes.has(id))
      if (part !== undefined) this.#addType(oid, `is made of ${this.#type(part)}`)
      if (this.unsafeTypes.has(oid)) {
        this.#addType(integer(row, 'array'), `is made of ${text(row, 'name')}`)
        this.#addType(integer(row, 'multirange'), `is made of ${text(row, 'name')}`)
      }
      const relation = this.unsafeRows.get(integer(row, 'relation'))
      if (relation !== undefined) this.#addType(oid, relation)
    }
  }

  /** Relations and composite types with a column of an unsafe type → why. */
  readonly unsafeRows = new Map<number, string>()

  #casts(): void {
    for (const row of this.#rows.casts) {
      const fn = integer(row, 'function')
      if (!this.unsafeFunctions.has(fn)) continue
      const source = integer(row, 'source')
      const target = integer(row, 'target')
      const why = `is converted by ${this.#fn(fn)}`
      for (const type of [source, target]) if (type >= FIRST_USER_OID) this.#addType(type, why)
      if (source >= FIRST_USER_OID || target >= FIRST_USER_OID) continue
      if (text(row, 'context') === 'e') this.#addType(target, why)
      else this.#all(`the cast from ${this.#type(source)} to ${this.#type(target)} ${why}`)
    }
  }

  #operators(): void {
    for (const row of this.#rows.operators) {
      const oid = integer(row, 'oid')
      const fn = integer(row, 'function')
      const sides = [integer(row, 'left_type'), integer(row, 'right_type')]
      const name = text(row, 'name')
      const estimators = oids(row, 'estimators').filter((id) => id >= FIRST_USER_OID)
      const unsafe = [fn, ...estimators].some((id) => this.unsafeFunctions.has(id))
      const users = sides.filter((id) => id >= FIRST_USER_OID)
      if (unsafe && IMPLICIT_OPERATORS.has(name)) {
        // IN, BETWEEN, LIKE … use it without its name: whatever has the type is unsafe then.
        for (const user of users) this.#addType(user, `is compared by ${this.#fn(fn)}`)
        if (users.length === 0) this.#all(`the operator ${name} calls ${this.#fn(fn)}`)
      }
      const type = sides.find((id) => this.unsafeTypes.has(id))
      if (!unsafe && type === undefined) continue
      const hidden = COMPARISONS.has(name) && sides.every((id) => this.#comparesAlone(id))
      if (hidden && users.length > 0) this.hiddenOperators.add(oid)
      const why = unsafe ? `calls ${this.#fn(fn)}` : `takes ${this.#type(type ?? 0)}`
      this.#operator(oid, name, why)
    }
  }

  /** Whether an untyped literal beside this type is compared as that type, or is of an unsafe one. */
  #comparesAlone(type: number): boolean {
    return this.unsafeTypes.has(type) || COMPARABLE_TYPES.has(this.#typeNames.get(type) ?? '')
  }

  #relations(): void {
    for (const { relation, source, tree } of this.#trees) {
      const why = this.#treeReason(tree)
      if (why === null) continue
      this.#relation(relation, source === 'view' ? why : `has a policy that ${why}`)
    }
    for (const row of this.#rows.columns) {
      const relation = integer(row, 'relation')
      const type = oids(row, 'types').find((oid) => this.unsafeTypes.has(oid))
      if (type === undefined || this.unsafeRows.has(relation)) continue
      const why = `has a column of type ${this.#type(type)}`
      this.unsafeRows.set(relation, why)
      this.#grown = true
      this.#relation(relation, why)
    }
    for (const row of this.#rows.inheritance) {
      const child = integer(row, 'child')
      if (!this.unsafeRelations.has(child)) continue
      this.#relation(integer(row, 'parent'), `has the child ${this.#relationNames.get(child)}`)
    }
  }

  #function(oid: number, why: string): void {
    if (this.unsafeFunctions.has(oid)) return
    this.unsafeFunctions.set(oid, why)
    this.#grown = true
    this.#word(this.#functionNames.get(oid) ?? '', (name) => `calls ${name}()`)
  }

  #addType(oid: number, why: string): void {
    if (oid === 0 || this.unsafeTypes.has(oid)) return
    this.unsafeTypes.set(oid, why)
    this.#grown = true
    this.#word(this.#typeNames.get(oid) ?? '', (name) => `names the type ${name}`)
  }

  #operator(oid: number, name: string, why: string): void {
    if (this.unsafeOperators.has(oid)) return
    this.unsafeOperators.set(oid, why)
    this.#grown = true
    if (!this.hiddenOperators.has(oid)) this.#unsafeTexts.set(name, `uses the operator ${name}`)
  }

  #relation(oid: number, why: string): void {
    if (this.unsafeRelations.has(oid) || !this.#relationNames.has(oid)) return
    this.unsafeRelations.set(oid, why)
    this.#grown = true
    this.#word(this.#relationNames.get(oid) ?? '', (name) => `reads ${name}`)
  }

  #all(why: string): void {
    if (this.everything !== null) return
    this.everything = why
    this.#grown = true
  }

  #word(name: string, why: (name: string) => string): void {
    if (/^[\p{L}_][\p{L}\p{N}_$]*$/u.test(name)) this.#unsafeWords.set(name, why(name))
    else if (name !== '') this.#unsafeTexts.set(name.replaceAll('"', '""'), why(name))
  }

  #fn(oid: number): string {
    return `${this.#functionNames.get(oid) ?? oid}()`
  }

  #type(oid: number): string {
    return this.#typeNames.get(oid) ?? String(oid)
  }
}

function relationReason(kind: string, persistence: string): string | null {
  if (kind === 'f') return 'is a foreign table'
  if (kind === 'S') return 'is a sequence, whose WAL runs ahead of it'
  return persistence === 'u' ? 'is unlogged' : null
}
