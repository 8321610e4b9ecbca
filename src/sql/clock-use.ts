/**
 * Which reads depend on when their transaction began. PostgreSQL has one value of `now()` for the whole
 * of it, so a transaction that goes on at another server (`client/optimistic.ts`) must not have shown
 * one before. What asks for that time: `CURRENT_DATE` and the like, a few functions, and the input of
 * date and time types, to which `'now'` and `'today'` are words (datetime.c, `datetktbl`). What is in a
 * literal or a parameter is looked for when the statement runs (`hasClockWord`), as a class stands for
 * many literals; a text that is converted from anything else could hold one.
 *
 * Left out: `AT TIME ZONE` of a timetz column, whose offset is that of the transaction's day.
 */
import {
  T_CAST,
  T_CLOSE,
  T_DOT,
  T_NUMBER,
  T_OPEN,
  T_PARAM,
  T_STRING,
  type TokenList,
} from './tokens.ts'

/** Keywords that are calls (gram.y, func_expr_common_subexpr). */
const CLOCK_KEYWORDS: ReadonlySet<string> = new Set([
  'current_date',
  'current_time',
  'current_timestamp',
  'localtime',
  'localtimestamp',
  // Their columns and results may be of any type.
  'json_query',
  'json_table',
  'json_value',
  'xmltable',
])

/** Types whose input knows such words, and what holds values of them. */
export const CLOCK_TYPES: ReadonlySet<string> = new Set([
  ...['date', 'time', 'timetz', 'timestamp', 'timestamptz', 'daterange', 'tsrange', 'tstzrange'],
  ...['datemultirange', 'tsmultirange', 'tstzmultirange'],
  ...['_date', '_time', '_timetz', '_timestamp', '_timestamptz', '_daterange', '_tsrange'],
  ...['_tstzrange', '_datemultirange', '_tsmultirange', '_tstzmultirange'],
])

/** Built-in functions that ask for the time, or convert texts of which nobody knows what they hold. */
export const CLOCK_FUNCTIONS: ReadonlySet<string> = new Set([
  ...['now', 'transaction_timestamp', 'age'],
  ...['date_in', 'time_in', 'timetz_in', 'timestamp_in', 'timestamptz_in'],
  ...['array_in', 'domain_in', 'multirange_in', 'range_in', 'record_in'],
  ...['json_populate_record', 'json_populate_recordset', 'json_to_record', 'json_to_recordset'],
  ...['jsonb_populate_record', 'jsonb_populate_record_valid', 'jsonb_populate_recordset'],
  ...['jsonb_to_record', 'jsonb_to_recordset'],
  // Of the extensions hstore and tablefunc.
  ...['populate_record', 'crosstab', 'crosstab2', 'crosstab3', 'crosstab4', 'crosstabn'],
  ...['crosstab_hash', 'connectby', 'xpath_table'],
])

/**
 * Do the tokens `[from, to)` ask by themselves when the transaction began? Functions and relations are
 * the catalog's to judge. `isPlainType`: a built-in type, but none of `CLOCK_TYPES`.
 */
export function usesClock(
  tokens: TokenList,
  from: number,
  to: number,
  isPlainType: (name: string) => boolean,
): boolean {
  const mayConvert = (typeAt: number): boolean => !isPlainType(typeName(tokens, typeAt))
  for (let i = from; i < to; i++) {
    const kind = tokens.kind(i)
    if (kind === T_CAST) {
      if (!isConstant(tokens.kind(i - 1)) && mayConvert(i + 1)) return true
      continue
    }
    const word = tokens.keyword(i)
    if (word !== '' && CLOCK_KEYWORDS.has(word)) return true
    if (!tokens.isName(i) || tokens.kind(i + 1) !== T_OPEN) continue
    if (CLOCK_FUNCTIONS.has(tokens.word(i))) return true
    if (word === 'cast') {
      const as = asOf(tokens, i + 2, to)
      const isLiteral = as === i + 3 && isConstant(tokens.kind(i + 2))
      if (!isLiteral && (as < 0 || mayConvert(as + 1))) return true
    } else if (CLOCK_TYPES.has(tokens.word(i)) && !isTypeOfCast(tokens, i)) return true
  }
  return false
}

/** The last name of a type, which may be qualified. */
function typeName(tokens: TokenList, at: number): string {
  let i = at
  while (tokens.kind(i + 1) === T_DOT && tokens.isName(i + 2)) i += 2
  // `double precision` and the like are known by their first word.
  return tokens.word(i)
}

function isConstant(kind: number): boolean {
  return kind === T_STRING || kind === T_NUMBER || kind === T_PARAM
}

/** `x::timestamp(3)`, `CAST(x AS timestamp(3))`: judged where the cast stands. */
function isTypeOfCast(tokens: TokenList, at: number): boolean {
  let first = at
  while (tokens.kind(first - 1) === T_DOT && tokens.isName(first - 2)) first -= 2
  return tokens.kind(first - 1) === T_CAST || tokens.keyword(first - 1) === 'as'
}

/** Where the AS of a CAST stands whose operand begins at `from`; -1: nowhere. */
function asOf(tokens: TokenList, from: number, to: number): number {
  let depth = 0
  for (let i = from; i < to; i++) {
    const kind = tokens.kind(i)
    if (kind === T_OPEN) depth++
    else if (kind === T_CLOSE && --depth < 0) return -1
    else if (depth === 0 && tokens.keyword(i) === 'as') return i
  }
  return -1
}

/**
 * Words that date and time types read as the time of the transaction; the length of a parameter's value
 * may look like a letter in front of it. What is escaped or goes on in another line could be any. The
 * time that it takes grows with the text, not faster.
 */
const CLOCK_WORD =
  /(?:^|[^a-z]|\0\0[\s\S]?[a-z])(?:now|today|tomorrow|yesterday)(?![a-z])|\be'[^']*\\|\bu&'|'[^\S\n\r]*[\n\r]\s*'|'\s*--/i

/** May a literal or a parameter in these bytes stand for the time of the transaction? */
export function hasClockWord(bytes: Buffer, start: number, end: number): boolean {
  return CLOCK_WORD.test(bytes.toString('latin1', start, end))
}
