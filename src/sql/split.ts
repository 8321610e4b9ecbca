/** Splits a text at its top-level semicolons. */
import { type LexMode, tokenize } from './lexer.ts'
import { T_CLOSE, T_DOT, T_OPEN, T_SEMICOLON, type TokenList } from './tokens.ts'

/**
 * Token ranges of the statements, empty ones left out. `unbalanced`: PostgreSQL refuses the whole
 * text; `unclear`: a routine's BEGIN ATOMIC never ends.
 */
export function splitTokens(
  tokens: TokenList,
  from: number,
  to: number,
): [from: number, to: number][] | 'unbalanced' | 'unclear' {
  const statements: [number, number][] = []
  let start = from
  let depth = 0
  // Open BEGIN ATOMIC and CASE of a routine's body, whose semicolons separate no statements.
  let blocks = 0
  for (let i = from; i <= to; i++) {
    const kind = i < to ? tokens.kind(i) : T_SEMICOLON
    if (kind === T_OPEN) depth++
    else if (kind === T_CLOSE) {
      if (--depth < 0) return 'unbalanced'
    } else if (kind === T_SEMICOLON) {
      if (i < to && (depth > 0 || blocks > 0)) continue
      if (depth > 0) return 'unbalanced'
      if (blocks > 0) return 'unclear'
      if (i > start) statements.push([start, i])
      start = i + 1
    } else {
      blocks = nextBlocks(tokens, start, i, blocks)
    }
  }
  return statements
}

function nextBlocks(tokens: TokenList, start: number, i: number, blocks: number): number {
  const word = tokens.keyword(i)
  if (word === 'begin') {
    const isBody = tokens.keyword(i + 1) === 'atomic' && tokens.keyword(start) === 'create'
    return isBody && blocks === 0 ? 1 : blocks
  }
  if (blocks === 0 || (word !== 'case' && word !== 'end')) return blocks
  if (tokens.kind(i - 1) === T_DOT || tokens.keyword(i - 1) === 'as') return blocks
  return word === 'case' ? blocks + 1 : blocks - 1
}

/**
 * Byte offsets `[start, end)` of the statements in `text[start, end)`, without their semicolons;
 * null when the text can't be split.
 */
export function splitStatements(
  text: Uint8Array,
  start: number,
  end: number,
  mode: LexMode = 'standard',
): [start: number, end: number][] | null {
  const tokens = tokenize(text, start, end, mode === 'escape')
  if (typeof tokens === 'string') return null
  const statements = splitTokens(tokens, 0, tokens.length)
  if (typeof statements === 'string') return null
  return statements.map(([from, to]) => [tokens.start(from), tokens.end(to - 1)])
}
