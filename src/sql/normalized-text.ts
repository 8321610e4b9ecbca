import {
  T_CLOSE,
  T_CLOSE_BRACKET,
  T_COMMA,
  T_JUNK,
  T_NUMBER,
  T_OPEN,
  T_OPERATOR,
  T_SEMICOLON,
  T_STRING,
  T_WORD,
  type TokenList,
} from './tokens.ts'

/** What is longer is cut. */
const maxLength = 1_000
const decoder = new TextDecoder('utf-8')

/** Statements whose values may be bare words: `SET app.key = word`, `ALTER ROLE r SET app.key TO word`. */
const setting = new Set(['set', 'alter'])

/**
 * The text with a `?` for each literal and each list of them, without comments, words in lower case: the
 * same for all texts that differ in nothing else. Nothing of a value is in it.
 */
export function normalizedText(tokens: TokenList): string {
  let text = ''
  let isValue = false
  let first = ''
  let hasSet = false
  for (let i = 0; i < tokens.length && text.length < maxLength; i++) {
    const kind = tokens.kind(i)
    const word = kind === T_WORD ? tokens.word(i) : ''
    if (kind === T_SEMICOLON) {
      isValue = false
      hasSet = false
      first = ''
    } else first ||= word
    if (isValue) continue
    const isLiteral = kind === T_STRING || kind === T_NUMBER || kind === T_JUNK
    if (isLiteral && (text.endsWith('?') || text.endsWith('?,'))) {
      // `1, 2, 3` is one.
      text = text.endsWith(',') ? text.slice(0, -1) : text
      continue
    }
    const gap = i > 0 && tokens.start(i) > tokens.end(i - 1) && mayGap(kind, text) ? ' ' : ''
    text += gap + (isLiteral ? '?' : word || raw(tokens, i))
    if (word === 'set' && setting.has(first)) hasSet = true
    else if (hasSet && (word === 'to' || (kind === T_OPERATOR && tokens.word(i) === '='))) {
      text += ' ?'
      isValue = true
    }
  }
  if (text.length >= maxLength) return `${text.slice(0, maxLength - 1)}…`
  // Rows of VALUES are as many as it happens.
  return text.replaceAll(/(\([?, ]+\))(?:, \1)+/g, '$1')
}

/** Spaces at these places say nothing: `f( 1 , 2 )` is `f(1, 2)`. */
function mayGap(kind: number, text: string): boolean {
  if (kind === T_COMMA || kind === T_CLOSE || kind === T_CLOSE_BRACKET || kind === T_SEMICOLON) {
    return false
  }
  return kind === T_OPEN || !/[([]$/.test(text)
}

function raw(tokens: TokenList, i: number): string {
  const end = Math.min(tokens.end(i), tokens.start(i) + maxLength)
  return decoder.decode(tokens.text.subarray(tokens.start(i), end))
}
