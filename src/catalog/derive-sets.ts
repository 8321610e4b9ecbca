/** Catalog rows → the sets of names that the classifier judges by. Pure. */
import { createHash } from 'node:crypto'
import type { CatalogSets, NameSet } from '../sql/catalog-sets.ts'
import { STANDBY_PARAMETERS } from '../sql/session-functions.ts'
import { FIRST_USER_OID } from './catalog-queries.ts'
import { type CatalogRows, flag, integer, text } from './catalog-rows.ts'
import { clockReaders } from './clock-readers.ts'
import { Closure } from './closure.ts'
import { customReaders } from './custom-readers.ts'
import { DECLARED_VOLATILE, type FunctionFacts } from './function-facts.ts'
import { PURE_STABLE, PURE_VOLATILE, READS_NODE, TYPE_SPELLINGS } from './function-lists.ts'
import { neutralSets } from './neutral-sets.ts'
import { arrayNameOf, noRelations, type Relations } from './relations.ts'

/** How many names a warning lists. */
const WARNING_NAMES = 5

export function deriveSets(
  rows: CatalogRows,
  closure = new Closure(rows),
  others = noRelations,
): CatalogSets {
  const steps = deriveInSteps(rows, closure, others)
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/**
 * The same with a pause behind each piece of the work. `others`: of all relations, also those that
 * aren't among the rows, of which nothing but the names counts.
 */
export function* deriveInSteps(
  rows: CatalogRows,
  closure: Closure,
  others: Relations,
): Generator<undefined, CatalogSets> {
  const neutral = neutralSets(rows, closure)
  yield
  const readers = customReaders(rows, closure.functions)
  yield
  const ofClock = clockReaders(rows, closure.functions)
  yield
  const unsafeFunctions = byName(closure.functions, closure.unsafeFunctions)
  const functions = new Set<string>()
  const impure = new Set<string>()
  for (const fn of closure.functions) {
    if (!unsafeFunctions.has(fn.name)) functions.add(fn.name)
    if (!isPure(fn)) impure.add(fn.name)
  }
  const types = new Set<string>()
  const userTypes = new Set<string>()
  const unsafeTypes = new Map<string, string>()
  for (const row of rows.types) {
    const why = closure.unsafeTypes.get(integer(row, 'oid'))
    for (const name of spellings(text(row, 'name'))) {
      types.add(name)
      if (integer(row, 'oid') >= FIRST_USER_OID) userTypes.add(name)
      if (why !== undefined) unsafeTypes.set(name, why)
    }
  }
  const relations = new Set<string>()
  const unsafeRelations = new Map<string, string>()
  for (const row of rows.relations) {
    // A composite type is no relation that could be read.
    if (text(row, 'kind') === 'c') continue
    const why = closure.unsafeRelations.get(integer(row, 'oid'))
    relations.add(text(row, 'name'))
    if (why !== undefined) unsafeRelations.set(text(row, 'name'), why)
  }
  for (const name of unsafeRelations.keys()) relations.delete(name)
  const unsafeOperators = new Map<string, string>()
  for (const row of rows.operators) {
    const oid = integer(row, 'oid')
    const why = closure.hiddenOperators.has(oid) ? undefined : closure.unsafeOperators.get(oid)
    if (why !== undefined) unsafeOperators.set(text(row, 'name'), why)
  }
  const parameters = rows.nodeParameters.map((row) => text(row, 'name'))
  const volatile = declaredVolatile(closure)
  const sets = {
    serverVersion: rows.serverVersion,
    functions,
    pureFunctions: new Set([...functions].filter((name) => !impure.has(name))),
    unsafeFunctions,
    nodeFunctions: nodeFunctions(closure),
    attributeFunctions: attributeNames(closure),
    ...neutral,
    customReaders: readers,
    clockReaders: ofClock,
    unsafeOperators,
    types: new Names(types, others, (name) => others.hasType(name)),
    userTypes: new Names(userTypes, others, (name) => others.hasType(name, FIRST_USER_OID)),
    unsafeTypes,
    unsafeTypeOids: new Set(closure.unsafeTypes.keys()),
    relations: new Names(
      relations,
      others,
      (name) => others.hasRelation(name) && !unsafeRelations.has(name),
    ),
    unsafeRelations,
    nodeParameters: new Set([...parameters, ...STANDBY_PARAMETERS]),
    everything: closure.everything === null ? null : `${closure.everything}, unseen in the text`,
    declaredVolatile: new Set(volatile),
    warnings: warnings(closure, volatile),
  }
  yield
  return { digest: digestOf(sets), ...sets }
}

/** Names, with those of relations that are no rows. */
class Names implements NameSet {
  readonly #known: ReadonlySet<string>
  readonly #others: Relations
  readonly #isOther: (name: string) => boolean

  constructor(known: ReadonlySet<string>, others: Relations, isOther: (name: string) => boolean) {
    this.#known = known
    this.#others = others
    this.#isOther = isOther
  }

  has(name: string): boolean {
    return this.#known.has(name) || this.#isOther(name)
  }

  *[Symbol.iterator](): Generator<string> {
    const names = new Set(this.#known)
    for (const relation of this.#others) {
      for (const name of [relation.name, arrayNameOf(relation) ?? '']) {
        if (this.#isOther(name)) names.add(name)
      }
    }
    yield* names
  }

  /** Equal texts mean equal names. */
  toJSON(): string {
    return `${this.#others.version} ${[...this.#known].sort().join(' ')}`
  }
}

function byName(
  functions: readonly FunctionFacts[],
  unsafe: ReadonlyMap<number, string>,
): Map<string, string> {
  const names = new Map<string, string>()
  for (const fn of functions) {
    const why = unsafe.get(fn.oid)
    if (why !== undefined) names.set(fn.name, why)
  }
  return names
}

/** Whether the result depends on arguments, settings and the clock only. */
function isPure(fn: FunctionFacts): boolean {
  if (!fn.builtIn) return false
  if (fn.volatility === 'i') return true
  return fn.volatility === 's' ? PURE_STABLE.has(fn.name) : PURE_VOLATILE.has(fn.name)
}

/** Unsafe built-ins of which no overload does more than read. */
function nodeFunctions(closure: Closure): Set<string> {
  const names = new Set<string>()
  const others = new Set<string>()
  for (const fn of closure.functions) {
    if (!closure.unsafeFunctions.has(fn.oid)) continue
    const reads = fn.builtIn && (fn.volatility !== 'v' || READS_NODE.has(fn.name))
    if (reads) names.add(fn.name)
    else others.add(fn.name)
  }
  for (const name of others) names.delete(name)
  return names
}

/** Unsafe functions that `x.f` may call: those which one argument satisfies. */
function attributeNames(closure: Closure): Set<string> {
  const names = new Set<string>()
  for (const fn of closure.functions) {
    if (!closure.unsafeFunctions.has(fn.oid) || fn.kind === 'p') continue
    const args = integer(fn.row, 'args')
    const required = args - integer(fn.row, 'defaults')
    const variadic = flag(fn.row, 'variadic')
    if (args >= 1 && (required <= 1 || (variadic && required <= 2))) names.add(fn.name)
  }
  return names
}

function spellings(name: string): readonly string[] {
  return [name, ...(TYPE_SPELLINGS.get(name) ?? [])]
}

/** Functions of users that are against a read only by their declaration, which may be wrong. */
function declaredVolatile(closure: Closure): string[] {
  const volatile: string[] = []
  for (const fn of closure.functions) {
    const why = closure.unsafeFunctions.get(fn.oid)
    const callable = fn.kind === 'f' && text(fn.row, 'extension') === ''
    if (!fn.builtIn && callable && why === DECLARED_VOLATILE) volatile.push(fn.name)
  }
  return volatile
}

/** What keeps statements from the replicas although their author may not have meant it. */
function warnings(closure: Closure, volatile: readonly string[]): string[] {
  const found: string[] = []
  if (closure.everything !== null) {
    found.push(
      `no statement is read from a replica: ${closure.everything}; declare it STABLE or IMMUTABLE`,
    )
  }
  if (volatile.length > 0) {
    const shown = volatile.slice(0, WARNING_NAMES).join(', ')
    const more = volatile.length > WARNING_NAMES ? ', …' : ''
    found.push(
      `${volatile.length} functions are declared VOLATILE, so statements that call them go to the ` +
        `primary (${shown}${more}); declare STABLE or IMMUTABLE what only reads`,
    )
  }
  return found
}

function digestOf(sets: Readonly<Record<string, unknown>>): string {
  const hash = createHash('sha256')
  for (const key of Object.keys(sets).sort()) {
    const value = sets[key]
    const items: unknown =
      value instanceof Map
        ? [...value].sort(compare)
        : value instanceof Set
          ? [...value].sort()
          : value
    hash.update(`${key}=${JSON.stringify(items)};`)
  }
  return hash.digest('hex').slice(0, 32)
}

function compare(a: readonly [string, string], b: readonly [string, string]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0
}
