/** What calls of built-in functions do to the session, as code shows them. */
import { isPlaceholder } from './placeholder.ts'
import {
  ADVISORY_LOCK_FUNCTIONS,
  ADVISORY_UNLOCK_FUNCTIONS,
  DBLINK_FUNCTIONS,
  SESSION_FUNCTIONS,
  UNPROVED_FUNCTIONS,
} from './session-functions.ts'
import type { SourceReader } from './source-reader.ts'
import type { Effect } from './statement-class.ts'
import { stringValue } from './token-cursor.ts'
import {
  T_CLOSE,
  T_CLOSE_BRACKET,
  T_COMMA,
  T_OPEN,
  T_OPEN_BRACKET,
  type TokenList,
} from './tokens.ts'

/** The pin reason of what uses names of prepared statements. */
export const OWN_NAMES = 'uses prepared statements'

/** A setting of which only the name is known, or that it may be set: the server is asked for it. */
function opaqueSet(name: string, local: boolean): Effect {
  return { kind: 'set', name, value: null, local, opaque: true }
}

/** Effects of a built-in that is called, whatever its arguments are; null: it pins. */
export function callEffects(name: string): readonly Effect[] | null {
  if (name === 'set_config') return [UNNAMED]
  if (ADVISORY_LOCK_FUNCTIONS.has(name)) return [{ kind: 'advisory-lock' }]
  if (ADVISORY_UNLOCK_FUNCTIONS.has(name)) return [{ kind: 'advisory-unlock', all: false }]
  if (name === 'currval' || name === 'lastval') return [{ kind: 'sequence-read', isOwn: false }]
  const unproved = UNPROVED_FUNCTIONS.get(name)
  if (unproved !== undefined) {
    return [
      {
        kind: 'unproved',
        why: `calls ${name}(), which ${unproved.why}`,
        customs: unproved.customs,
      },
    ]
  }
  return SESSION_FUNCTIONS.has(name) ? null : []
}

/** A call of set_config() that doesn't show the parameter's name. */
const UNNAMED: Effect = {
  kind: 'unproved',
  why: 'calls set_config() with a name that its source does not show',
  customs: null,
}

/** Adds what calling `name` at token `i` does. */
export function builtInUse(reader: SourceReader, tokens: TokenList, i: number, name: string): void {
  if (name === 'set_config') {
    readSetting(reader, tokens, i + 1)
    return
  }
  if (name === 'pg_prepared_statement' || name === 'pg_prepared_statements') {
    reader.usesNames()
    return
  }
  const effects = DBLINK_FUNCTIONS.has(name) ? null : callEffects(name)
  if (effects === null) reader.mustPin(`calls ${name}()`)
  else for (const effect of effects) reader.add(effect)
}

function readSetting(reader: SourceReader, tokens: TokenList, open: number): void {
  const args = callArguments(tokens, open)
  const [name, , local] = args ?? []
  const shown = name === undefined ? null : constant(tokens, name)
  const isLocal = local !== undefined && isTrue(tokens, local)
  if (shown === null || isPlaceholder(shown)) {
    // What is gone with the transaction leaves an empty value of a parameter that was unknown.
    if (isLocal) reader.add(opaqueSet('', true))
    else {
      reader.add(UNNAMED)
      reader.mustPin('calls set_config()')
    }
    return
  }
  setParameter(reader, shown.toLowerCase(), isLocal)
}

/** Adds that the parameter is set. */
export function setParameter(reader: SourceReader, name: string, isLocal: boolean): void {
  if (isLocal) {
    if (name.includes('.')) reader.add(opaqueSet(name, true))
    return
  }
  reader.add(opaqueSet(name, false))
  // A new session user has its own role.
  if (name === 'session_authorization') reader.add(opaqueSet('role', false))
  if (name === 'seed') reader.mustPin('sets seed')
}

/** Token ranges of the arguments between the parenthesis at `open` and its end; null: none there. */
export function callArguments(tokens: TokenList, open: number): [number, number][] | null {
  if (tokens.kind(open) !== T_OPEN) return null
  const args: [number, number][] = []
  let depth = 0
  let from = open + 1
  for (let i = open; i < tokens.length; i++) {
    const kind = tokens.kind(i)
    if (kind === T_OPEN || kind === T_OPEN_BRACKET) depth++
    else if (kind === T_CLOSE || kind === T_CLOSE_BRACKET) depth--
    if (depth === 0 || (depth === 1 && kind === T_COMMA)) {
      if (i > from) args.push([from, i])
      from = i + 1
    }
    if (depth === 0) return args
  }
  return null
}

/** A string constant, also one that is named to be text. */
function constant(tokens: TokenList, [from, to]: [number, number]): string | null {
  const isText = to - from === 3 && tokens.word(from + 2) === 'text'
  return to - from === 1 || isText ? stringValue(tokens, from) : null
}

function isTrue(tokens: TokenList, [from, to]: [number, number]): boolean {
  if (to - from !== 1) return false
  if (tokens.keyword(from) === 'true') return true
  return ['true', 't', 'on', '1'].includes(stringValue(tokens, from)?.toLowerCase() ?? '')
}
