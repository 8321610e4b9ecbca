/**
 * What the source text of a function or DO block does to its session, by its words alone. It is
 * not a proof but a hygiene: what is missed here is a session state that pgsplit doesn't know.
 */
import { SESSION_FUNCTIONS } from './session-functions.ts'

const SESSION_COMMAND =
  /(?:^|;|\b(?:begin|then|else|loop)\b)\s*(set(?!\s+local\b)|reset|discard|listen|load)\b/i
const TEMPORARY = /\b(?:temp|temporary|pg_temp)\b/i
const CREATES = /\bcreate\b(?!\s+(?:(?:local|global)\s+)?temp)|\balter\b/i
const WORD = /[a-z_][a-z0-9_]*/gi

/** A clause like `calls set_config()`, or null when nothing was found. */
export function sessionUse(source: string): string | null {
  if (TEMPORARY.test(source)) return 'uses temporary objects'
  const command = SESSION_COMMAND.exec(source.replace(/--[^\n]*/g, ''))
  if (command !== null) return `runs ${(command[1] ?? '').toUpperCase()}`
  // set_config(…, true) ends with the transaction.
  if (/\bset_config\b(?![^;]{0,500}?,\s*true\s*\))/i.test(source)) return 'calls set_config()'
  for (const [word] of source.matchAll(WORD)) {
    const name = word.toLowerCase()
    if (SESSION_FUNCTIONS.has(name)) return `calls ${name}()`
  }
  return null
}

/** Whether the source creates or alters objects that outlive the session. */
export function createsObjects(source: string): boolean {
  return CREATES.test(source)
}
