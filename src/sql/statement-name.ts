/** Names of SQL-level prepared statements: they are replaced in the text, so their place counts. */
import type { JudgeContext } from './part.ts'
import type { NameSpot } from './statement-class.ts'
import { stringValue, type TokenCursor } from './token-cursor.ts'
import { T_STRING, T_UNICODE_NAME } from './tokens.ts'

export interface StatementName {
  readonly name: string
  readonly spot: NameSpot
}

/** Longer names are cut by the server (NAMEDATALEN), which says so in a notice. */
const maxNameBytes = 63

/** Steps over a name, `U&"…" UESCAPE '…'` too; null when none stands here. */
export function statementName(cursor: TokenCursor, context: JudgeContext): StatementName | null {
  const { tokens, i: first } = cursor
  const name = cursor.kind() === T_UNICODE_NAME ? unicodeName(cursor) : cursor.name()
  if (name === null || name === '') return null
  const from = tokens.start(first)
  const to = tokens.end(cursor.i - 1)
  const isForeign = context.asciiNamesOnly && /[^\0-\x7f]/.test(name)
  const isOdd = to - from > maxNameBytes || isForeign || name.includes('\ufffd')
  return { name, spot: { from: from - tokens.origin, to: to - tokens.origin, isOdd } }
}

function unicodeName(cursor: TokenCursor): string | null {
  const { tokens } = cursor
  const source = tokens
    .source(cursor.i, cursor.i + 1)
    .slice(3, -1)
    .replaceAll('""', '"')
  cursor.i++
  let mark = '\\'
  if (cursor.keyword() === 'uescape' && tokens.kind(cursor.i + 1) === T_STRING) {
    const given = stringValue(tokens, cursor.i + 1)
    if (given === null || !/^[^0-9A-Fa-f+'"\s]$/.test(given)) return null
    mark = given
    cursor.i += 2
  }
  return unescaped(source, mark)
}

/** PostgreSQL documentation, "Identifiers and Key Words": `\0061`, `\+000061`, `\\`. */
function unescaped(source: string, mark: string): string | null {
  let name = ''
  for (let at = 0; at < source.length; ) {
    const char = source[at] as string
    if (char !== mark) {
      name += char
      at++
    } else if (source[at + 1] === mark) {
      name += mark
      at += 2
    } else {
      const isLong = source[at + 1] === '+'
      const digits = isLong ? source.slice(at + 2, at + 8) : source.slice(at + 1, at + 5)
      const code = Number.parseInt(digits, 16)
      const isValid = /^[0-9A-Fa-f]+$/.test(digits) && digits.length === (isLong ? 6 : 4)
      if (!isValid || code === 0 || code > 0x10ffff) return null
      name += String.fromCodePoint(code)
      at += isLong ? 8 : 5
    }
  }
  return name.isWellFormed() ? name : null
}
