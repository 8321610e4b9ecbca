/**
 * What may look at a custom parameter (`app.tenant`): the closure of `neutral-closure.ts`, asked
 * another question. A session whose server connection may have one that nobody knows keeps that
 * connection, and what is in none of these sets gives the same on any other.
 *
 * Why that holds: PostgreSQL keeps a custom parameter as a placeholder (guc.c,
 * `add_placeholder_variable`) that its own code meets in few places only. `current_setting()`, SHOW
 * and `pg_settings_get_flags()` find it by its name, `set_config()` sets it; SHOW ALL, pg_settings
 * and EXPLAIN (SETTINGS) leave placeholders out (GUC_NO_SHOW_ALL, no GUC_EXPLAIN), and
 * `pg_get_functiondef()` asks for a flag that none has (GUC_LIST_QUOTE). So it is in 15 and in 18;
 * `test/integration/custom-readers.test.ts` asks every built-in of both. All else that can
 * tell is code that isn't PostgreSQL's: a library takes the placeholder's value for its own
 * parameter when it is loaded (`define_custom_variable`), so that any function, type, operator or
 * access method of an extension may depend on it, PL/pgSQL's handler (`plpgsql.check_asserts`) too.
 * Only compiled built-ins and functions in SQL are looked into here; everything else is a reader.
 */
import { callEffects } from '../sql/built-in-use.ts'
import type { Effect } from '../sql/statement-class.ts'
import { type CatalogRows, integer, text } from './catalog-rows.ts'
import type { FunctionFacts } from './function-facts.ts'
import { type OwnUse, ownUse } from './function-use.ts'
import { NeutralClosure } from './neutral-closure.ts'
import { nodeOf } from './neutral-graph.ts'

/** Built-ins that find a parameter by its name, or show all that there are. */
const BUILT_IN_READERS: ReadonlySet<string> = new Set([
  'current_setting',
  'pg_settings_get_flags',
  'pg_show_all_settings',
])

/** Stands in the graph for: it may look at one. */
const LOOKS: Effect = { kind: 'unproved', why: 'may look at a parameter', customs: [] }

const READER: OwnUse = { effects: [LOOKS], pin: null, reader: null }
const NO_READER: OwnUse = { effects: [], pin: null, reader: null }

export function customReaders(
  rows: CatalogRows,
  functions: readonly FunctionFacts[],
): ReadonlySet<string> | null {
  const { graph, every } = new NeutralClosure(rows, functions, { ofFunction: looks })
  if (every !== null) return null
  const names = new Set<string>(BUILT_IN_READERS)
  for (const { oid, name } of functions) {
    if (graph.use(nodeOf('function', oid)) !== null) names.add(name)
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

/** Does the function look at a custom parameter by itself? */
function looks(fn: FunctionFacts, aliases: ReadonlyMap<string, string>): OwnUse {
  const { name, kind, builtIn, row } = fn
  if (kind === 'a') return NO_READER
  if (builtIn) return mayLook(name) ? READER : NO_READER
  const language = text(row, 'language')
  if (language === 'internal') {
    const same = aliases.get(fn.source)
    return same === undefined || mayLook(same) ? READER : NO_READER
  }
  if (language !== 'sql') return READER
  const { effects, pin, reader } = ownUse(fn, aliases)
  const isReader = effects.length > 0 || pin !== null || namesReader(reader)
  return { effects: isReader ? [LOOKS] : [], pin: null, reader }
}

/** What sets parameters or runs SQL of its arguments may look at any. */
function mayLook(builtIn: string): boolean {
  return BUILT_IN_READERS.has(builtIn) || callEffects(builtIn)?.length !== 0
}

function namesReader(reader: OwnUse['reader']): boolean {
  return reader !== null && [...BUILT_IN_READERS].some((name) => reader.names.has(name))
}
