/** The rarer steps of the fingerprint: literals that are kept, prefixes, and leading keywords. */
import { BYTE_CLASS, BYTE_WORD, WORD_FOLD } from './byte-class.ts'
import { scanQuotedName, scanString } from './scan.ts'

export function hashBytes(
  seed: number,
  factor: number,
  mark: number,
  text: Uint8Array,
  from: number,
  to: number,
): number {
  let h = Math.imul(seed ^ mark, factor)
  for (let p = from; p < to; p++) h = Math.imul(h ^ (text[p] as number), factor)
  h = Math.imul(h ^ mark, factor)
  return h ^ (h >>> 15)
}

export function hashBytesPlus(
  seed: number,
  factor: number,
  mark: number,
  text: Uint8Array,
  from: number,
  to: number,
): number {
  let h = Math.imul(seed + mark, factor)
  for (let p = from; p < to; p++) h = Math.imul(h + (text[p] as number), factor)
  h = Math.imul(h + mark, factor)
  return h ^ (h >>> 13)
}

/** Whether a number may go on behind its first digits: `1.5`, `1e5`, `1_000`, `0x1F`. */
export function mayGoOn(c: number): boolean {
  return c === 0x2e || BYTE_CLASS[c] === BYTE_WORD
}

/** Whether the two bytes are one token: `::`, `:=`, `..` (operators are hashed by their runs). */
export function isPair(c: number, next: number): boolean {
  return c === 0x3a ? next === 0x3a || next === 0x3d : c === 0x2e && next === 0x2e
}

export function beginsComment(text: Uint8Array, p: number, end: number): boolean {
  if (p + 1 >= end) return false
  const c = text[p]
  const next = text[p + 1]
  return (c === 0x2d && next === 0x2d) || (c === 0x2f && next === 0x2a)
}

/** Whether a quote or `&` follows a one-letter word. */
export function isPrefix(text: Uint8Array, p: number, end: number): boolean {
  const c = text[p]
  return c === 0x27 || (c === 0x26 && p + 1 < end)
}

/** End of the prefixed literal that begins at `from`; 0 when it is a plain word, -1 unterminated. */
export function prefixedEnd(
  text: Uint8Array,
  from: number,
  end: number,
  backslash: boolean,
): number {
  const letter = (text[from] as number) | 0x20
  const next = text[from + 1]
  if (next === 0x27) {
    if (letter === 0x65) return scanString(text, from + 2, end, true)
    if (letter === 0x62 || letter === 0x78) return scanString(text, from + 2, end, false)
    if (letter === 0x6e) return scanString(text, from + 2, end, backslash)
    return 0
  }
  if (letter !== 0x75) return 0
  if (text[from + 2] === 0x27) return scanString(text, from + 3, end, false)
  if (text[from + 2] === 0x22) return scanQuotedName(text, from + 3, end)
  return 0
}

/**
 * The leading keywords whose class can't depend on a literal; an opening
 * parenthesis in front of them leads a query as well.
 */
export function isStrippable(text: Uint8Array, from: number, length: number): boolean {
  switch (length) {
    case 4:
      return isWord(text, from, 'with')
    case 5:
      return isWord(text, from, 'table') || isWord(text, from, 'merge')
    case 6:
      return (
        isWord(text, from, 'select') ||
        isWord(text, from, 'insert') ||
        isWord(text, from, 'update') ||
        isWord(text, from, 'delete') ||
        isWord(text, from, 'values')
      )
    default:
      return false
  }
}

/** Compares in lower case; `word` is ASCII and as long as the text's word. */
export function isWord(text: Uint8Array, from: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) {
    if (WORD_FOLD[text[from + i] as number] !== word.charCodeAt(i)) return false
  }
  return true
}
