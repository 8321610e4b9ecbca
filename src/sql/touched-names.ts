/**
 * Which names a statement that changes the catalog can change the judgement of, by its text: the
 * object's own, and those that it is hung onto (a policy's table, a partition's parent). What
 * depends on them is not for a text to tell. Everything that isn't known here may touch anything.
 */
import type { TokenCursor } from './token-cursor.ts'
import {
  T_CLOSE,
  T_COMMA,
  T_DOT,
  T_OPEN,
  T_OPERATOR,
  T_UNICODE_NAME,
  type TokenList,
} from './tokens.ts'

/** Names without their schema; none: no class can change. `null`: what it touches isn't known. */
export type Touched = readonly string[] | null

const NOTHING: Touched = []

export function touchesAnything(touched: Touched): boolean {
  return touched === null || touched.length > 0
}

/** `one`: undefined before anything. */
export function joinTouched(one: Touched | undefined, other: Touched): Touched {
  if (one === undefined) return other
  if (one === null || other === null) return null
  return [...new Set([...one, ...other])]
}

/** Kinds of objects of whose changes no class of a read depends. */
const INDIFFERENT: ReadonlySet<string> = new Set([
  ...['role', 'user', 'group', 'database', 'tablespace', 'system'],
  ...['publication', 'subscription', 'server', 'large'],
])

/** Kinds whose own name, wherever it is used, shows that the object is. */
const NAMED: ReadonlySet<string> = new Set([
  ...['table', 'view', 'sequence', 'type', 'domain'],
  ...['function', 'procedure', 'routine', 'aggregate'],
])

/** Kinds that belong to the relation behind ON or TO. */
const HUNG: ReadonlySet<string> = new Set(['trigger', 'policy', 'rule'])

/** Words between CREATE, ALTER or DROP and the kind of object. */
const BEFORE_KIND: ReadonlySet<string> = new Set([
  ...['or', 'replace', 'global', 'local', 'temp', 'temporary', 'unlogged', 'unique', 'constraint'],
  ...['recursive', 'materialized', 'foreign'],
])

/** The names that CREATE, ALTER, DROP and their like touch. */
export function touchedNames({ tokens, i: from, to }: TokenCursor): Touched {
  for (let i = from; i < to; i++) if (tokens.kind(i) === T_UNICODE_NAME) return null
  const verb = tokens.keyword(from)
  switch (verb) {
    case 'grant':
    case 'revoke':
    case 'comment':
    case 'refresh':
      return NOTHING
    case 'create':
    case 'alter':
    case 'drop':
      return plain(new Naming(tokens, from, to, verb).touched())
    default:
      return null
  }
}

/** Of `SELECT … INTO`, whose INTO stands at `at`. */
export function touchedByInto(tokens: TokenList, at: number): Touched {
  let i = at + 1
  while (/^(unlogged|table|local|global)$/.test(tokens.keyword(i))) i++
  return plain([lastOf(tokens, i, tokens.length)])
}

/** Servers fold and compare other letters in their own ways. */
function plain(names: readonly (string | null)[] | null): Touched {
  if (names === null) return null
  const found: string[] = []
  for (const name of names) {
    if (name === null || name === '' || !/^[\0-\x7f]+$/.test(name)) return null
    if (!found.includes(name)) found.push(name)
  }
  return found
}

type Names = readonly (string | null)[] | null

class Naming {
  readonly #tokens: TokenList
  readonly #from: number
  readonly #to: number
  readonly #verb: string

  constructor(tokens: TokenList, from: number, to: number, verb: string) {
    this.#tokens = tokens
    this.#from = from
    this.#to = to
    this.#verb = verb
  }

  touched(): Names {
    const tokens = this.#tokens
    let i = this.#from + 1
    let isForeign = false
    while (i < this.#to && BEFORE_KIND.has(tokens.keyword(i))) {
      isForeign ||= tokens.keyword(i) === 'foreign'
      i++
    }
    const kind = tokens.keyword(i)
    // FOREIGN DATA WRAPPER, USER MAPPING: foreign tables are never read from a replica.
    if (isForeign && kind !== 'table') return kind === 'data' ? [] : null
    if (INDIFFERENT.has(kind)) return []
    if (this.#verb === 'drop' && this.#has('cascade')) return null
    if (kind === 'index') return this.#index(i)
    if (kind === 'operator') return this.#operator(i + 1)
    if (kind === 'statistics') return this.#verb === 'create' ? this.#behind('from') : []
    if (kind === 'schema') return this.#schema(i)
    if (HUNG.has(kind)) return this.#hung(i + 1)
    return NAMED.has(kind) ? this.#named(kind, i + 1) : null
  }

  /** CREATE of nothing but the schema itself. */
  #schema(kindAt: number): Names {
    return this.#verb === 'create' &&
      this.#to - kindAt <= 7 &&
      this.#find('create', kindAt) >= this.#to
      ? []
      : null
  }

  #named(kind: string, at: number): Names {
    const first = this.#afterIf(at)
    const names: (string | null)[] = this.#verb === 'drop' ? this.#list(first) : []
    const target = lastOf(this.#tokens, first, this.#to)
    if (this.#verb === 'drop') return names
    names.push(target)
    if (target === null) return null
    if (kind === 'type' || kind === 'domain') names.push(`_${target}`)
    if (this.#verb === 'alter') return this.#altered(names, first)
    if (kind === 'table') {
      names.push(...this.#sequencesOf(target), ...(this.#parents() ?? [null]))
    } else if (kind === 'type' && this.#has('range')) return null
    return names
  }

  /** RENAME TO, INHERIT, ATTACH PARTITION …: what stands behind has its part in it. */
  #altered(names: (string | null)[], first: number): Names {
    const tokens = this.#tokens
    // ALTER TABLE ALL IN TABLESPACE
    if (tokens.keyword(first) === 'all' && tokens.keyword(first + 1) === 'in') return null
    for (let i = first; i < this.#to; i++) {
      const word = tokens.keyword(i)
      const next = tokens.keyword(i + 1)
      if (word === 'rename' || word === 'of' || word === 'inherit') {
        const to = word === 'rename' ? this.#find('to', i) + 1 : i + 1
        names.push(lastOf(tokens, to, this.#to))
      } else if ((word === 'attach' || word === 'detach') && next === 'partition') {
        names.push(lastOf(tokens, i + 2, this.#to))
      }
    }
    return names
  }

  /** Sequences that CREATE TABLE makes for serial and identity columns. */
  #sequencesOf(table: string): string[] {
    const tokens = this.#tokens
    const names: string[] = []
    let makes = false
    for (let i = this.#from; i < this.#to; i++) {
      makes ||= /^(?:(?:small|big)?serial[248]?|identity)$/.test(tokens.word(i))
    }
    for (let i = this.#from; makes && i < this.#to; i++) {
      const isColumn = tokens.kind(i - 1) === T_OPEN || tokens.kind(i - 1) === T_COMMA
      if (isColumn && tokens.isName(i)) names.push(`${table}_${tokens.word(i)}_seq`)
    }
    return names
  }

  /** INHERITS (a, b), PARTITION OF a */
  #parents(): Names {
    const tokens = this.#tokens
    const names: (string | null)[] = []
    for (let i = this.#from; i < this.#to; i++) {
      const word = tokens.keyword(i)
      if (word === 'inherits' && tokens.kind(i + 1) === T_OPEN) names.push(...this.#list(i + 2))
      else if (word === 'of') names.push(lastOf(tokens, i + 1, this.#to))
    }
    return names
  }

  /** On columns alone an index is no more than a way to find rows. */
  #index(kindAt: number): Names {
    if (this.#verb !== 'create') return []
    const on = this.#find('on', kindAt)
    const tokens = this.#tokens
    const table = lastOf(tokens, tokens.keyword(on + 1) === 'only' ? on + 2 : on + 1, this.#to)
    let i = on
    while (i < this.#to && tokens.kind(i) !== T_OPEN) i++
    for (i++; i < this.#to; i++) {
      if (!tokens.isName(i)) return [table]
      i++
      while (/^(asc|desc|nulls|first|last)$/.test(tokens.keyword(i))) i++
      if (tokens.kind(i) === T_CLOSE) return i === this.#to - 1 ? [] : [table]
      if (tokens.kind(i) !== T_COMMA) return [table]
    }
    return [table]
  }

  /** Operator classes and families decide what is run unseen. */
  #operator(at: number): Names {
    const tokens = this.#tokens
    if (/^(class|family)$/.test(tokens.keyword(at))) return null
    let i = this.#afterIf(at)
    while (tokens.isName(i) && tokens.kind(i + 1) === T_DOT) i += 2
    return tokens.kind(i) === T_OPERATOR && i < this.#to ? [tokens.word(i)] : null
  }

  /** CREATE TRIGGER x … ON t, CREATE RULE x AS ON SELECT TO t */
  #hung(at: number): Names {
    const first = this.#afterIf(at)
    const isRule = this.#tokens.keyword(at - 1) === 'rule' && this.#verb === 'create'
    return this.#behind(isRule ? 'to' : 'on', first + 1)
  }

  #behind(word: string, from = this.#from): Names {
    const at = this.#find(word, from)
    return [lastOf(this.#tokens, at + 1, this.#to)]
  }

  /** Skips IF [NOT] EXISTS, CONCURRENTLY, ONLY. */
  #afterIf(at: number): number {
    let i = at
    while (/^(if|not|exists|concurrently|only)$/.test(this.#tokens.keyword(i))) i++
    return i
  }

  /** Names of a list, at its own level of parentheses. */
  #list(first: number): (string | null)[] {
    const tokens = this.#tokens
    const names: (string | null)[] = [lastOf(tokens, first, this.#to)]
    let depth = 0
    for (let i = first; i < this.#to && depth >= 0; i++) {
      const kind = tokens.kind(i)
      if (kind === T_OPEN) depth++
      else if (kind === T_CLOSE) depth--
      else if (kind === T_COMMA && depth === 0) names.push(lastOf(tokens, i + 1, this.#to))
    }
    return names
  }

  #has(word: string): boolean {
    return this.#find(word, this.#from) < this.#to
  }

  #find(word: string, from: number): number {
    let i = from
    while (i < this.#to && this.#tokens.keyword(i) !== word) i++
    return i
  }
}

/** The last part of the (qualified) name at `i`, or null when none stands there. */
function lastOf(tokens: TokenList, i: number, to: number): string | null {
  let last = i
  while (tokens.isName(last) && tokens.kind(last + 1) === T_DOT && last + 2 < to) last += 2
  return last < to && tokens.isName(last) ? tokens.word(last) : null
}
