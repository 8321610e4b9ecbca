/** What is known of one function before looking at what it calls. */
import { FIRST_USER_OID } from './catalog-queries.ts'
import {
  flag,
  integer,
  oids,
  parseTree,
  type Row,
  type TreeReferences,
  text,
} from './catalog-rows.ts'
import {
  HARMLESS_EXTENSION,
  HARMLESS_VOLATILE,
  READS_NODE,
  UNSAFE_WHATEVER_VOLATILITY,
  VETTED_STABLE,
} from './function-lists.ts'

/** Why a function must run on the primary that nothing but its declaration is against. */
export const DECLARED_VOLATILE = 'is declared VOLATILE'

export interface FunctionFacts {
  readonly oid: number
  readonly name: string
  readonly builtIn: boolean
  readonly volatility: string
  readonly kind: string
  readonly row: Row
  /** Argument and result types. */
  readonly types: readonly number[]
  readonly tree: TreeReferences
  /** Words of the source, as written and in lower case; empty for compiled functions. */
  readonly words: ReadonlySet<string>
  readonly source: string
}

const known = new WeakMap<Row, FunctionFacts>()

/** Reads a row of `functionsQuery`, once. */
export function functionFacts(row: Row): FunctionFacts {
  let facts = known.get(row)
  if (facts === undefined) {
    facts = factsIn(row)
    known.set(row, facts)
  }
  return facts
}

function factsIn(row: Row): FunctionFacts {
  const oid = integer(row, 'oid')
  const source = text(row, 'source')
  const builtIn = oid < FIRST_USER_OID
  const scanned = !builtIn && text(row, 'language') !== 'internal'
  return {
    oid,
    name: text(row, 'name'),
    builtIn,
    volatility: text(row, 'volatility'),
    kind: text(row, 'kind'),
    row,
    types: [integer(row, 'returns'), ...oids(row, 'takes')],
    tree: parseTree(row),
    words: scanned ? sourceWords(source) : NO_WORDS,
    source,
  }
}

const NO_WORDS: ReadonlySet<string> = new Set()

/** Words as written and in lower case: a quoted name keeps its case, any other is folded. */
function sourceWords(source: string): ReadonlySet<string> {
  const words = new Set<string>()
  for (const [word] of source.matchAll(/[\p{L}_][\p{L}\p{N}_$]*/gu)) {
    words.add(word)
    words.add(word.toLowerCase())
  }
  return words
}

/** Why a function is unsafe by itself, whatever it calls; null when nothing shows it. */
export function seedReason(fn: FunctionFacts): string | null {
  const { name, row } = fn
  const language = text(row, 'language')
  const listed = UNSAFE_WHATEVER_VOLATILITY.get(name)
  if (listed !== undefined) return listed
  if (fn.volatility === 'v') {
    const extension = HARMLESS_EXTENSION.get(text(row, 'extension'))
    const compiled = language === 'internal' || language === 'c'
    if (fn.builtIn && HARMLESS_VOLATILE.has(name) && compiled) return null
    if (fn.builtIn && READS_NODE.has(name)) return 'answers for the node that runs it'
    if (extension?.has(name) === true && compiled) return null
    return DECLARED_VOLATILE
  }
  if (fn.builtIn) {
    const own = name.startsWith('pg_stat_get_')
    const unknown = fn.volatility === 's' && name.startsWith('pg_') && !VETTED_STABLE.has(name)
    return own || unknown ? 'answers for the node that runs it' : null
  }
  if (flag(row, 'variadic') && language === 'internal') return null
  if (text(row, 'config').includes('transaction_')) return 'sets transaction parameters'
  const dynamic = fn.words.has('execute') || fn.source.includes('U&"') || fn.source.includes('u&"')
  return dynamic && language !== 'c' ? 'runs SQL that its source does not show' : null
}
