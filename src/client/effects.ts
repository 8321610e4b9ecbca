import { isCustomName, SessionState, unshownName } from '../server/session-state.ts'
import { isTrackableName } from '../server/state-sync.ts'
import type { Effect } from '../sql/statement-class.ts'
import { txStatus } from '../wire/message-types.ts'
import { giveBackKept } from './leave-connection.ts'
import { applyOwnSetting, isOwnSetting } from './own-settings.ts'
import { noteWrite } from './own-writes.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import { settingValue } from './setting-value.ts'
import { Transaction } from './transaction.ts'

/**
 * What a finished request has done to the session: settings, transaction, pins. Called once per
 * request, in order, with the transaction status that the server reported behind it.
 */
export function applyEffects(session: ClientSession, request: Request, status: number): void {
  const { effects } = request
  if (request.error !== null) applyError(session, request, status)
  else if (effects.length > 0 || request.pin !== null) applySuccess(session, request)
  if (status === txStatus.idle && session.transaction !== null && request.begin === null) {
    endTransaction(session, request.error !== null)
  }
  if (status !== txStatus.idle) session.transaction ??= new Transaction(session.state)
  refreshFacts(session)
  noteWrite(session, request, status)
}

function applyError(session: ClientSession, request: Request, status: number): void {
  const { effects } = request
  const controlsTransaction = effects.some(({ kind }) => kind === 'begin' || kind === 'commit')
  const sets = effects.some(({ kind }) => kind === 'set' || kind === 'reset')
  // Some of the text may have been committed before the error: what holds now can't be known.
  if (controlsTransaction && sets) session.pins.add('settings unknown after an error')
  knowCustoms(session, request)
  if (status === txStatus.idle && session.transaction !== null) endTransaction(session, true)
  keepWhatStays(session, request)
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

/** A text or segment that failed may have made them known before. */
function knowCustoms(session: ClientSession, request: Request): void {
  const { effects, error, connection, cls, executed } = request
  if (effects.length === 0 || (cls.parts.length <= 1 && executed.length <= 1)) return
  // Nothing has run in an aborted transaction, or of a text with a syntax error.
  if (error?.sqlstate === '25P02' || error?.sqlstate === '42601') return
  const names = customNames(effects)
  if (names.length === 0) return
  session.state = session.state.knowing(names)
  if (connection !== null) connection.dirty ??= 'custom parameters unknown after an error'
}

/** Locks, prepared statements and the like are no part of a transaction: an error leaves them. */
function keepWhatStays(session: ClientSession, request: Request): void {
  const { effects, pin, cls, executed } = request
  if (request.refusal !== null) return
  const isAlone = cls.parts.length <= 1 && executed.length <= 1
  let isExplained = false
  for (const effect of effects) {
    const { kind } = effect
    if (kind === 'advisory-lock' || (kind === 'prepare' && !isAlone)) session.pins.apply(effect)
    isExplained ||= /^(listen|unlisten|temp|declare|set|prepare|advisory-lock)$/.test(kind)
  }
  if (pin !== null && !isExplained) session.pins.add(pin)
}

function endTransaction(session: ClientSession, isRolledBack: boolean): void {
  if (isRolledBack && session.transaction !== null) {
    session.state = session.transaction.before.knowing(session.state.customs)
    session.actual = null
  }
  if (!isRolledBack) {
    for (const effect of session.transaction?.unlistens ?? []) session.pins.apply(effect)
  }
  if (!isRolledBack && session.hasDdl) session.cluster.noteDdl(session.scope.database)
  session.hasDdl = false
  session.transaction = null
}

function applySuccess(session: ClientSession, request: Request): void {
  let isPinned = false
  for (const effect of request.effects) {
    // LISTEN and UNLISTEN take effect at COMMIT; to listen for too long does no harm.
    if (effect.kind === 'unlisten' && session.transaction !== null) {
      session.transaction.unlistens.push(effect)
      isPinned = true
    } else if (session.pins.apply(effect)) isPinned = true
    applyOne(session, effect, request)
    if (effect.kind === 'deallocate' && effect.name === null) request.connection?.prepared.clear()
  }
  if (request.pin === null) return
  if (!isPinned || (request.effects.length > 1 && session.pins.reason === null)) {
    session.pins.add(request.pin)
  }
}

function applyOne(session: ClientSession, effect: Effect, request: Request): void {
  const { transaction } = session
  switch (effect.kind) {
    case 'begin':
      session.transaction ??= new Transaction(session.state)
      break
    case 'commit':
      endTransaction(session, request.tag === 'ROLLBACK')
      if (effect.chain) session.transaction = new Transaction(session.state)
      break
    case 'rollback':
      endTransaction(session, true)
      if (effect.chain) session.transaction = new Transaction(session.state)
      break
    case 'prepare-transaction':
      endTransaction(session, false)
      break
    case 'savepoint':
      transaction?.savepoint(effect.name, session.state)
      break
    case 'rollback-to':
      session.state = (transaction?.rollbackTo(effect.name) ?? session.state).knowing(
        session.state.customs,
      )
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
      applyReset(session, effect.name)
      break
    case 'reset-all':
      resetAll(session)
      break
    case 'discard':
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
      session.cluster.noteDefaultsChange()
      break
    default:
      break
  }
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
    applyReset(session, name)
    return
  }
  const value =
    sqlText === null || isOpaque ? null : byteText(config ?? settingValue(name, sqlText))
  if (value === null || !isTrackableName(name)) {
    session.pins.add(`setting ${name} whose value the statement does not show`)
    return
  }
  // A new session user has its own role (PostgreSQL: SET SESSION AUTHORIZATION).
  const base = name === 'session_authorization' ? session.state.without('role') : session.state
  session.state = base.with(name, value)
  if (session.actual !== null) session.actual = session.actual.with(name, value)
}

/**
 * The value's bytes as the client sent them, one character each: states are replayed byte for byte,
 * under the client's own encoding. null for text that was not valid UTF-8 and so can't be told.
 */
function byteText(value: string | null): string | null {
  if (value === null || value.includes('\ufffd')) return null
  return Buffer.from(value).toString('latin1')
}

function applyReset(session: ClientSession, name: string): void {
  if (isOwnSetting(name)) {
    applyOwnSetting(session, name, null)
    return
  }
  // The session user's own role comes back with him.
  if (name === 'session_authorization') applyReset(session, 'role')
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
}

/** As PostgreSQL's parse_bool: on, true, yes, 1 and their unique beginnings. */
function isOn(value: string | undefined): boolean {
  return value !== undefined && /^(on|t|tr|tru|true|y|ye|yes|1)$/i.test(value)
}
