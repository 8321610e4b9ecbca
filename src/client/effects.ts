import { effectPin } from '../sql/effect-pin.ts'
import type { Pin } from '../sql/pin.ts'
import type { Effect } from '../sql/statement-class.ts'
import { txStatus } from '../wire/message-types.ts'
import { noteCustoms, noteUnproved } from './blind-class.ts'
import { discardAll, forgetStatements } from './discard-all.ts'
import { isUnproved } from './leaves-unknown.ts'
import type { Listener } from './listener.ts'
import { noteSeen } from './note-seen.ts'
import { isOwnSetting } from './own-settings.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'
import {
  applySet,
  completeDateStyle,
  customNames,
  forgetSetting,
  refreshFacts,
  resetAll,
} from './setting-effects.ts'
import type { Settings } from './transaction.ts'

/**
 * What a finished request has done to the session: settings, transaction, pins. Called once per
 * request, in order, with the transaction status that the server reported behind it.
 */
export function applyEffects(session: ClientSession, request: Request, status: number): void {
  const { effects, error, pin } = request
  const isFailed = error !== null
  if (effects.length > 0 || pin !== null) {
    const implicit = applyCompleted(session, request)
    if (effects.some(isUnproved)) noteUnproved(session, request)
    if (effects.some(({ kind }) => kind === 'ddl')) {
      noteCustoms(session.scope, textOf(session, request))
    }
    if (isFailed) {
      keepWhatStays(session, request)
      if (status === txStatus.idle && session.transaction === null) rollBack(session, implicit)
    }
  }
  if (status === txStatus.idle && session.transaction !== null && (isFailed || !request.begin)) {
    endTransaction(session, isFailed)
  }
  if (status !== txStatus.idle) {
    session.block.open(session).noteDone(request)
  } else if (session.listener !== null) settleChannels(session, session.listener)
  refreshFacts(session)
  const { connection } = request
  if (connection !== null && session.pinReason !== null && session.pins.mayHaveTemporarySchema) {
    connection.noteTemporarySchema()
  }
  noteSeen(session, request, status)
}

/** Bytes with the text that was run. */
function textOf({ unnamed }: ClientSession, request: Request): Buffer {
  if (request.kind !== 'extended') return request.bytes
  const statement = (request.needs[0] ?? request.parses[0])?.statement
  return statement?.body ?? unnamed.statement?.body ?? request.bytes
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
    if (effect.kind === 'listen' && request.isHeard) continue
    const stays =
      effect.kind === 'prepare' ? !isAlone : isUnproved(effect) || effectPin(effect) !== null
    if (stays && effect.kind === 'set') session.pins.ask(effect.name)
    else if (stays) session.pins.apply(effect)
  }
  if (!isAlone || cls.keyword !== 'load')
    for (const pin of lastingPins(request)) session.pins.add(pin)
  if (session.pinReason !== null) session.pins.doubtAll()
}

function endTransaction(session: ClientSession, isRolledBack: boolean): void {
  if (isRolledBack && session.transaction !== null) {
    rollBack(session, session.transaction.before)
    if (session.pinReason !== null) session.pins.doubtAll()
  }
  if (!isRolledBack) {
    session.listener?.commit()
    for (const effect of session.transaction?.releases ?? []) session.pins.apply(effect)
  }
  if (!isRolledBack && session.transaction?.hasNewDefaults) session.cluster.noteDefaultsChange()
  const ddl = session.block.end()
  if (!isRolledBack && ddl !== undefined) session.cluster.noteDdl(session.scope.database, ddl)
}

/**
 * Applies what has been completed: all of a request, or what came before its error. Returns the
 * settings that the server goes back to if the rest of it failed outside of a block.
 */
function applyCompleted(session: ClientSession, request: Request): Settings {
  const { error, completed, tags, connection } = request
  const units = unitsOf(request)
  const done = error === null ? units.length : completed
  let implicit = settingsOf(session)
  for (const [i, effects] of units.slice(0, done).entries()) {
    for (const effect of effects) {
      if (isDiscardAll(effect) && session.pinReason !== null && session.pins.outlivesDiscard) {
        // LOAD, setseed, parameters that nobody knows …
        connection?.condemn('outlives DISCARD ALL')
      }
      const isHeard = hearsBy(session, request, effect)
      // A pin that is taken too early, or stays for too long, does no harm.
      if (isHeard) noteChannel(session, effect)
      if (isHeard && effect.kind === 'listen') continue
      if (isUndoable(effect) && (session.transaction !== null || error !== null)) {
        session.transaction?.releases.push(effect)
      } else session.pins.apply(effect)
      applyOne(session, effect, request, implicit, tags?.[i] ?? '')
      if (endsImplicit(effect)) implicit = settingsOf(session)
      if (effect.kind === 'deallocate' && effect.name === null) request.connection?.prepared.clear()
    }
  }
  // Of what was only bound, too.
  if (request.kind === 'extended') {
    for (const effect of request.effects) if (isUnproved(effect)) session.pins.apply(effect)
  }
  if (error !== null) knowUnfinished(session, request, units[done] ?? [])
  else for (const pin of lastingPins(request)) session.pins.add(pin)
  return implicit
}

/** Its pins that no effect stands for: nothing tells when they end. */
function lastingPins({ kind, cls, executed, pin }: Request): Pin[] {
  const classes = kind === 'extended' ? executed : [cls]
  const found = classes.flatMap(({ parts }) => parts.map((part) => part.pin))
  return [...found, pin].filter((one) => one !== null && !one.isOfEffects) as Pin[]
}

/** Is it a LISTEN or UNLISTEN that the hub serves? */
function hearsBy({ listener }: ClientSession, { isHeard }: Request, { kind }: Effect): boolean {
  return (kind === 'listen' && isHeard) || (kind === 'unlisten' && listener !== null)
}

function noteChannel({ listener }: ClientSession, effect: Effect): void {
  if (effect.kind !== 'listen' && effect.kind !== 'unlisten') return
  listener?.note({ isListen: effect.kind === 'listen', channel: effect.channel })
}

/** No transaction is open: what it listens to is decided. */
function settleChannels(session: ClientSession, listener: Listener): void {
  listener.commit()
  if (session.inFlight.length === 0 && session.waiting.request === null) listener.tidy()
}

/** Is what came before it final? DISCARD ALL can't be undone, either. */
function endsImplicit(effect: Effect): boolean {
  return effect.kind === 'commit' || effect.kind === 'rollback' || isDiscardAll(effect)
}

function isDiscardAll(effect: Effect): boolean {
  return effect.kind === 'discard' && effect.what === 'all'
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
    connection.condemn('customs unknown')
  }
}

function settingsOf({ state, actual, pending }: ClientSession): Settings {
  return { state, actual, pending }
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
      session.block.open(implicit)
      break
    case 'commit':
      endTransaction(session, tag === 'ROLLBACK')
      if (effect.chain) session.block.chain(session, transaction)
      break
    case 'rollback':
      if (transaction === null) rollBack(session, implicit)
      endTransaction(session, true)
      if (effect.chain) session.block.chain(session, transaction)
      break
    case 'prepare-transaction':
      // Of a failed transaction it is a ROLLBACK, too.
      endTransaction(session, tag === 'ROLLBACK')
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
      // SET of pgsplit's own was done when it was answered.
      if (isOwnSetting(effect.name) && effect.config === undefined) break
      if (effect.local) {
        session.settings.know(customNames([effect]))
        break
      }
      applySet(session, effect.name, effect.value, effect.opaque, effect.config)
      if (effect.name === 'datestyle') completeDateStyle(session, request)
      break
    case 'reset':
      if (isOwnSetting(effect.name)) break
      forgetSetting(session, effect.name)
      break
    case 'reset-all':
      resetAll(session)
      break
    case 'discard':
      if (effect.what === 'sequences' || effect.what === 'all') {
        session.sequenceConnection = null
        request.connection?.forgetSequences()
      }
      if (effect.what === 'all') {
        request.connection?.prepared.clear()
        discardAll(session, true)
      }
      break
    case 'deallocate': {
      const own = effect.name === null ? undefined : session.statements.get(effect.name)
      if (own !== undefined) request.connection?.prepared.delete(own.serverName)
      forgetStatements(session, effect.name)
      break
    }
    case 'ddl':
      session.block.noteDdl(effect.touches)
      session.cluster.noteDdl(session.scope.database, effect.touches)
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

function rollBack(session: ClientSession, { state, actual, pending }: Settings): void {
  session.listener?.rollBack(pending)
  session.settings.rollBack(state, actual)
}
