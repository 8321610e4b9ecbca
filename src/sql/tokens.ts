/** The tokens of one text, as arrays: a text of a million tokens must not become a million objects. */

export const T_WORD = 1
/** `"name"`; its `word` is the name as it stands in the catalog. */
export const T_QUOTED = 2
/** `U&"name"`: never decoded, never judged to be harmless. */
export const T_UNICODE_NAME = 3
export const T_STRING = 4
export const T_NUMBER = 5
export const T_PARAM = 6
export const T_OPERATOR = 7
export const T_OPEN = 8
export const T_CLOSE = 9
export const T_OPEN_BRACKET = 10
export const T_CLOSE_BRACKET = 11
export const T_COMMA = 12
export const T_SEMICOLON = 13
export const T_DOT = 14
export const T_CAST = 15
export const T_COLON = 16
/** A byte that begins no token of PostgreSQL's. */
export const T_JUNK = 17
/** Behind the last token. */
const T_END = 0

/** PostgreSQL cuts names at 63 bytes (NAMEDATALEN - 1), never within a character. */
const MAX_NAME_BYTES = 63

const decoder = new TextDecoder('utf-8')

export class TokenList {
  readonly text: Uint8Array
  /** Where the text begins in its bytes: what `Effect` says of places counts from here. */
  readonly origin: number
  length = 0
  /** First comment of the text that may hold a hint, before the first token: `[from, to)`. */
  hintFrom = -1
  hintTo = -1
  #kinds = new Uint8Array(64)
  #starts = new Int32Array(64)
  #ends = new Int32Array(64)
  #words: string[] = []

  constructor(text: Uint8Array, origin = 0) {
    this.text = text
    this.origin = origin
  }

  push(kind: number, start: number, end: number, word: string): void {
    const n = this.length
    if (n === this.#kinds.length) this.#grow()
    this.#kinds[n] = kind
    this.#starts[n] = start
    this.#ends[n] = end
    this.#words.push(word)
    this.length = n + 1
  }

  #grow(): void {
    const size = this.#kinds.length * 2
    const kinds = new Uint8Array(size)
    kinds.set(this.#kinds)
    this.#kinds = kinds
    const starts = new Int32Array(size)
    starts.set(this.#starts)
    this.#starts = starts
    const ends = new Int32Array(size)
    ends.set(this.#ends)
    this.#ends = ends
  }

  /** One of the `T_` kinds; `T_END` outside of the list. */
  kind(i: number): number {
    return i >= 0 && i < this.length ? (this.#kinds[i] as number) : T_END
  }

  start(i: number): number {
    return this.#starts[i] as number
  }

  end(i: number): number {
    return this.#ends[i] as number
  }

  /** The name of a word (folded), quoted name or operator; '' for every other token. */
  word(i: number): string {
    return i >= 0 && i < this.length ? (this.#words[i] as string) : ''
  }

  /** The keyword at `i`: its folded text if it is an unquoted word, otherwise ''. */
  keyword(i: number): string {
    return this.kind(i) === T_WORD ? this.word(i) : ''
  }

  /** Whether a name (quoted or not) stands at `i`. */
  isName(i: number): boolean {
    const kind = this.kind(i)
    return kind === T_WORD || kind === T_QUOTED
  }

  /** The source text of the tokens `[from, to)`, comments between them included. */
  source(from: number, to: number): string {
    return decodeBytes(this.text, this.start(from), this.end(to - 1))
  }
}

/** Bytes as text: ASCII cheaply, the rest as UTF-8 with U+FFFD for what isn't. */
function decodeBytes(text: Uint8Array, start: number, end: number): string {
  if (end - start < 64) {
    let ascii = ''
    for (let p = start; p < end; p++) {
      const c = text[p] as number
      if (c >= 0x80) return decoder.decode(text.subarray(start, end))
      ascii += String.fromCharCode(c)
    }
    return ascii
  }
  return decoder.decode(text.subarray(start, end))
}

/** A name's bytes as PostgreSQL looks it up: cut at 63 bytes; unquoted ASCII in lower case. */
export function decodeName(text: Uint8Array, start: number, end: number, fold: boolean): string {
  let stop = end
  if (stop - start > MAX_NAME_BYTES) {
    stop = start + MAX_NAME_BYTES
    while (stop > start && ((text[stop] as number) & 0xc0) === 0x80) stop--
  }
  const name = decodeBytes(text, start, stop)
  return fold ? foldAscii(name) : name
}

function foldAscii(name: string): string {
  // toLowerCase would fold more than the server does (É), so only A–Z.
  return /[A-Z]/.test(name) ? name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name
}

/** The name inside `"…"` whose quotes stand at `start` and `end - 1`. */
export function decodeQuotedName(text: Uint8Array, start: number, end: number): string {
  const inner = decodeBytes(text, start + 1, end - 1)
  const name = inner.includes('""') ? inner.replaceAll('""', '"') : inner
  if (name.length * 3 <= MAX_NAME_BYTES) return name
  const bytes = new TextEncoder().encode(name)
  return decodeName(bytes, 0, bytes.length, false)
}
