import { COLUMN_NAME, RESERVED, TYPE_OR_FUNCTION } from '../sql/keywords.ts'

/**
 * Parameters whose list items PostgreSQL quotes as identifiers when it flattens a SET list
 * (GUC_LIST_QUOTE in guc_tables.c; the set can't grow, pg_dump and we know it by heart).
 */
const quotedLists = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
])

/**
 * The string that `set_config` takes for what stands behind `SET name TO`, as
 * `flatten_set_variable_args` makes it: literals, identifiers, numbers, and lists of them.
 * null: not such a list (an expression, an escape string …); then the value can't be replayed.
 */
export function settingValue(name: string, sqlText: string): string | null {
  const items: string[] = []
  const isQuotedList = quotedLists.has(name)
  let at = 0
  const text = sqlText.trim()
  if (text === '') return null
  for (;;) {
    const item = readItem(text, at)
    if (item === null) return null
    items.push(isQuotedList ? quoteIdentifier(item.value) : item.value)
    at = skipBlanks(text, item.end)
    if (at === text.length) break
    if (text[at] !== ',') return null
    at = skipBlanks(text, at + 1)
  }
  return items.join(', ')
}

function skipBlanks(text: string, from: number): number {
  let at = from
  while (at < text.length && /\s/.test(text[at] as string)) at++
  return at
}

function readItem(text: string, from: number): { value: string; end: number } | null {
  const quote = text[from]
  if (quote === "'" || quote === '"') {
    let value = ''
    for (let at = from + 1; at < text.length; at++) {
      const char = text[at] as string
      if (char !== quote) value += char
      else if (text[at + 1] === quote) {
        value += quote
        at++
      } else return { value: quote === '"' ? cutName(value) : value, end: at + 1 }
    }
    return null
  }
  const word = /^[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?(?![A-Za-z_$])/.exec(text.slice(from))
  if (word !== null) return { value: numberText(word[0]), end: from + word[0].length }
  const identifier = /^[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*/.exec(text.slice(from))
  if (identifier === null) return null
  // Unquoted identifiers fold; a string prefix (E'…', U&'…') or a call is not an item.
  const end = from + identifier[0].length
  if (text[end] === "'" || text[end] === '(' || text[end] === '&') return null
  return { value: cutName(foldAscii(identifier[0])), end }
}

function foldAscii(text: string): string {
  return text.replace(/[A-Z]/g, (char) => char.toLowerCase())
}

/** A number that fits in 32 bits is read as such (`007` is 7); any other stays as it is written. */
function numberText(text: string): string {
  const unsigned = text.replace(/^\+/, '')
  if (!/^-?[0-9]+$/.test(unsigned)) return unsigned
  const value = Number(unsigned)
  return Math.abs(value) <= 0x7fffffff ? String(value === 0 ? 0 : value) : unsigned
}

/** Names are cut after 63 bytes (PostgreSQL: NAMEDATALEN), between two characters. */
function cutName(name: string): string {
  const bytes = Buffer.from(name)
  if (bytes.length <= 63) return name
  let end = 63
  while (((bytes[end] as number) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

/** As `quote_identifier` does: SHOW gives back what was quoted. */
function quoteIdentifier(name: string): string {
  const isKeyword = RESERVED.has(name) || TYPE_OR_FUNCTION.has(name) || COLUMN_NAME.has(name)
  return /^[a-z_][a-z0-9_]*$/.test(name) && !isKeyword ? name : `"${name.replaceAll('"', '""')}"`
}
