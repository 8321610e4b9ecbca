import type { ServerConnection } from '../server/server-connection.ts'
import { isCustomName, SessionState, unshownName } from '../server/session-state.ts'
import { isTrackableName } from '../server/state-sync.ts'
import { effectPin, settingPin } from '../sql/effect-pin.ts'
import type { Effect } from '../sql/statement-class.ts'
import { txStatus } from '../wire/message-types.ts'
import { giveBackKept } from './leave-connection.ts'
import { noteSeen } from './note-seen.ts'
import { applyOwnSetting, isOwnSetting } from './own-settings.ts'

import { searchPathPin } from './pins.ts'

import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import { settingValue } from './setting-value.ts'
import { type Settings, Transaction } from './transaction.ts'

/**
 * What a finished request has done to the session: settings, transaction, pins. Called once per
 * request, in order, with the transaction status that the server reported behind it.
 */
export function applyEffects(session: ClientSession, request: Request, status: number): void {
  const { effects, error, pin } = request
  const isFailed = error !== null
  if (effects.length > 0 || pin !== null) {
    const implicit = applyCompleted(session, request)
    if (isFailed) {
      keepWhatStays(session, request)
      if (status === txStatus.idle && session.transaction === null) rollBack(session, implicit)
    }
  }
  if (status === txStatus.idle && session.transaction !== null && (isFailed || !request.begin)) {
    endTransaction(session, isFailed)
  }
  if (status !== txStatus.idle) session.transaction ??= new Transaction(session)
  refreshFacts(session)
  noteSeen(session, request, status)
}

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

/**
 * Locks, prepared statements and the like are no part of a transaction: an error leaves them. What
 * the failed statement may have done is taken for done until the server is asked.
 */
function keepWhatStays(session: ClientSession, request: Request): void {
  const { effects, cls, executed, error } = request
  if (request.refusal !== null || error?.sqlstate === '25P02') return
  const isAlone = cls.parts.length <= 1 && executed.length <= 1
  for (const effect of effects) {
    const stays = effect.kind === 'prepare' ? !isAlone : effectPin(effect) !== null
    if (stays && effect.kind === 'set') session.pins.ask(effect.name)
    else if (stays) session.pins.apply(effect)
  }
  if (!isAlone || cls.keyword !== 'load') for (const pin of pinsOf(request)) session.pins.add(pin)
  if (session.pinReason !== null) session.pins.doubtAll()
}

function endTransaction(session: ClientSession, isRolledBack: boolean): void {
  if (isRolledBack && session.transaction !== null) {
    rollBack(session, session.transaction.before)
    if (session.pinReason !== null) session.pins.doubtAll()
  }
  if (!isRolledBack) {
    for (const effect of session.transaction?.releases ?? []) session.pins.apply(effect)
  }
  if (!isRolledBack && session.transaction?.hasNewDefaults) session.cluster.noteDefaultsChange()
  if (!isRolledBack && session.hasDdl) session.cluster.noteDdl(session.scope.database)
  session.hasDdl = false
  session.transaction = null
}

/**
 * Applies what has been completed: all of a request, or what came before its error. Returns the
 * settings that the server goes back to if the rest of it failed outside of a block.
 */
function applyCompleted(session: ClientSession, request: Request): Settings {
  const { error, completed, tags } = request
  const units = unitsOf(request)
  const done = error === null ? units.length : completed
  let implicit = settingsOf(session)
  for (const [i, effects] of units.slice(0, done).entries()) {
    for (const effect of effects) {
      // A pin that is taken too early, or stays for too long, does no harm.
      if (isUndoable(effect) && (session.transaction !== null || error !== null)) {
        session.transaction?.releases.push(effect)
      } else session.pins.apply(effect)
      applyOne(session, effect, request, implicit, tags?.[i] ?? '')
      if (endsImplicit(effect)) implicit = settingsOf(session)
      if (effect.kind === 'deallocate' && effect.name === null) request.connection?.prepared.clear()
    }
  }
  if (error !== null) knowUnfinished(session, request, units[done] ?? [])
  else for (const pin of pinsOf(request)) session.pins.add(pin)
  return implicit
}

/** Pin reasons that no effect stands for: nothing tells when they end. */
function pinsOf({ kind, cls, executed, pin, effects }: Request): Set<string> {
  const found = new Set<string>()
  const classes = kind === 'extended' ? executed : [cls]
  for (const { pin } of classes.flatMap(({ parts }) => parts)) if (pin !== null) found.add(pin)
  if (pin !== null) found.add(pin)
  // That one is held in `refreshFacts`, for as long as the setting says so.
  found.delete(searchPathPin)
  for (const effect of effects) found.delete(effectPin(effect) ?? '')
  return found
}

/** Is what came before it final? DISCARD ALL can't be undone, either. */
function endsImplicit(effect: Effect): boolean {
  const { kind } = effect
  return kind === 'commit' || kind === 'rollback' || (kind === 'discard' && effect.what === 'all')
}

/** Does it give something up, but not if it is rolled back? */
function isUndoable(effect: Effect): boolean {
  return effect.kind === 'unlisten' || (effect.kind === 'discard' && effect.what === 'temp')
}

/** Is there nothing in it that could look at a setting? */
export function onlySets(request: Request): boolean {
  if (request.effects.length === 0) return false
  return unitsOf(request).every((effects) => effects.length > 0 && !effects.some(isOther))
}

function isOther({ kind }: Effect): boolean {
  return kind !== 'set' && kind !== 'reset' && kind !== 'begin'
}

/** The effects of each statement that the server completes by itself, in order. */
function unitsOf({ kind, cls, executed, queryClass }: Request): (readonly Effect[])[] {
  if (kind !== 'extended') return cls.parts.map(({ effects }) => effects)
  const units = executed.map(({ effects }) => effects)
  for (const { effects } of queryClass?.parts ?? []) units.push(effects)
  return units
}

/** A call of set_config() may have made its parameter known before its statement failed. */
function knowUnfinished(
  session: ClientSession,
  { connection }: Request,
  effects: readonly Effect[],
): void {
  const calls = effects.filter((effect) => effect.kind === 'set' && effect.config !== undefined)
  if (connection !== null && customNames(calls).some((name) => !session.state.entries.has(name))) {
    connection.dirty ??= 'custom parameters unknown after an error'
  }
}

function settingsOf({ state, actual }: ClientSession): Settings {
  return { state, actual }
}

/**
 * `implicit`: the settings in front of the transaction that the server makes of several statements
 * without BEGIN. A BEGIN among them turns it into a block, a ROLLBACK undoes it.
 */
function applyOne(
  session: ClientSession,
  effect: Effect,
  request: Request,
  implicit: Settings,
  tag: string,
): void {
  const { transaction } = session
  switch (effect.kind) {
    case 'begin':
      session.transaction ??= new Transaction(implicit)
      break
    case 'commit':
      endTransaction(session, tag === 'ROLLBACK')
      if (effect.chain) session.transaction = new Transaction(session)
      break
    case 'rollback':
      if (transaction === null) rollBack(session, implicit)
      endTransaction(session, true)
      if (effect.chain) session.transaction = new Transaction(session)
      break
    case 'prepare-transaction':
      endTransaction(session, false)
      break
    case 'savepoint':
      transaction?.savepoint(effect.name, session)
      break
    case 'rollback-to':
      rollBackTo(session, effect.name)
      break
    case 'release':
      transaction?.release(effect.name)
      break
    case 'set':
      if (effect.local) {
        session.state = session.state.knowing(customNames([effect]))
        break
      }
      applySet(session, effect.name, effect.value, effect.opaque, effect.config)
      if (effect.name === 'datestyle') completeDateStyle(session, request)
      break
    case 'reset':
      forgetSetting(session, effect.name)
      break
    case 'reset-all':
      resetAll(session)
      break
    case 'discard':
      if (effect.what === 'sequences' || effect.what === 'all') {
        session.sequenceConnection = null
        if (request.connection !== null) request.connection.sequenceUser = 0
      }
      if (effect.what === 'all') {
        request.connection?.prepared.clear()
        // What pinned it may be more than DISCARD ALL undoes (LOAD, setseed …).
        if (session.pinReason !== null && request.connection !== null) {
          request.connection.dirty ??= 'was pinned'
        }
        discardAll(session)
        session.actual = SessionState.empty
      }
      break
    case 'deallocate': {
      const own = effect.name === null ? undefined : session.statements.get(effect.name)
      if (own !== undefined) request.connection?.prepared.delete(own.serverName)
      forgetStatements(session, effect.name)
      break
    }
    case 'ddl':
      session.hasDdl = true
      session.cluster.noteDdl(session.scope.database)
      break
    case 'alter-defaults':
      if (session.transaction === null) session.cluster.noteDefaultsChange()
      else session.transaction.hasNewDefaults = true
      break
    default:
      break
  }
}

function rollBackTo(session: ClientSession, name: string): void {
  const settings = session.transaction?.rollbackTo(name) ?? null
  if (settings !== null) rollBack(session, settings)
}

function rollBack(session: ClientSession, { state, actual }: Settings): void {
  session.state = state.knowing(session.state.customs)
  session.actual = actual
}

/** `SET DateStyle TO German` keeps the order of day and month: what the server reports has both. */
function completeDateStyle(session: ClientSession, request: Request): void {
  const value = request.connection?.parameters.get('DateStyle')
  if (value === undefined || session.state.get('datestyle') === undefined) return
  session.state = session.state.with('datestyle', value)
  if (session.actual !== null) session.actual = session.actual.with('datestyle', value)
}

function applySet(
  session: ClientSession,
  name: string,
  sqlText: string | null,
  isOpaque: boolean,
  config?: string,
): void {
  if (isOwnSetting(name)) {
    if (sqlText === null) applyOwnSetting(session, name, null)
    else applyOwnSetting(session, name, settingValue(name, sqlText))
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
  if (name !== '*' && !isTrackableName(name)) session.pins.add(settingPin(name))
  else if (value === null) session.pins.ask(name)
  else trackSetting(session, name, value)
}

/** The parameter has this value now, on the leased connection and for the client. */
export function trackSetting(session: ClientSession, name: string, value: string): void {
  // A new session user has its own role (PostgreSQL: SET SESSION AUTHORIZATION).
  const base = name === 'session_authorization' ? session.state.without('role') : session.state
  session.state = base.with(name, value)
  if (session.actual !== null) session.actual = session.actual.with(name, value)
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
  const initial = session.startup.get(name)
  if (initial !== undefined || session.actual !== null) {
    session.actual = (session.actual ?? session.state).without(name)
  }
  session.state =
    initial === undefined ? session.state.without(name) : session.state.with(name, initial)
}

function resetOwnSettings(session: ClientSession): void {
  const { poolMode, ...facts } = session.ownDefaults
  session.poolMode = poolMode
  if (poolMode === 'transaction') giveBackKept(session)
  Object.assign(session.facts, facts)
}

/** RESET ALL leaves the role and the session user alone (PostgreSQL: GUC_NO_RESET_ALL). */
function resetAll(session: ClientSession): void {
  resetOwnSettings(session)
  const role = session.state.get('role')
  const user = session.state.get('session_authorization')
  let state = session.startup.knowing(session.state.customs)
  let actual = SessionState.empty
  if (role !== undefined) actual = actual.with('role', role)
  if (user !== undefined) actual = actual.with('session_authorization', user)
  session.actual = actual
  if (role !== undefined) state = state.with('role', role)
  if (user !== undefined) state = state.with('session_authorization', user)
  session.state = state
}

export function discardAll(session: ClientSession): void {
  resetOwnSettings(session)
  session.state = session.startup.knowing(session.state.customs)
  session.pins.clear()
  session.sequenceConnection = null
  session.facts.pinned = null
  forgetStatements(session, null)
  session.portals.clear()
  session.unnamed = null
  session.unnamedClass = null
}

/** Drops one name, or all; true when there was something to drop. */
export function forgetStatements(session: ClientSession, name: string | null): boolean {
  let isKnown = false
  for (const [known, statement] of session.statements) {
    if (name !== null && known !== name) continue
    session.statements.forget(known, statement)
    isKnown = true
  }
  return isKnown
}

/** Settings that routing asks about. */
export function refreshFacts(session: ClientSession): void {
  if (session.factsState === session.state) return
  session.factsState = session.state
  const { facts, state } = session
  facts.defaultReadOnly = isOn(state.get('default_transaction_read_only'))
  facts.defaultDeferrable = isOn(state.get('default_transaction_deferrable'))
  facts.defaultIsolationSerializable =
    state.get('default_transaction_isolation')?.toLowerCase() === 'serializable'
  // What is created without a schema is temporary then, and no text shows it.
  if (state.get('search_path')?.includes('pg_temp')) {
    session.pins.add(searchPathPin)
    facts.pinned = session.pinReason
  } else if (session.pinReason !== null) session.pins.drop(searchPathPin)
}

/** Notes what settings the leased connection has now. */
export function noteState({ actual, state }: ClientSession, connection: ServerConnection): void {
  connection.state = (actual ?? state).knowing(state.customs).knowing(connection.state.customs)
}

/** As PostgreSQL's parse_bool: on, true, yes, 1 and their unique beginnings. */
function isOn(value: string | undefined): boolean {
  return value !== undefined && /^(on|t|tr|tru|true|y|ye|yes|1)$/i.test(value)
}
