/**
 * Byte tables of the SQL lexer (PostgreSQL's `scan.l`). Bytes from 0x80 up are identifier
 * characters there as well, so UTF-8 needs no decoding to find the tokens.
 */

/** What a byte begins when it stands at the start of a token. */
const BYTE_JUNK = 0
export const BYTE_SPACE = 1
export const BYTE_WORD = 2
export const BYTE_DIGIT = 3
export const BYTE_QUOTE = 4
export const BYTE_DOUBLE_QUOTE = 5
export const BYTE_DOLLAR = 6
export const BYTE_OPERATOR = 7
export const BYTE_SELF = 8
export const BYTE_DOT = 9

/** First byte of a token → one of the `BYTE_` classes. */
export const BYTE_CLASS: Uint8Array = buildClasses()

/** Byte → the byte folded to lower case if it may stand inside a word, otherwise 0. */
export const WORD_FOLD: Uint8Array = buildFold()

function buildClasses(): Uint8Array {
  const table = new Uint8Array(256).fill(BYTE_JUNK)
  // \v is white space from PostgreSQL 16 on and an error before.
  for (const c of ' \t\n\r\f\v') table[c.charCodeAt(0)] = BYTE_SPACE
  for (let c = 0; c < 256; c++) {
    if (isLetter(c)) table[c] = BYTE_WORD
    if (c >= 0x30 && c <= 0x39) table[c] = BYTE_DIGIT
  }
  for (const c of '~!@#^&|`?+-*/%<>=') table[c.charCodeAt(0)] = BYTE_OPERATOR
  for (const c of ',()[];:') table[c.charCodeAt(0)] = BYTE_SELF
  table[0x27] = BYTE_QUOTE
  table[0x22] = BYTE_DOUBLE_QUOTE
  table[0x24] = BYTE_DOLLAR
  table[0x2e] = BYTE_DOT
  return table
}

function buildFold(): Uint8Array {
  const table = new Uint8Array(256)
  for (let c = 0; c < 256; c++) {
    const inside = isLetter(c) || (c >= 0x30 && c <= 0x39) || c === 0x24
    if (inside) table[c] = c >= 0x41 && c <= 0x5a ? c + 32 : c
  }
  return table
}

function isLetter(c: number): boolean {
  return (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a) || c === 0x5f || c >= 0x80
}
