/**
 * One pass over a text's bytes → 64 bits that stand for everything its class depends on. In
 * statements that begin with one of eight keywords literals and parameters are left out (their
 * class can't depend on them, except inside set_config() and current_setting(), where they stay);
 * any other text is hashed as it is. Nothing is allocated.
 */
import { randomBytes } from 'node:crypto'
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
import {
  beginsComment,
  hashBytes,
  hashBytesPlus,
  isPair,
  isPrefix,
  isStrippable,
  isWord,
  mayGoOn,
  prefixedEnd,
} from './fingerprint-parts.ts'
import { isHintComment } from './hints.ts'
import {
  isDigit,
  scanBlockComment,
  scanDollarQuote,
  scanLineComment,
  scanNumber,
  scanQuotedName,
  scanString,
} from './scan.ts'

// Marks between tokens; beyond a byte's range, so no text can imitate them.
const END_OF_WORD = 0x101
const QUOTED_NAME = 0x102
const LITERAL = 0x103
const KEPT_LITERAL = 0x104
const OPERATOR_RUN = 0x105
const HINT = 0x106
const WHOLE_TEXT = 0x107
/** `::`, `:=` or `..`, which are one token each; `: :` is two. */
const PAIR = 0x108

/** Literals are kept from here to the end of the text. */
const KEEP_ALL = -2
const KEEP_NONE = -1

export class Fingerprint {
  /** First half: place in the cache. */
  a = 0
  /** Second half: proves the hit, together with `check`. */
  b = 0
  /** Number of tokens without collapsed ones, or of bytes (negative) when the whole text was hashed. */
  check = 0
  readonly #seedA: number
  readonly #seedB: number
  readonly #factorA: number
  readonly #factorB: number
  /** The text has more tokens than `maxTokens`: nothing else is known of it. */
  isTooLong = false
  readonly #maxTokens: number
  #depth = 0
  #keep = KEEP_NONE

  /** Seeds differ per process, so that nobody can prepare colliding texts. */
  constructor(seed: Uint8Array = randomBytes(16), maxTokens = Number.POSITIVE_INFINITY) {
    this.#maxTokens = maxTokens
    const view = new DataView(seed.buffer, seed.byteOffset, 16)
    this.#seedA = view.getInt32(0)
    this.#seedB = view.getInt32(4)
    // Odd factors whose bits are spread out: 8k + 5 as in linear congruential generators.
    this.#factorA = (view.getInt32(8) & ~7) | 5
    this.#factorB = (view.getInt32(12) & ~7) | 5
  }

  /**
   * Sets `a`, `b` and `check` for `text[start, end)`. False when the text can't be lexed
   * (unterminated literal or comment), or is too long: then the rest of it wasn't looked at. `salt` sets apart the modes that share one cache.
   */
  compute(text: Uint8Array, start: number, end: number, backslash: boolean, salt: number): boolean {
    const factorA = this.#factorA
    const factorB = this.#factorB
    let a = this.#seedA ^ salt
    let b = this.#seedB ^ salt
    let p = start
    let tokens = 0
    // 1 behind a literal, 2 behind a literal and a comma: `1, 2, 3` hashes like `1`.
    let run = 0
    let statementStart = true
    const maxTokens = this.#maxTokens
    this.#depth = 0
    this.#keep = KEEP_NONE
    this.isTooLong = false
    while (p < end) {
      if (tokens > maxTokens) {
        this.isTooLong = true
        return false
      }
      const c = text[p] as number
      const kind = BYTE_CLASS[c]
      if (kind === BYTE_SPACE) {
        p++
        continue
      }
      if (kind === BYTE_WORD) {
        const from = p
        let fold = WORD_FOLD[c] as number
        const beforeA = a
        const beforeB = b
        // A word behind a collapsed comma: the comma counts after all.
        if (run === 2) {
          a = Math.imul(a ^ 0x2c, factorA)
          b = Math.imul(b + 0x2c, factorB)
        }
        do {
          a = Math.imul(a ^ fold, factorA)
          b = Math.imul(b + fold, factorB)
          p++
          fold = p < end ? (WORD_FOLD[text[p] as number] as number) : 0
        } while (fold !== 0)
        const length = p - from
        if (length === 1 && p < end && isPrefix(text, p, end)) {
          const close = prefixedEnd(text, from, end, backslash)
          if (close < 0) return false
          if (close > 0) {
            a = beforeA
            b = beforeB
            if (statementStart) return this.#whole(text, start, end, backslash, salt)
            if (run !== 2) tokens++
            p = close
            if (text[from + 1] === 0x26 && text[from + 2] === 0x22) {
              // U&"…" may be any name, set_config too.
              this.#keep = KEEP_ALL
            } else if (this.#keep === KEEP_NONE) {
              if (run !== 2) {
                a = Math.imul(a ^ LITERAL, factorA)
                b = Math.imul(b + LITERAL, factorB)
              }
              run = 1
              continue
            }
            run = 0
            a = hashBytes(a, factorA, KEPT_LITERAL, text, from, close)
            b = hashBytesPlus(b, factorB, KEPT_LITERAL, text, from, close)
            continue
          }
        }
        run = 0
        tokens++
        a = Math.imul(a ^ END_OF_WORD, factorA)
        b = Math.imul(b + END_OF_WORD, factorB)
        a ^= a >>> 15
        b ^= b >>> 13
        if (statementStart) {
          if (!isStrippable(text, from, length)) {
            return this.#whole(text, start, end, backslash, salt)
          }
          statementStart = false
        } else if (length === 10 || length === 15) {
          this.#keepIfSetting(text, from, length)
        }
        continue
      }
      let close = 0
      let literal = false
      if (kind === BYTE_DIGIT) {
        close = p + 1
        while (close < end && BYTE_CLASS[text[close] as number] === BYTE_DIGIT) close++
        if (close < end && mayGoOn(text[close] as number)) close = scanNumber(text, p, end)
        literal = true
      } else if (kind === BYTE_QUOTE) {
        close = scanString(text, p + 1, end, backslash)
        literal = true
      } else if (kind === BYTE_DOLLAR) {
        if (p + 1 < end && isDigit(text[p + 1])) close = scanNumber(text, p + 1, end)
        else close = scanDollarQuote(text, p, end)
        literal = close !== p
        if (!literal) close = p + 1
      } else if (kind === BYTE_DOT && p + 1 < end && isDigit(text[p + 1])) {
        close = scanNumber(text, p, end)
        literal = true
      }
      if (close < 0) return false
      if (literal) {
        if (statementStart) return this.#whole(text, start, end, backslash, salt)
        if (run !== 2) tokens++
        if (this.#keep !== KEEP_NONE) {
          if (run === 2) {
            a = Math.imul(a ^ 0x2c, factorA)
            b = Math.imul(b + 0x2c, factorB)
          }
          run = 0
          a = hashBytes(a, factorA, KEPT_LITERAL, text, p, close)
          b = hashBytesPlus(b, factorB, KEPT_LITERAL, text, p, close)
        } else {
          if (run !== 2) {
            a = Math.imul(a ^ LITERAL, factorA)
            b = Math.imul(b + LITERAL, factorB)
          }
          run = 1
        }
        p = close
        continue
      }
      if (kind === BYTE_OPERATOR) {
        const next = p + 1 < end ? text[p + 1] : 0
        const line = c === 0x2d && next === 0x2d
        if (line || (c === 0x2f && next === 0x2a)) {
          close = line ? scanLineComment(text, p + 2, end) : scanBlockComment(text, p + 2, end)
          if (close < 0) return false
          if (isHintComment(text, p, close)) {
            a = hashBytes(a, factorA, HINT, text, p, close)
            b = hashBytesPlus(b, factorB, HINT, text, p, close)
          }
          p = close
          continue
        }
      }
      if (c === 0x2c && run === 1 && this.#keep === KEEP_NONE) {
        run = 2
        p++
        continue
      }
      if (run === 2) {
        a = Math.imul(a ^ 0x2c, factorA)
        b = Math.imul(b + 0x2c, factorB)
      }
      run = 0
      tokens++
      if (kind === BYTE_OPERATOR) {
        // The whole run is hashed, not PostgreSQL's operators in it: equal runs lex equally.
        a = Math.imul(a ^ OPERATOR_RUN, factorA)
        b = Math.imul(b + OPERATOR_RUN, factorB)
        let d = c
        do {
          a = Math.imul(a ^ d, factorA)
          b = Math.imul(b + d, factorB)
          p++
          if (p >= end) break
          d = text[p] as number
        } while (BYTE_CLASS[d] === BYTE_OPERATOR && !beginsComment(text, p, end))
        continue
      }
      if (kind === BYTE_DOUBLE_QUOTE) {
        close = scanQuotedName(text, p + 1, end)
        if (close < 0) return false
        if (statementStart) return this.#whole(text, start, end, backslash, salt)
        a = hashBytes(a, factorA, QUOTED_NAME, text, p, close)
        b = hashBytesPlus(b, factorB, QUOTED_NAME, text, p, close)
        const length = close - p - 2
        if (length === 10 || length === 15) this.#keepIfSetting(text, p + 1, length)
        p = close
        continue
      }
      if (p + 1 < end && isPair(c, text[p + 1] as number)) {
        a = Math.imul(a ^ PAIR, factorA)
        b = Math.imul(b + PAIR, factorB)
        a = Math.imul(a ^ (text[p + 1] as number), factorA)
        b = Math.imul(b + (text[p + 1] as number), factorB)
        p++
      }
      a = Math.imul(a ^ c, factorA)
      b = Math.imul(b + c, factorB)
      p++
      if (kind === BYTE_SELF || kind === BYTE_DOT) {
        if (c === 0x28) this.#depth++
        else if (c === 0x29 && --this.#depth <= this.#keep) this.#keep = KEEP_NONE
        else if (c === 0x3b) statementStart = true
      } else {
        return this.#whole(text, start, end, backslash, salt)
      }
    }
    if (run === 2) {
      a = Math.imul(a ^ 0x2c, factorA)
      b = Math.imul(b + 0x2c, factorB)
    }
    this.a = (a ^ (a >>> 16)) | 0
    this.b = (b ^ (b >>> 15)) | 0
    this.check = tokens
    return true
  }

  /** Literals count up to the parenthesis that closes behind set_config or current_setting. */
  #keepIfSetting(text: Uint8Array, from: number, length: number): void {
    if (this.#keep !== KEEP_NONE) return
    if (isWord(text, from, length === 10 ? 'set_config' : 'current_setting')) {
      this.#keep = this.#depth
    }
  }

  #whole(text: Uint8Array, start: number, end: number, backslash: boolean, salt: number): boolean {
    const seed = salt ^ (backslash ? 0x5c : 0)
    const a = hashBytes(this.#seedA ^ seed, this.#factorA, WHOLE_TEXT, text, start, end)
    const b = hashBytesPlus(this.#seedB ^ seed, this.#factorB, WHOLE_TEXT, text, start, end)
    this.a = (a ^ (a >>> 16)) | 0
    this.b = (b ^ (b >>> 15)) | 0
    this.check = ~(end - start)
    return true
  }
}
