import { PgSplitError } from '../errors.ts'
import { isCustomName, unshownName } from '../server/session-state.ts'
import { isTrackableName } from '../server/state-sync.ts'
import { settingPin } from '../sql/effect-pin.ts'
import { lastingPin } from '../sql/pin.ts'
import type { Effect } from '../sql/statement-class.ts'
import { giveBackKept } from './leave-connection.ts'
import { applyOwnSetting, isOwnSetting } from './own-settings.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import { settingValue } from './setting-value.ts'

/** Does it bring settings back to the server's defaults? */
export function resets({ effects }: Request): boolean {
  return effects.some(
    (effect) =>
      effect.kind === 'reset' ||
      effect.kind === 'reset-all' ||
      (effect.kind === 'set' && effect.value === null && !effect.opaque) ||
      (effect.kind === 'discard' && effect.what === 'all'),
  )
}

/**
 * Custom parameters that these effects make known to the server's session, whether they stay set or
 * not: of SET LOCAL and of what is rolled back an empty value remains.
 */
export function customNames(effects: readonly Effect[]): string[] {
  const names: string[] = []
  for (const effect of effects) {
    if (effect.kind !== 'set' && effect.kind !== 'reset') continue
    if (isCustomName(effect.name) && !isOwnSetting(effect.name)) names.push(effect.name)
    else if (effect.name === '') names.push(unshownName)
  }
  return names
}

/** `SET DateStyle TO German` keeps the order of day and month: what the server reports has both. */
export function completeDateStyle(session: ClientSession, request: Request): void {
  const value = request.connection?.parameters.get('DateStyle')
  if (value === undefined || session.state.get('datestyle') === undefined) return
  session.settings.set('datestyle', value)
}

export function applySet(
  session: ClientSession,
  name: string,
  sqlText: string | null,
  isOpaque: boolean,
  config?: string,
): void {
  if (isOwnSetting(name)) {
    takeOwnSetting(session, name, sqlText === null ? null : settingValue(name, sqlText))
    return
  }
  if (name.startsWith('transaction_')) return
  if (sqlText === null && !isOpaque) {
    forgetSetting(session, name)
    return
  }
  // With standard_conforming_strings = off a backslash begins an escape, which is the server's to read.
  const isEscaped =
    config === undefined && session.lexMode !== 'standard' && sqlText?.includes('\\') === true
  const value =
    sqlText === null || isOpaque || isEscaped
      ? null
      : byteText(config ?? settingValue(name, sqlText))
  if (name !== '*' && !isTrackableName(name)) session.pins.add(lastingPin(settingPin(name)))
  else if (value === null) session.pins.ask(name)
  else trackSetting(session, name, value)
}

/** set_config() of a parameter of pgsplit's own: the server takes any value, we don't. */
export function takeOwnSetting(session: ClientSession, name: string, value: string | null): void {
  try {
    applyOwnSetting(session, name, value)
  } catch (error) {
    // As if it had not been said: the statement has had its answer.
    if (!(error instanceof PgSplitError)) throw error
  }
}

/** The parameter has this value now, on the leased connection and for the client. */
export function trackSetting(session: ClientSession, name: string, value: string): void {
  session.settings.set(name, value)
  if (name === 'role' || name === 'session_authorization') {
    session.cluster.noteTakenRole(session, name)
  }
  if (session.pinReason !== null) session.pins.askAgain(name)
}

/**
 * The value's bytes as the client sent them, one character each: states are replayed byte for byte,
 * under the client's own encoding. null for text that was not valid UTF-8 and so can't be told.
 */
function byteText(value: string | null): string | null {
  if (value === null || value.includes('\ufffd')) return null
  return Buffer.from(value).toString('latin1')
}

/** The parameter goes back to what the client's startup packet, or the server, says. */
export function forgetSetting(session: ClientSession, name: string): void {
  if (isOwnSetting(name)) {
    applyOwnSetting(session, name, null)
    return
  }
  if (session.pinReason !== null) session.pins.askAgain(name)
  // The session user's own role comes back with him.
  if (name === 'session_authorization') forgetSetting(session, 'role')
  session.settings.reset(name)
}

export function resetOwnSettings(session: ClientSession): void {
  const { poolMode, ...facts } = session.ownDefaults
  session.poolMode = poolMode
  if (poolMode === 'transaction') giveBackKept(session)
  Object.assign(session.facts, facts)
}

export function resetAll(session: ClientSession): void {
  resetOwnSettings(session)
  session.settings.resetAll()
}

/** Settings that routing asks about. */
export function refreshFacts(session: ClientSession): void {
  if (session.factsState === session.state) return
  session.factsState = session.state
  const { facts, state } = session
  facts.defaultReadOnly = isOn(state.get('default_transaction_read_only'))
  facts.defaultDeferrable = isOn(state.get('default_transaction_deferrable'))
  const isolation = state.get('default_transaction_isolation')?.toLowerCase()
  facts.defaultIsolationSerializable = isolation === 'serializable'
  facts.defaultIsolationRepeatable = isolation === 'repeatable read'
  // What is created without a schema is temporary then, and no text shows it.
  if (state.namesTemporarySchema) {
    session.pins.add('search_path')
    session.notePin()
  } else if (session.pinReason !== null) session.pins.drop('search_path')
}

/** As PostgreSQL's parse_bool: on, true, yes, 1 and their unique beginnings. */
function isOn(value: string | undefined): boolean {
  return value !== undefined && /^(on|t|tr|tru|true|y|ye|yes|1)$/i.test(value)
}
