import { T_COMMA, T_STRING, type TokenList } from './tokens.ts'

/** A reading position in the tokens `[i, to)` of one statement. */
export class TokenCursor {
  readonly tokens: TokenList
  readonly to: number
  i: number

  constructor(tokens: TokenList, from: number, to: number) {
    this.tokens = tokens
    this.i = from
    this.to = to
  }

  atEnd(): boolean {
    return this.i >= this.to
  }

  /** Kind of the token here, `T_END` behind the statement. */
  kind(): number {
    return this.i < this.to ? this.tokens.kind(this.i) : 0
  }

  /** The keyword `ahead` tokens on, '' if that is no unquoted word. */
  keyword(ahead = 0): string {
    return this.i + ahead < this.to ? this.tokens.keyword(this.i + ahead) : ''
  }

  /** Steps over one of the keywords; returns it, or '' when none stands here. */
  accept(...keywords: readonly string[]): string {
    const word = this.keyword()
    if (word === '' || !keywords.includes(word)) return ''
    this.i++
    return word
  }

  acceptKind(kind: number): boolean {
    if (this.kind() !== kind) return false
    this.i++
    return true
  }

  /** Steps over a name and returns it; null when none stands here. */
  name(): string | null {
    if (this.i >= this.to || !this.tokens.isName(this.i)) return null
    return this.tokens.word(this.i++)
  }

  /** Source text of what is left, without trailing commas; null if nothing is left. */
  rest(): string | null {
    return this.atEnd() || this.kind() === T_COMMA ? null : this.tokens.source(this.i, this.to)
  }
}

/** The value of a string constant without escapes; null for the forms that need decoding. */
export function stringValue(tokens: TokenList, i: number): string | null {
  if (tokens.kind(i) !== T_STRING) return null
  const source = tokens.source(i, i + 1)
  const dollar = /^\$[^$]*\$/.exec(source)
  if (dollar !== null) return source.slice(dollar[0].length, -dollar[0].length)
  const isEscape = source[0] === 'E' || source[0] === 'e'
  const quoted = isEscape ? source.slice(1) : source
  if (quoted[0] !== "'" || quoted.includes('\\')) return null
  // A string in several parts ('a' newline 'b') has an odd quote inside.
  const inner = quoted.slice(1, -1).replaceAll("''", '\u0000')
  return inner.includes("'") ? null : inner.replaceAll('\u0000', "'")
}

/** The value of a string constant, `E'…'` with simple escapes too; null for what needs more. */
export function stringText(tokens: TokenList, i: number): string | null {
  const plain = stringValue(tokens, i)
  if (plain !== null) return plain
  const source = tokens.kind(i) === T_STRING ? tokens.source(i, i + 1) : ''
  const escaped = /^[Ee]'((?:[^'\\]|''|\\[nrtbf'"\\])*)'$/.exec(source)?.[1]
  if (escaped === undefined) return null
  return escaped.replace(/''|\\(.)/g, (_all, c: string | undefined) =>
    c === undefined ? "'" : (ESCAPES[c] ?? c),
  )
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' }

/** A value as a string constant that any server reads alike. */
export function quoteLiteral(value: string): string {
  const quoted = `'${value.replaceAll("'", "''")}'`
  return value.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}
