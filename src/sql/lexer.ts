/**
 * Text → tokens, by the rules of PostgreSQL's `scan.l`. Used on a cache miss; the fingerprint
 * walks the same bytes with the same scanners. Never throws, linear in the text's length.
 */
import {
  BYTE_CLASS,
  BYTE_DIGIT,
  BYTE_DOLLAR,
  BYTE_DOT,
  BYTE_DOUBLE_QUOTE,
  BYTE_OPERATOR,
  BYTE_QUOTE,
  BYTE_SELF,
  BYTE_SPACE,
  BYTE_WORD,
  WORD_FOLD,
} from './byte-class.ts'
import { isHintComment } from './hints.ts'
import {
  isDigit,
  operatorEnd,
  scanBlockComment,
  scanDollarQuote,
  scanLineComment,
  scanNumber,
  scanOperatorRun,
  scanQuotedName,
  scanString,
} from './scan.ts'
import {
  decodeName,
  decodeQuotedName,
  T_CAST,
  T_CLOSE,
  T_CLOSE_BRACKET,
  T_COLON,
  T_COMMA,
  T_DOT,
  T_JUNK,
  T_NUMBER,
  T_OPEN,
  T_OPEN_BRACKET,
  T_OPERATOR,
  T_PARAM,
  T_QUOTED,
  T_SEMICOLON,
  T_STRING,
  T_UNICODE_NAME,
  T_WORD,
  TokenList,
} from './tokens.ts'

/**
 * How a session's text is to be read. `standard`: UTF-8, standard_conforming_strings on.
 * `foreign-encoding`: another client_encoding whose multi-byte characters hold no ASCII byte
 * (LATIN1, EUC_JP …): names that aren't ASCII can't be compared with the catalog's.
 * `unsafe-encoding`: SJIS, BIG5, GBK, UHC, GB18030, JOHAB, SHIFT_JIS_2004: a second byte may be a
 * backslash. `escape`: standard_conforming_strings off. Reads of the last two go to the primary.
 */
export type LexMode = 'standard' | 'foreign-encoding' | 'unsafe-encoding' | 'escape'

/** Why a text has no tokens. */
export type LexFailure = 'unterminated' | 'too many tokens'

const SELF_KIND: Record<string, number> = {
  ',': T_COMMA,
  '(': T_OPEN,
  ')': T_CLOSE,
  '[': T_OPEN_BRACKET,
  ']': T_CLOSE_BRACKET,
  ';': T_SEMICOLON,
  ':': T_COLON,
}

/**
 * The tokens of `text[start, end)`; `backslash` when standard_conforming_strings is off. Fails
 * beyond `maxTokens`, which bounds the memory that a hostile text can take.
 */
export function tokenize(
  text: Uint8Array,
  start: number,
  end: number,
  backslash: boolean,
  maxTokens = Number.POSITIVE_INFINITY,
): TokenList | LexFailure {
  const list = new TokenList(text, start)
  let p = start
  while (p < end) {
    if (list.length >= maxTokens) return 'too many tokens'
    const next = oneToken(list, text, p, end, backslash)
    if (next < 0) return 'unterminated'
    p = next
  }
  return list
}

function oneToken(
  list: TokenList,
  text: Uint8Array,
  p: number,
  end: number,
  backslash: boolean,
): number {
  const c = text[p] as number
  const next = p + 1 < end ? (text[p + 1] as number) : 0
  switch (BYTE_CLASS[c]) {
    case BYTE_SPACE:
      return p + 1
    case BYTE_WORD:
      return wordToken(list, text, p, end, backslash)
    case BYTE_DIGIT:
      return put(list, T_NUMBER, p, scanNumber(text, p, end))
    case BYTE_QUOTE:
      return put(list, T_STRING, p, scanString(text, p + 1, end, backslash))
    case BYTE_DOUBLE_QUOTE:
      return quotedName(list, text, p, end)
    case BYTE_DOLLAR:
      return dollarToken(list, text, p, end, next)
    case BYTE_DOT:
      if (isDigit(next)) return put(list, T_NUMBER, p, scanNumber(text, p, end))
      return put(list, T_DOT, p, p + 1)
    case BYTE_OPERATOR:
      if (c === 0x2d && next === 0x2d) return comment(list, p, scanLineComment(text, p + 2, end))
      if (c === 0x2f && next === 0x2a) return comment(list, p, scanBlockComment(text, p + 2, end))
      return operatorToken(list, text, p, end)
    case BYTE_SELF:
      if (c === 0x3a && next === 0x3a) return put(list, T_CAST, p, p + 2)
      return put(list, SELF_KIND[String.fromCharCode(c)] ?? T_JUNK, p, p + 1)
    default:
      return put(list, T_JUNK, p, p + 1)
  }
}

function put(list: TokenList, kind: number, start: number, end: number): number {
  if (end >= 0) list.push(kind, start, end, '')
  return end
}

/** A comment is no token; the first one that addresses pgsplit before any token is remembered. */
function comment(list: TokenList, start: number, end: number): number {
  if (end >= 0 && list.length === 0 && list.hintFrom < 0 && isHintComment(list.text, start, end)) {
    list.hintFrom = start
    list.hintTo = end
  }
  return end
}

function wordToken(
  list: TokenList,
  text: Uint8Array,
  p: number,
  end: number,
  backslash: boolean,
): number {
  let q = p + 1
  while (q < end && WORD_FOLD[text[q] as number] !== 0) q++
  if (q === p + 1 && q < end) {
    const prefixed = prefixedLiteral(list, text, p, q, end, backslash)
    if (prefixed !== 0) return prefixed
  }
  list.push(T_WORD, p, q, decodeName(text, p, q, true))
  return q
}

/** `E''`, `B''`, `X''`, `N''`, `U&''`, `U&""`: the new position, -1, or 0 when it is a plain word. */
function prefixedLiteral(
  list: TokenList,
  text: Uint8Array,
  p: number,
  q: number,
  end: number,
  backslash: boolean,
): number {
  const letter = (text[p] as number) | 0x20
  if (text[q] === 0x27) {
    if (letter === 0x65) return put(list, T_STRING, p, scanString(text, q + 1, end, true))
    if (letter === 0x62 || letter === 0x78) {
      return put(list, T_STRING, p, scanString(text, q + 1, end, false))
    }
    // N'…' is a keyword followed by a plain string, so it escapes as a plain string does.
    if (letter === 0x6e) return put(list, T_STRING, p, scanString(text, q + 1, end, backslash))
    return 0
  }
  if (letter !== 0x75 || text[q] !== 0x26 || q + 1 >= end) return 0
  if (text[q + 1] === 0x27) return put(list, T_STRING, p, scanString(text, q + 2, end, false))
  if (text[q + 1] === 0x22) return put(list, T_UNICODE_NAME, p, scanQuotedName(text, q + 2, end))
  return 0
}

function quotedName(list: TokenList, text: Uint8Array, p: number, end: number): number {
  const q = scanQuotedName(text, p + 1, end)
  if (q < 0) return q
  // `""` is an error ("zero-length delimited identifier").
  if (q === p + 2) list.push(T_JUNK, p, q, '')
  else list.push(T_QUOTED, p, q, decodeQuotedName(text, p, q))
  return q
}

function dollarToken(
  list: TokenList,
  text: Uint8Array,
  p: number,
  end: number,
  next: number,
): number {
  if (isDigit(next)) return put(list, T_PARAM, p, scanNumber(text, p + 1, end))
  const q = scanDollarQuote(text, p, end)
  return q === p ? put(list, T_JUNK, p, p + 1) : put(list, T_STRING, p, q)
}

function operatorToken(list: TokenList, text: Uint8Array, p: number, end: number): number {
  const runEnd = scanOperatorRun(text, p, end)
  const q = operatorEnd(text, p, runEnd)
  const name = latin1(text, p, q)
  list.push(T_OPERATOR, p, q, name === '!=' ? '<>' : name)
  for (let i = q; i < runEnd; i++) list.push(T_OPERATOR, i, i + 1, latin1(text, i, i + 1))
  return runEnd
}

function latin1(text: Uint8Array, from: number, to: number): string {
  // Names end at 63 bytes, operators too; a longer one is an error.
  const stop = Math.min(to, from + 64)
  let name = ''
  for (let i = from; i < stop; i++) name += String.fromCharCode(text[i] as number)
  return name
}
