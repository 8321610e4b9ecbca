/**
 * The hard tokens of PostgreSQL's lexer, each a function from the position behind its opening to
 * the position behind its end, or -1 when the text ends first. Both the fingerprint and the
 * token list use them, so the two can't disagree on where a literal ends. All are linear.
 */
import { BYTE_CLASS, BYTE_OPERATOR, BYTE_SPACE, WORD_FOLD } from './byte-class.ts'

const QUOTE = 0x27
const BACKSLASH = 0x5c
const DASH = 0x2d
const SLASH = 0x2f
const STAR = 0x2a
const DOLLAR = 0x24
const LF = 0x0a
const CR = 0x0d

/** From here on a literal is searched with the engine's own memchr. */
const LONG_LITERAL = 48

/**
 * `'…'` from behind the opening quote. `backslash`: a backslash escapes (E'', or any string while
 * standard_conforming_strings is off). A string that goes on after white space with a newline in
 * it keeps its mode; `--` comments may stand between the parts (scan.l, "quotecontinue").
 */
export function scanString(buf: Uint8Array, from: number, end: number, backslash: boolean): number {
  let p = from
  for (;;) {
    const close = backslash ? closeEscaped(buf, p, end) : closePlain(buf, p, end, QUOTE)
    if (close < 0) return -1
    const more = continuation(buf, close, end)
    if (more < 0) return close
    p = more
  }
}

/** `"…"` from behind the opening quote. */
export function scanQuotedName(buf: Uint8Array, from: number, end: number): number {
  return closePlain(buf, from, end, 0x22)
}

/** `''` inside means one quote; returns the position behind the closing quote. */
function closePlain(buf: Uint8Array, from: number, end: number, quote: number): number {
  let p = from
  let near = Math.min(end, from + LONG_LITERAL)
  for (;;) {
    while (p < near && buf[p] !== quote) p++
    if (p >= near) {
      if (p >= end) return -1
      p = buf.indexOf(quote, p)
      if (p < 0 || p >= end) return -1
    }
    if (p + 1 < end && buf[p + 1] === quote) {
      p += 2
      near = Math.min(end, p + LONG_LITERAL)
      continue
    }
    return p + 1
  }
}

function closeEscaped(buf: Uint8Array, from: number, end: number): number {
  let p = from
  while (p < end) {
    const c = buf[p]
    if (c === BACKSLASH) {
      p += 2
    } else if (c === QUOTE) {
      if (p + 1 >= end || buf[p + 1] !== QUOTE) return p + 1
      p += 2
    } else {
      p++
    }
  }
  return -1
}

/** The position behind the quote that reopens the string, or -1 when it ended. */
function continuation(buf: Uint8Array, from: number, end: number): number {
  let p = from
  let newline = false
  while (p < end) {
    const c = buf[p] as number
    if (c === LF || c === CR) {
      newline = true
      p++
    } else if (BYTE_CLASS[c] === BYTE_SPACE) {
      p++
    } else if (c === DASH && p + 1 < end && buf[p + 1] === DASH) {
      p = scanLineComment(buf, p + 2, end)
    } else {
      return c === QUOTE && newline ? p + 1 : -1
    }
  }
  return -1
}

/** `-- …` from behind the dashes to the line's end (LF or CR, scan.l "non_newline"). */
export function scanLineComment(buf: Uint8Array, from: number, end: number): number {
  let p = from
  while (p < end && buf[p] !== LF && buf[p] !== CR) p++
  return p
}

/** `/* … *​/` from behind the opening; comments nest. */
export function scanBlockComment(buf: Uint8Array, from: number, end: number): number {
  let p = from
  let depth = 1
  while (p + 1 < end) {
    const c = buf[p]
    if (c === STAR && buf[p + 1] === SLASH) {
      p += 2
      depth--
      if (depth === 0) return p
    } else if (c === SLASH && buf[p + 1] === STAR) {
      p += 2
      depth++
    } else {
      p++
    }
  }
  return -1
}

/**
 * `$tag$ … $tag$` from its first dollar sign. Returns the position behind it, -1 when it isn't
 * closed, and `from` itself when no dollar quote begins here.
 */
export function scanDollarQuote(buf: Uint8Array, from: number, end: number): number {
  const body = dollarTagEnd(buf, from, end)
  if (body < 0) return from
  const length = body - from
  let p = body
  for (;;) {
    p = buf.indexOf(DOLLAR, p)
    if (p < 0 || p + length > end) return -1
    let same = 1
    while (same < length && buf[p + same] === buf[from + same]) same++
    if (same === length) return p + length
    p += same
  }
}

/** The position behind `$tag$`, or -1; a tag is a name without `$` that starts with no digit. */
function dollarTagEnd(buf: Uint8Array, from: number, end: number): number {
  let p = from + 1
  if (p < end && isDigit(buf[p])) return -1
  while (p < end && buf[p] !== DOLLAR && WORD_FOLD[buf[p] as number] !== 0) p++
  return p < end && buf[p] === DOLLAR ? p + 1 : -1
}

/** A number from its first digit or its dot; `0x`, `0o`, `0b` and `_` as from PostgreSQL 16. */
export function scanNumber(buf: Uint8Array, from: number, end: number): number {
  let p = from
  if (buf[p] === 0x30 && p + 2 < end) {
    const radix = (buf[p + 1] as number) | 0x20
    if (radix === 0x78 || radix === 0x6f || radix === 0x62) {
      const digits = scanRadixDigits(buf, p + 2, end, radix)
      if (digits > p + 2) return digits
    }
  }
  p = scanDigits(buf, p, end)
  if (p < end && buf[p] === 0x2e) p = scanDigits(buf, p + 1, end)
  if (p < end && ((buf[p] as number) | 0x20) === 0x65) {
    let q = p + 1
    if (q < end && (buf[q] === 0x2b || buf[q] === DASH)) q++
    if (q < end && isDigit(buf[q])) p = scanDigits(buf, q, end)
  }
  return p
}

function scanDigits(buf: Uint8Array, from: number, end: number): number {
  let p = from
  while (p < end) {
    if (isDigit(buf[p])) p++
    else if (buf[p] === 0x5f && p > from && p + 1 < end && isDigit(buf[p + 1])) p += 2
    else break
  }
  return p
}

function scanRadixDigits(buf: Uint8Array, from: number, end: number, radix: number): number {
  let p = from
  while (p < end) {
    const c = buf[p] as number
    const lower = c | 0x20
    const isHex = isDigit(c) || (lower >= 0x61 && lower <= 0x66)
    const ok = radix === 0x78 ? isHex : c >= 0x30 && c <= (radix === 0x6f ? 0x37 : 0x31)
    if (!ok && !(c === 0x5f && p + 1 < end)) break
    p++
  }
  return p
}

/** Whether a digit follows, so that a dot begins a number. */
export function isDigit(c: number | undefined): boolean {
  return c !== undefined && c >= 0x30 && c <= 0x39
}

/**
 * The end of the run of operator characters that begins at `from`; a comment that starts inside
 * ends it. Not every run is one operator, see `operatorEnd`.
 */
export function scanOperatorRun(buf: Uint8Array, from: number, end: number): number {
  let p = from
  while (p < end) {
    const c = buf[p] as number
    if (BYTE_CLASS[c] !== BYTE_OPERATOR) break
    const next = p + 1 < end ? buf[p + 1] : 0
    if ((c === DASH && next === DASH) || (c === SLASH && next === STAR)) break
    p++
  }
  return p
}

/**
 * The end of the operator that a run begins with: a trailing `+` or `-` belongs to it only if it
 * holds one of `~!@#%^&|`?` as well (scan.l, "operator"). Each character behind it is an operator
 * of its own; PostgreSQL scans the rest again for each of them, which makes it quadratic.
 */
export function operatorEnd(buf: Uint8Array, from: number, runEnd: number): number {
  for (let p = from; p < runEnd; p++) if (isSpecialOperator(buf[p] as number)) return runEnd
  let p = runEnd
  while (p > from + 1 && (buf[p - 1] === DASH || buf[p - 1] === 0x2b)) p--
  return p
}

function isSpecialOperator(c: number): boolean {
  switch (c) {
    case 0x7e:
    case 0x21:
    case 0x40:
    case 0x23:
    case 0x25:
    case 0x5e:
    case 0x26:
    case 0x7c:
    case 0x60:
    case 0x3f:
      return true
    default:
      return false
  }
}
