/**
 * What may ask when its transaction began, also by what it runs: the closure of `neutral-closure.ts`,
 * asked another question, as in `custom-readers.ts`. `sql/clock-use.ts` says what asks. Only compiled
 * built-ins, functions in SQL, and compiled code that its extension calls IMMUTABLE or that is known,
 * are proved not to; everything else may.
 */

import { CLOCK_FUNCTIONS, CLOCK_TYPES, usesClock } from '../sql/clock-use.ts'
import { tokenize } from '../sql/lexer.ts'
import type { Effect } from '../sql/statement-class.ts'
import { FIRST_USER_OID } from './catalog-queries.ts'
import { type CatalogRows, integer, type TreeReferences, text } from './catalog-rows.ts'
import type { FunctionFacts } from './function-facts.ts'
import { TYPE_SPELLINGS } from './function-lists.ts'
import { type OwnUse, ownUse } from './function-use.ts'
import { NeutralClosure } from './neutral-closure.ts'
import { nodeOf } from './neutral-graph.ts'
import { NEUTRAL_EXTENSIONS } from './neutral-lists.ts'

/** Stands in the graph for: it may ask. */
const ASKS: Effect = {
  kind: 'unproved',
  why: 'may ask for the time of its transaction',
  customs: [],
}

const READER: OwnUse = { effects: [ASKS], pin: null, reader: null }
const NO_READER: OwnUse = { effects: [], pin: null, reader: null }

const MAX_TOKENS = 20_000

/** null: anything may, unseen in a text. */
export function clockReaders(
  rows: CatalogRows,
  functions: readonly FunctionFacts[],
): ReadonlySet<string> | null {
  const types = new ClockTypes(rows)
  const { graph, every } = new NeutralClosure(rows, functions, {
    ofFunction: (fn, aliases) => looks(fn, aliases, types),
    ofTree: (tree) => (types.areConvertedIn(tree) ? [ASKS] : []),
    ofType: (oid) => (types.isMadeOf(oid) ? [ASKS] : []),
  })
  if (every !== null) return null
  const names = new Set<string>()
  // Calls of built-ins are found where they stand: `age` is more often a column.
  for (const { oid, name, builtIn } of functions) {
    if (!builtIn && graph.use(nodeOf('function', oid)) !== null) names.add(name)
  }
  for (const row of rows.types) {
    if (graph.use(nodeOf('type', integer(row, 'oid'))) !== null) names.add(text(row, 'name'))
  }
  for (const row of rows.relations) {
    if (graph.use(nodeOf('read', integer(row, 'oid'))) !== null) names.add(text(row, 'name'))
  }
  for (const row of rows.operators) {
    if (graph.use(nodeOf('operator', integer(row, 'oid'))) !== null) names.add(text(row, 'name'))
  }
  return names
}

/** Does the function ask by itself? */
function looks(fn: FunctionFacts, aliases: ReadonlyMap<string, string>, types: ClockTypes): OwnUse {
  const { name, kind, builtIn, row, volatility } = fn
  if (kind === 'a') return NO_READER
  if (builtIn) return CLOCK_FUNCTIONS.has(name) ? READER : NO_READER
  const language = text(row, 'language')
  if (language === 'internal') {
    const same = aliases.get(fn.source)
    return same === undefined || CLOCK_FUNCTIONS.has(same) ? READER : NO_READER
  }
  if (language === 'c') {
    const extension = text(row, 'extension')
    const isKnown = NEUTRAL_EXTENSIONS.has(extension) || volatility === 'i'
    return extension !== '' && isKnown && !CLOCK_FUNCTIONS.has(name) ? NO_READER : READER
  }
  if (language !== 'sql' || types.areConvertedBy(fn.source)) return READER
  return { ...NO_READER, reader: ownUse(fn, aliases).reader }
}

/** The types of a database whose input may ask, and those of which it is known that it doesn't. */
class ClockTypes {
  readonly #plain = new Set<string>()
  readonly #clock = new Set<number>()

  constructor({ types }: CatalogRows) {
    const users = new Set<string>()
    for (const row of types) {
      const [oid, name] = [integer(row, 'oid'), text(row, 'name')]
      if (oid >= FIRST_USER_OID) users.add(name)
      else if (CLOCK_TYPES.has(name)) this.#clock.add(oid)
      else for (const one of [name, ...(TYPE_SPELLINGS.get(name) ?? [])]) this.#plain.add(one)
    }
    for (const name of [...users, ...CLOCK_TYPES]) this.#plain.delete(name)
    const parts = types.filter((row) => integer(row, 'oid') >= FIRST_USER_OID)
    // Domains of domains, arrays of those: a few rounds reach all.
    for (let size = -1; size !== this.#clock.size; ) {
      size = this.#clock.size
      for (const row of parts) {
        const of = ['base', 'subtype', 'element'].map((column) => integer(row, column))
        if (of.some((oid) => this.#clock.has(oid))) this.#clock.add(integer(row, 'oid'))
      }
    }
  }

  /** A type of a user's whose values are read as dates or times are. */
  isMadeOf(oid: number): boolean {
    return oid >= FIRST_USER_OID && this.#clock.has(oid)
  }

  areConvertedIn({ asksTime, converts, types }: TreeReferences): boolean {
    if (asksTime) return true
    return converts && types.some((oid) => oid >= FIRST_USER_OID || this.#clock.has(oid))
  }

  /** In the source of a function in SQL; one that can't be read may. */
  areConvertedBy(source: string): boolean {
    const bytes = Buffer.from(source)
    if (/\b(?:now|today|tomorrow|yesterday)\b/i.test(source) || source.includes('\\')) return true
    const tokens = tokenize(bytes, 0, bytes.length, false, MAX_TOKENS)
    if (typeof tokens === 'string') return true
    return usesClock(tokens, 0, tokens.length, (name) => this.#plain.has(name))
  }
}
