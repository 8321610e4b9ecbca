/**
 * What a piece of code may do to the session that runs it: the source of a function, the body of
 * DO, an expression, SQL that a function puts together. It's read by its tokens, and only what
 * can be told is told; anything else is an effect `unproved`. What it calls, reads and writes is
 * left as names: the catalog says what those do.
 */
import { builtInUse, OWN_NAMES } from './built-in-use.ts'
import { dynamicText } from './dynamic-text.ts'
import { tokenize } from './lexer.ts'
import { isPlaceholder } from './placeholder.ts'
import { isTemporarySchema } from './session-functions.ts'
import { addEffect } from './session-uses.ts'
import { readCommand } from './source-command.ts'
import type { Effect } from './statement-class.ts'
import { stringText, stringValue } from './token-cursor.ts'
import {
  T_DOT,
  T_OPEN,
  T_OPEN_BRACKET,
  T_OPERATOR,
  T_SEMICOLON,
  T_STRING,
  T_UNICODE_NAME,
  T_WORD,
  type TokenList,
} from './tokens.ts'

/** What is done to a relation. */
export type Verb = 'insert' | 'update' | 'delete' | 'truncate'

export const VERBS: readonly Verb[] = ['insert', 'update', 'delete', 'truncate']

/** `dynamic`: SQL with placeholders for names and literals, see `dynamic-text.ts`. */
export type SourceLanguage = 'plpgsql' | 'sql' | 'dynamic'

const MAX_TOKENS = 200_000
const MAX_DEPTH = 8

/** Words of PL/pgSQL behind which a statement begins. */
const BEFORE_STATEMENT: ReadonlySet<string> = new Set(['begin', 'then', 'else', 'loop'])

/** Words behind which a name can be no call although a parenthesis follows it. */
const BEFORE_COLUMNS: ReadonlySet<string> = new Set('exists into references table view'.split(' '))

/** Words behind which a name, qualified or not, is a relation's. */
const BEFORE_RELATION: ReadonlySet<string> = new Set(
  'call column exists from into index join lock materialized only references table truncate update view'.split(
    ' ',
  ),
)

/** Columns of pg_settings. */
const SETTING_COLUMNS = [
  ...['name', 'setting', 'unit', 'category', 'short_desc', 'extra_desc', 'context', 'vartype'],
  ...['source', 'min_val', 'max_val', 'enumvals', 'boot_val', 'reset_val', 'sourcefile'],
  ...['sourceline', 'pending_restart'],
]

export class SourceReader {
  readonly effects: Effect[] = []
  /** Why the session must be pinned for something that no effect stands for. */
  pin: string | null = null
  /** Every name in it: of relations, types, columns, variables. */
  readonly names = new Set<string>()
  /** Names of what is or may be called. */
  readonly called = new Set<string>()
  /** Those of them with a parenthesis behind them. */
  readonly invoked = new Set<string>()
  readonly operators = new Set<string>()
  readonly verbs = new Set<Verb>()
  /** Functions and operators that must be PostgreSQL's own for what was read. */
  readonly trusted = new Set<string>()
  /** It may use any relation and any type. */
  usesAny = false
  /** It runs DDL, which event triggers see. */
  runsDdl = false
  /** It creates or alters what outlives the session. */
  createsObjects = false
  #depth = 0
  /** It has an UPDATE, or a MERGE with one. */
  #updates = false
  /** A column whose name its source does not show. */
  #hasOpenColumn = false

  read(source: string, language: SourceLanguage): void {
    if (this.#depth >= MAX_DEPTH) {
      this.unproved('runs code within code too deeply', null)
      return
    }
    this.#depth++
    const bytes = Buffer.from(source)
    // Whether a backslash escapes depends on the session that runs it.
    const modes = source.includes('\\') ? [false, true] : [false]
    const lists = modes.map((backslash) => tokenize(bytes, 0, bytes.length, backslash, MAX_TOKENS))
    for (const tokens of lists) {
      if (typeof tokens !== 'string') this.#walk(tokens, language)
      // A text that one of the modes can't read fails there.
      else if (lists.length === 1 || tokens === 'too many tokens') {
        this.unproved('has a source that cannot be read', null)
      }
    }
    this.#depth--
  }

  add(effect: Effect): void {
    addEffect(this.effects, effect)
  }

  unproved(why: string, customs: readonly string[] | null): void {
    addEffect(this.effects, { kind: 'unproved', why, customs })
  }

  mustPin(reason: string): void {
    this.pin ??= reason
  }

  #walk(tokens: TokenList, language: SourceLanguage): void {
    let start = true
    let declares = false
    for (let i = 0; i < tokens.length; i++) {
      const kind = tokens.kind(i)
      if (kind === T_UNICODE_NAME) this.unproved('uses a U&"" name', null)
      if (kind === T_OPERATOR) this.operators.add(tokens.word(i))
      if (kind === T_WORD || tokens.isName(i)) this.#name(tokens, i, language)
      const word = tokens.kind(i - 1) === T_DOT ? '' : tokens.keyword(i)
      if (start && word === '' && language !== 'plpgsql' && kind !== T_OPEN) {
        if (kind !== T_SEMICOLON) this.unproved('runs what its source does not name', null)
      } else if (start && word !== '') {
        if (word === 'begin') declares = false
        else if (language === 'plpgsql' && word === 'declare') declares = true
        else if (!declares && !isAssignment(tokens, i, language)) {
          const isSure = !['then', 'else'].includes(tokens.keyword(i - 1))
          readCommand(this, tokens, i, endOf(tokens, i), language, isSure)
        }
      }
      if (word !== '') this.#keyword(tokens, i, word, language)
      if (word === 'begin') declares = false
      start =
        kind === T_SEMICOLON ||
        (kind === T_OPEN && start) ||
        (language === 'plpgsql' && (BEFORE_STATEMENT.has(word) || endsLabel(tokens, i)))
    }
  }

  #name(tokens: TokenList, i: number, language: SourceLanguage): void {
    const word = tokens.word(i)
    this.names.add(word)
    // Servers with a single-byte encoding fold É as well.
    for (let k = 0; k < word.length; k++) {
      if (word.charCodeAt(k) <= 0x7f) continue
      this.names.add(word.toLowerCase())
      this.called.add(word.toLowerCase())
      break
    }
    if (isTemporarySchema(word)) this.add({ kind: 'temp' })
    if (language === 'dynamic' && isPlaceholder(word)) {
      this.#placeholder(tokens, i)
      return
    }
    const behindDot = tokens.kind(i - 1) === T_DOT
    if (tokens.kind(i + 1) !== T_OPEN && !behindDot) {
      if (word === 'pg_prepared_statements') builtInUse(this, tokens, i, word)
      return
    }
    this.called.add(word)
    const isDefined = BEFORE_COLUMNS.has(tokens.keyword(i - 1))
    if (tokens.kind(i + 1) === T_OPEN && !isDefined) this.invoked.add(word)
    builtInUse(this, tokens, i, word)
  }

  /** A name that only its run shows: any relation, but nothing that is called. */
  #placeholder(tokens: TokenList, i: number): void {
    this.usesAny = true
    let first = i
    while (tokens.kind(first - 1) === T_DOT && tokens.isName(first - 2)) first -= 2
    const before = tokens.keyword(first - 1)
    if (!BEFORE_RELATION.has(before)) this.#hasOpenColumn = true
    const isDdl = tokens.keyword(0) === 'create' || tokens.keyword(0) === 'alter'
    const isRelation = BEFORE_RELATION.has(before) || (isDdl && before === 'on')
    const hasColumns = BEFORE_COLUMNS.has(before) || (isDdl && before === 'on')
    if (before === 'call' || (tokens.kind(i + 1) === T_OPEN && !hasColumns)) {
      this.unproved('calls a function whose name its source does not show', null)
    } else if (first < i && !isRelation) {
      this.unproved('uses a name behind a dot that its source does not show', null)
    }
    // quote_ident('temp') is temp: no keyword that isn't reserved is quoted.
    if (before === 'into' && !['insert', 'merge'].includes(tokens.keyword(first - 2))) {
      this.add({ kind: 'temp' })
    }
    if (['create', 'replace', 'global', 'local'].includes(before)) {
      this.unproved('creates what its source does not show', null)
    }
  }

  #keyword(tokens: TokenList, i: number, word: string, language: SourceLanguage): void {
    const before = tokens.keyword(i - 1)
    switch (word) {
      case 'insert':
      case 'delete':
      case 'truncate':
      case 'update':
        if (['for', 'key', 'on', 'before', 'after', 'of'].includes(before)) return
        this.verbs.add(word)
        if (word === 'update') this.#updates = true
        return
      case 'into':
        if (/^temp(orary)?$/.test(tokens.keyword(i + 1))) this.add({ kind: 'temp' })
        return
      case 'execute':
        if (language === 'plpgsql') this.#execute(tokens, i)
        return
      default:
    }
  }

  /** EXECUTE of PL/pgSQL, also behind IN, FOR and RETURN QUERY. */
  #execute(tokens: TokenList, i: number): void {
    const next = tokens.keyword(i + 1)
    if (next === 'function' || next === 'procedure' || next === 'on') return
    const text = dynamicText(tokens, i + 1, this.trusted)
    if (text !== null) {
      this.read(text, 'dynamic')
      // An UPDATE of pg_settings sets parameters.
      const sets = this.#hasOpenColumn || SETTING_COLUMNS.some((name) => this.names.has(name))
      if (this.usesAny && this.#updates && sets) {
        this.unproved('updates a relation that its source does not name', null)
      }
      return
    }
    this.add({ kind: 'dynamic' })
    this.unproved('runs SQL that its source does not show', null)
  }

  /** The body of DO at `i`: its string is PL/pgSQL unless it says otherwise. */
  readBlock(tokens: TokenList, from: number, to: number): void {
    let body: string | null = null
    let language = 'plpgsql'
    let isClear = true
    for (let i = from + 1; i < to; i++) {
      if (tokens.keyword(i) === 'language') {
        language = tokens.isName(i + 1) ? tokens.word(i + 1) : (stringValue(tokens, i + 1) ?? '')
        i++
      } else if (tokens.kind(i) === T_STRING && body === null) body = stringText(tokens, i)
      else isClear = false
    }
    const isShown = body !== null && !isPlaceholder(body)
    if (body === null || !isShown || !isClear || language !== 'plpgsql') {
      this.unproved('runs a DO block that cannot be read', null)
    } else this.read(body, 'plpgsql')
  }

  usesNames(): void {
    this.add({ kind: 'own-names' })
    this.mustPin(OWN_NAMES)
  }
}

function isAssignment(tokens: TokenList, i: number, language: SourceLanguage): boolean {
  if (language !== 'plpgsql') return false
  const next = tokens.kind(i + 1)
  if (next === T_DOT || next === T_OPEN_BRACKET) return true
  const text = next === 0 ? '' : tokens.source(i + 1, i + 2)
  return text === ':' || text === '=' || text === ':='
}

/** `<<label>>` ends at `i`. */
function endsLabel(tokens: TokenList, i: number): boolean {
  return tokens.word(i) === '>>' && tokens.word(i - 2) === '<<'
}

function endOf(tokens: TokenList, from: number): number {
  let i = from
  while (i < tokens.length && tokens.kind(i) !== T_SEMICOLON) i++
  return i
}
