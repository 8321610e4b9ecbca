/** `set_config()` and `current_setting()` calls inside a query. */
import { STANDBY_PARAMETERS } from './session-functions.ts'
import type { Effect } from './statement-class.ts'
import { quoteLiteral, stringValue } from './token-cursor.ts'
import { T_CLOSE, T_COMMA, T_PARAM, T_STRING, type TokenList } from './tokens.ts'

/** Parameters that hold a list of names: SET takes the elements, set_config() the whole list. */
const NAME_LISTS: ReadonlySet<string> = new Set(['search_path', 'temp_tablespaces'])

/** What a call does; `isPlain`: it runs exactly once, and its arguments are values. */
export interface SetConfigCall {
  readonly effect: Effect
  readonly isPlain: boolean
}

/**
 * Reads the call whose opening parenthesis is token `open`. `once`: the statement's form shows
 * that the call runs exactly once, so that its effect may be tracked.
 */
export function readSetConfig(tokens: TokenList, open: number, once: boolean): SetConfigCall {
  const args = simpleArguments(tokens, open)
  if (args?.length !== 3)
    return { effect: setEffect(shownName(tokens, open), null, false), isPlain: false }
  const [first, second, third] = args as [number, number, number]
  const local = readBoolean(tokens, third)
  const name = stringValue(tokens, first)?.toLowerCase() ?? ''
  const value = stringValue(tokens, second)
  // Gone with the transaction, whatever it is.
  if (local === true)
    return { effect: setEffect(name, name === '' ? null : value, true), isPlain: true }
  const nameParameter = tokens.kind(first) === T_PARAM ? parameterAt(tokens, first) : 0
  const valueParameter = tokens.kind(second) === T_PARAM ? parameterAt(tokens, second) : 0
  const isPlain =
    once && (name !== '' || nameParameter > 0) && (value !== null || valueParameter > 0)
  if (isPlain && local === false && name !== '' && value !== null) {
    return { effect: setEffect(name, value, false), isPlain }
  }
  const effect: Effect = {
    ...setEffect(name, null, false),
    ...(name === '' && nameParameter > 0 ? { nameParameter } : {}),
    // Whether it is the value at the end is only sure when the call runs once.
    ...(isPlain && local === false && valueParameter > 0 ? { valueParameter } : {}),
  }
  return { effect, isPlain }
}

/** The first argument where the others are expressions. */
function shownName(tokens: TokenList, open: number): string {
  const isWhole = tokens.kind(open + 2) === T_COMMA
  return isWhole ? (stringValue(tokens, open + 1)?.toLowerCase() ?? '') : ''
}

/** `$12` → 12. */
function parameterAt(tokens: TokenList, i: number): number {
  const number = Number(tokens.source(i, i + 1).slice(1))
  return Number.isInteger(number) && number <= 0xffff ? number : 0
}

function setEffect(
  name: string,
  value: string | null,
  local: boolean,
): Extract<Effect, { kind: 'set' }> {
  if (value === null) return { kind: 'set', name, value: null, local, opaque: true }
  return { kind: 'set', name, value: setText(name, value), local, opaque: false, config: value }
}

function setText(name: string, value: string): string {
  if (!NAME_LISTS.has(name)) return quoteLiteral(value)
  const names = splitNames(value)
  return names.length === 0 ? "''" : names.map(quoteLiteral).join(', ')
}

/** `a, "B c", $user` → its elements, as SplitIdentifierString reads them. */
function splitNames(list: string): string[] {
  const names: string[] = []
  for (const match of list.matchAll(/"((?:[^"]|"")*)"|([^\s,"][^,"]*)/g)) {
    const quoted = match[1]
    if (quoted !== undefined) names.push(quoted.replaceAll('""', '"'))
    else names.push((match[2] ?? '').trim().toLowerCase())
  }
  return names
}

/** Token indexes of the arguments when each is one token; null otherwise. */
function simpleArguments(tokens: TokenList, open: number): number[] | null {
  const args: number[] = []
  for (let i = open + 1; ; i += 2) {
    args.push(i)
    const next = tokens.kind(i + 1)
    if (next === T_CLOSE) return args
    if (next !== T_COMMA || args.length >= 3) return null
  }
}

function readBoolean(tokens: TokenList, i: number): boolean | null {
  const word = tokens.keyword(i)
  if (word === 'true' || word === 'false') return word === 'true'
  const text = tokens.kind(i) === T_STRING ? stringValue(tokens, i)?.toLowerCase() : undefined
  if (text === 'true' || text === 't' || text === 'on') return true
  return text === 'false' || text === 'f' || text === 'off' ? false : null
}

/** Why this current_setting() call must run on the primary, or null. */
export function refuseCurrentSetting(
  tokens: TokenList,
  open: number,
  nodeParameters: ReadonlySet<string>,
): string | null {
  const name = stringValue(tokens, open + 1)?.toLowerCase()
  const next = tokens.kind(open + 2)
  if (name === undefined || (next !== T_CLOSE && next !== T_COMMA)) {
    return 'calls current_setting() with a name that the text does not show'
  }
  if (STANDBY_PARAMETERS.has(name) || nodeParameters.has(name)) {
    return `reads the parameter ${name}, which is the node's own`
  }
  return null
}
