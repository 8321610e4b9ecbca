/**
 * SQL that PL/pgSQL puts together and runs: constant text, with names and literals in it that are
 * quoted. What is quoted becomes a placeholder, and the text can be read as any other; what isn't
 * could hold anything, so there is no text.
 */
import { callArguments } from './built-in-use.ts'
import { tokenize } from './lexer.ts'
import { LITERAL_PLACEHOLDER, MARK, NAME_PLACEHOLDER } from './placeholder.ts'
import { stringText } from './token-cursor.ts'
import {
  T_CAST,
  T_CLOSE,
  T_OPEN,
  T_OPERATOR,
  T_QUOTED,
  T_SEMICOLON,
  T_STRING,
  type TokenList,
} from './tokens.ts'

/** Types whose text is a quoted name, or a number. */
const NAME_TYPES: ReadonlySet<string> = new Set(['regclass', 'regtype'])
const NUMBER_TYPES: ReadonlySet<string> = new Set([
  'int',
  'integer',
  'bigint',
  'smallint',
  'int4',
  'int8',
  'oid',
])

interface Pieces {
  text: string
  placeholders: number
  /** What is put in is no token of its own. */
  isBroken: boolean
  readonly trusted: Set<string>
}

/**
 * The text that the expression from token `from` on makes; null: it doesn't show it. Functions and
 * operators that must be PostgreSQL's own for that are put into `trusted`.
 */
export function dynamicText(tokens: TokenList, from: number, trusted: Set<string>): string | null {
  const pieces: Pieces = { text: '', placeholders: 0, isBroken: false, trusted }
  const end = expression(tokens, from, pieces)
  if (end < 0 || pieces.isBroken || !endsExpression(tokens, end)) return null
  return isIntact(pieces) ? pieces.text : null
}

function endsExpression(tokens: TokenList, i: number): boolean {
  const kind = tokens.kind(i)
  return kind === 0 || kind === T_SEMICOLON || ['into', 'using', 'loop'].includes(tokens.keyword(i))
}

/** Reads `a || b || …`; the position behind it, or -1. */
function expression(tokens: TokenList, from: number, pieces: Pieces): number {
  let i = piece(tokens, from, pieces)
  while (i > 0 && tokens.kind(i) === T_OPERATOR && tokens.word(i) === '||') {
    pieces.trusted.add('||')
    i = piece(tokens, i + 1, pieces)
  }
  return i
}

function piece(tokens: TokenList, i: number, pieces: Pieces): number {
  if (tokens.kind(i) === T_STRING) {
    const text = stringText(tokens, i)
    if (text === null || text.includes(MARK)) return -1
    append(pieces, text)
    return i + 1
  }
  if (tokens.kind(i) === T_OPEN) {
    const end = expression(tokens, i + 1, pieces)
    return end > 0 && tokens.kind(end) === T_CLOSE && tokens.kind(end + 1) !== T_CAST ? end + 1 : -1
  }
  const word = tokens.keyword(i)
  const args = word === '' ? null : callArguments(tokens, i + 1)
  if (args !== null && args.length > 0) {
    const end = (args.at(-1)?.[1] ?? 0) + 1
    if (tokens.kind(end) === T_CAST) return -1
    pieces.trusted.add(word)
    if (word === 'quote_ident') return place(pieces, NAME_PLACEHOLDER, end)
    if (word === 'quote_literal' || word === 'quote_nullable')
      return place(pieces, LITERAL_PLACEHOLDER, end)
    if (word === 'format') return formatted(tokens, args, pieces) ? end : -1
  }
  return cast(tokens, i, pieces)
}

/** `x::regclass`, `new.id::int`: the cast binds closer than `||`. */
function cast(tokens: TokenList, i: number, pieces: Pieces): number {
  const end = castEnd(tokens, i)
  if (end < 0) return -1
  return place(
    pieces,
    NAME_TYPES.has(tokens.keyword(end - 1)) ? NAME_PLACEHOLDER : LITERAL_PLACEHOLDER,
    end,
  )
}

/** Behind `name.name::type` of a type whose text is no other SQL; -1 for any other expression. */
function castEnd(tokens: TokenList, from: number): number {
  let i = from
  if (!tokens.isName(i)) return -1
  while (tokens.isName(i) && tokens.source(i + 1, i + 2) === '.') i += 2
  if (!tokens.isName(i) || tokens.kind(i + 1) !== T_CAST) return -1
  const type = tokens.keyword(i + 2)
  if (!NAME_TYPES.has(type) && !NUMBER_TYPES.has(type)) return -1
  return tokens.kind(i + 3) === T_CAST || tokens.kind(i + 3) === T_OPEN ? -1 : i + 3
}

/** `format('…', …)`: %I and %L are quoted, %s only fits what needs no quotes. */
function formatted(tokens: TokenList, args: [number, number][], pieces: Pieces): boolean {
  const [first, ...rest] = args
  if (first === undefined || first[1] - first[0] !== 1) return false
  const template = stringText(tokens, first[0])
  if (template === null || template.includes(MARK)) return false
  let at = 0
  let next = 0
  for (const match of template.matchAll(/%(?:(\d+)\$)?(?:-?\d+)?([sIL%]?)/g)) {
    append(pieces, template.slice(at, match.index))
    at = match.index + match[0].length
    const kind = match[2]
    if (match[1] !== undefined) next = Number(match[1]) - 1
    if (kind === '%' && match[0] === '%%') append(pieces, '%')
    else if (kind === 'I') place(pieces, NAME_PLACEHOLDER, 0)
    else if (kind === 'L') place(pieces, LITERAL_PLACEHOLDER, 0)
    else if (kind === 's') {
      const arg = rest[next]
      const end = arg === undefined ? -1 : castEnd(tokens, arg[0])
      if (arg === undefined || end !== arg[1]) return false
      place(
        pieces,
        NAME_TYPES.has(tokens.keyword(end - 1)) ? NAME_PLACEHOLDER : LITERAL_PLACEHOLDER,
        0,
      )
    } else return false
    if (kind !== '%') next++
  }
  append(pieces, template.slice(at))
  return true
}

function place(pieces: Pieces, placeholder: string, end: number): number {
  // What is put in must be tokens of its own: no `a` in front of it, no `-` of a comment.
  if (/[\p{L}\p{N}_$"'&\\-]$/u.test(pieces.text)) pieces.isBroken = true
  pieces.text += placeholder
  pieces.placeholders++
  return end
}

function append(pieces: Pieces, text: string): void {
  const isBehind =
    pieces.text.endsWith(NAME_PLACEHOLDER) || pieces.text.endsWith(LITERAL_PLACEHOLDER)
  if (isBehind && /^[\p{L}\p{N}_$"'(\\]/u.test(text) && !text.startsWith('('))
    pieces.isBroken = true
  pieces.text += text
}

/** Whether every placeholder is a token: none stands within a comment or quotes. */
function isIntact({ text, placeholders }: Pieces): boolean {
  const bytes = Buffer.from(text)
  for (const backslash of [false, true]) {
    const tokens = tokenize(bytes, 0, bytes.length, backslash)
    if (typeof tokens === 'string') return false
    let found = 0
    for (let i = 0; i < tokens.length; i++) {
      const isName = tokens.kind(i) === T_QUOTED && tokens.word(i) === MARK
      const isLiteral =
        tokens.kind(i) === T_STRING && tokens.source(i, i + 1) === LITERAL_PLACEHOLDER
      if (isName || isLiteral) found++
    }
    if (found !== placeholders) return false
    if (!text.includes('\\')) return true
  }
  return true
}
