/**
 * What the source text of a function or DO block does to its session, by its words alone. It is
 * not a proof but a hygiene: what is missed here is a session state that pgsplit doesn't know.
 */
import {
  ADVISORY_LOCK_FUNCTIONS,
  ADVISORY_UNLOCK_FUNCTIONS,
  SESSION_FUNCTIONS,
} from './session-functions.ts'
import type { Effect } from './statement-class.ts'

const SESSION_COMMAND =
  /(?:^|;|\b(?:begin|then|else|loop)\b)\s*(set(?!\s+local\b)|reset|discard|listen|load)\b/i
const TEMPORARY = /\b(?:temp|temporary|pg_temp)\b/i
const CREATES = /\bcreate\b(?!\s+(?:(?:local|global)\s+)?temp)|\balter\b/i
/** SQL-level commands for prepared statements in a string that is executed, or a look at their list. */
const STATEMENT_NAMES =
  /\bexecute\s+(?:format\s*\(\s*)?E?'+\s*(?:execute|prepare|deallocate)\b|\bpg_prepared_statements?\b/i
/** SQL that the source makes up when it runs; EXECUTE FUNCTION and GRANT EXECUTE ON are none. */
const DYNAMIC = /\bexecute\b(?!\s+(?:function|procedure|on)\b)/i
/** What `sessionUse` says of them. */
export const OWN_NAMES = 'uses prepared statements'
const WORD = /[a-z_][a-z0-9_]*/gi

/** A clause like `calls set_config()`, or null when nothing was found. */
export function sessionUse(source: string): string | null {
  if (TEMPORARY.test(source)) return 'uses temporary objects'
  const command = SESSION_COMMAND.exec(source.replace(/--[^\n]*/g, ''))
  if (command !== null) return `runs ${(command[1] ?? '').toUpperCase()}`
  // set_config(…, true) ends with the transaction.
  if (/\bset_config\b(?![^;]{0,500}?,\s*true\s*\))/i.test(source)) return 'calls set_config()'
  if (STATEMENT_NAMES.test(source)) return OWN_NAMES
  for (const [word] of source.matchAll(WORD)) {
    const name = word.toLowerCase()
    if (SESSION_FUNCTIONS.has(name)) return `calls ${name}()`
  }
  return null
}

/**
 * What the source may do to the session, if the server can be asked about all of it afterwards;
 * null: not about all.
 */
export function sessionEffects(source: string): readonly Effect[] | null {
  if (STATEMENT_NAMES.test(source)) return null
  const effects: (Effect | null)[] = []
  const text = source.replace(/--[^\n]*/g, '')
  if (TEMPORARY.test(source)) effects.push({ kind: 'temp' })
  if (DYNAMIC.test(text)) effects.push({ kind: 'dynamic' })
  for (const { index } of text.matchAll(new RegExp(SESSION_COMMAND, 'gi'))) {
    const command = /^[^a-z]*(?:(?:begin|then|else|loop)\s+)?(.*)$/is.exec(text.slice(index))
    effects.push(...commandEffects(command?.[1] ?? ''))
  }
  for (const { 0: call } of text.matchAll(/\bset_config\s*\([^;]{0,500}/gi)) {
    if (/,\s*true\s*\)/i.test(call)) continue
    const name = /^set_config\s*\(\s*'([^'\\]+)'\s*,/i.exec(call)?.[1]
    effects.push(name === undefined ? null : unshown(name))
  }
  for (const [word] of source.matchAll(WORD))
    effects.push(...callEffects(word.toLowerCase(), source))
  return effects.includes(null) ? null : (effects as Effect[])
}

function unshown(name: string): Effect {
  return { kind: 'set', name: name.toLowerCase(), value: null, local: false, opaque: true }
}

/** A command of the session, which `text` begins with. */
function commandEffects(text: string): (Effect | null)[] {
  const listen = /^listen\s+([a-z_][a-z0-9_]*)/i.exec(text)
  if (listen !== null) return [{ kind: 'listen', channel: (listen[1] ?? '').toLowerCase() }]
  if (/^set\s+(?:transaction|constraints)\b/i.test(text)) return []
  const special =
    /^(?:re)?set\s+(?:session\s+)?(role|time\s+zone|names|schema|(?:session\s+)?authorization)\b/i
  switch (special.exec(text)?.[1]?.toLowerCase().split(/\s+/).at(-1)) {
    case 'role':
      return [unshown('role')]
    case 'zone':
      return [unshown('timezone')]
    case 'names':
      return [unshown('client_encoding')]
    case 'schema':
      return [unshown('search_path')]
    case 'authorization':
      return [unshown('session_authorization'), unshown('role')]
    default:
  }
  const set = /^set\s+(?:session\s+)?([a-z_][\w.$]*)\s*(?:=|to\b)/i.exec(text)
  const reset = /^reset\s+(?!all\b)([a-z_][\w.$]*)/i.exec(text)
  const name = set?.[1] ?? reset?.[1]
  return [name === undefined ? null : unshown(name)]
}

function callEffects(name: string, source: string): (Effect | null)[] {
  if (ADVISORY_LOCK_FUNCTIONS.has(name)) return [{ kind: 'advisory-lock' }]
  if (ADVISORY_UNLOCK_FUNCTIONS.has(name)) return [{ kind: 'advisory-unlock', all: false }]
  if (name === 'currval' || name === 'lastval') {
    return [{ kind: 'sequence-read', isOwn: /\b(?:nextval|insert)\b/i.test(source) }]
  }
  return SESSION_FUNCTIONS.has(name) ? [null] : []
}

/** Whether the source creates or alters objects that outlive the session. */
export function createsObjects(source: string): boolean {
  return CREATES.test(source)
}
