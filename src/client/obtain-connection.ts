import { PgSplitError } from '../errors.ts'
import type { Claim } from '../pool/claim.ts'
import type { NodePool } from '../pool/node-pool.ts'
import type { UseMode, Waiter } from '../pool/pooled.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { SessionState } from '../server/session-state.ts'
import { noticeResponse } from '../wire/backend-messages.ts'
import type { ErrorFields } from '../wire/error-fields.ts'
import { askIsolation, isIsolationUnknown, isolationOf } from './ask-isolation.ts'
import { claimOf } from './claim-of.ts'
import { onlySets } from './effects.ts'
import { clearWriter, mustClear } from './hear-first.ts'
import { mayHold } from './hold-request.ts'
import { abandon, dropLease, keep, leave } from './leave-connection.ts'
import { loseLease } from './lost-request.ts'
import { takeParked } from './parked.ts'
import { refuse } from './refuse-request.ts'
import { type Request, requestBit } from './request.ts'
import { maxAttempts } from './rerun-request.ts'
import { goOn, keeps, route } from './route-request.ts'
import { sendOn } from './send-request.ts'
import { sequenceConnection } from './sequences.ts'
import type { ClientSession } from './session.ts'
import { customNames } from './setting-effects.ts'
import { WaitAnywhere } from './wait-anywhere.ts'

/**
 * Gets a connection to the node: kept, at once from the pool, or after a wait that is timed out.
 * `isReadOnly`: what a replica could serve as well.
 */
export function checkout(
  session: ClientSession,
  request: Request,
  nodeIndex: number,
  mode: UseMode,
  isReadOnly = request.hasChoice,
): void {
  request.nodeIndex = nodeIndex
  const claim = claimOf(session, request, isReadOnly, request.onReplica)
  const wanted = wantedState(session, request)
  const taken = takeAt(session, request, nodeIndex, mode, wanted, claim)
  if (taken !== null) {
    begin(session, request, taken)
    return
  }
  if (request.hasChoice) new WaitAnywhere(session, request, mode, wanted).start()
  else wait(session, request, session.scope.pool(nodeIndex), { mode, stateKey: wanted, claim })
}

/** A connection to the node that is there at once, or null. */
export function takeAt(
  session: ClientSession,
  request: Request,
  nodeIndex: number,
  mode: UseMode,
  stateKey: SessionState,
  claim: Claim,
): ServerConnection | null {
  const kept = session.held.keptAt(nodeIndex)
  if (kept !== null && !kept.isClosed) return kept
  const parked = takeParked(session, request, nodeIndex)
  if (parked !== null) return parked
  const pool = session.scope.pool(nodeIndex)
  const own = sequenceConnection(session, request, nodeIndex)
  if (own !== null && pool.takeThis(own, stateKey, claim)) return own
  return pool.take(mode, stateKey, claim)
}

/** The state to look for: what a request only sets it may find known already. */
function wantedState({ state }: ClientSession, request: Request): SessionState {
  const { effects } = request
  if (effects.length === 0) return state
  if (onlySets(request)) return state.knowing(customNames(effects))
  // `SET search_path = pg_temp`: the session stays there.
  const path = effects.find((effect) => effect.kind === 'set' && effect.name === 'search_path')
  const isTemporary = path !== undefined && effects.some(({ kind }) => kind === 'temp')
  return isTemporary ? state.with('search_path', 'pg_temp') : state
}

/** Waits in the one pool that can serve it. Apart, so that who need not wait makes no closures. */
function wait(
  session: ClientSession,
  request: Request,
  pool: NodePool<ServerConnection>,
  wish: Pick<Waiter<ServerConnection>, 'mode' | 'stateKey' | 'claim'>,
): void {
  const waiter: Waiter<ServerConnection> = {
    ...wish,
    onConnection: (given) => {
      session.waiting.end()
      session.tally.waited(session.cluster.nowMs() - session.requestStartedAtMs)
      begin(session, request, given)
      session.pump()
    },
    onError: (error) => {
      session.waiting.end()
      noConnection(session, request, error)
      session.pump()
    },
  }
  session.waiting.begin(request, () => pool.forget(waiter))
  pool.wait(waiter)
}

/** A connection was given: leased, kept from before, or a place on a shared one. */
export function begin(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): void {
  const pool = session.scope.pool(connection.nodeIndex)
  if (session.held.isKept(connection)) session.held.take(connection, pool)
  else if (pool.isLeased(connection)) {
    session.held.take(connection, pool)
    connection.hold(session)
    if (keeps(session)) keep(session, connection)
  } else {
    request.isShared = true
    session.scope.watchShared()
  }
  prepare(session, request, connection)
}

/** Brings the session's settings to the connection, then sends. */
export function prepare(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): void {
  session.settings.leaveLease()
  if (request.effects.length > 0 && mustClear(session, request, connection)) {
    clear(session, request, connection)
    return
  }
  if (connection.state === session.state) {
    ready(session, request, connection)
    return
  }
  bringSettings(session, request, connection)
}

/** The connection has the session's settings. */
function ready(session: ClientSession, request: Request, connection: ServerConnection): void {
  const isFirst = session.deferred !== null && request.onReplica && session.lease === connection
  if (!isFirst || !isIsolationUnknown(session)) {
    send(session, request, connection)
    return
  }
  session.waiting.begin(request, null)
  askIsolation(connection, (isolation) => {
    session.waiting.endOf(request)
    if (session.isGone) abandon(session)
    else if (isolation === null) {
      dropLease(session)
      noConnection(session, request, new Error('connection lost before BEGIN'))
    } else {
      const level = isolationOf(isolation)
      session.scope.defaultIsolation = level
      if (level === 'read committed') send(session, request, connection)
      else {
        leave(session, connection, false)
        route(session, request)
      }
    }
    session.pump()
  })
}

/** What others have notified there is heard first. */
function clear(session: ClientSession, request: Request, connection: ServerConnection): void {
  const { hub } = session.scope
  session.waiting.begin(request, null)
  const goOn = (): void => {
    session.waiting.endOf(request)
    if (session.isGone) {
      abandon(session)
      return
    }
    if (connection.isClosed) {
      if (session.isBroken) refuse(session, request, session.block.takeTrouble())
      else route(session, request)
    } else prepare(session, request, connection)
    session.pump()
  }
  if (hub !== null) clearWriter(hub, connection, goOn)
}

function bringSettings(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): void {
  session.waiting.begin(request, null)
  connection.sync(session.state, (error) => {
    session.waiting.endOf(request)
    if (session.isGone) {
      abandon(session)
      return
    }
    if (error === null) ready(session, request, connection)
    else settingRefused(session, request, error, connection.nodeIndex)
    session.pump()
  })
}

/** More of a flushed segment may have come while it waited: the node must be right for all of it. */
function send(session: ClientSession, request: Request, connection: ServerConnection): void {
  if (request.isFlushed && session.lease === connection) goOn(session, request, connection)
  else sendOn(session, request, connection)
}

function settingRefused(
  session: ClientSession,
  request: Request,
  error: ErrorFields,
  nodeIndex: number,
): void {
  const { lease } = session
  const isInBlock = session.transaction !== null && session.deferred === null
  if (error.severity === 'FATAL' && lease !== null && (isInBlock || session.pinReason !== null)) {
    // What went with it is nowhere else: elsewhere the request would run outside its transaction.
    loseLease(session, lease)
    refuse(session, request, session.block.takeTrouble())
    return
  }
  dropLease(session)
  if (error.severity !== 'FATAL' && mayRunElsewhere(session, request, nodeIndex)) {
    // A replica may not know yet what the settings name: a role, a membership, a text search configuration …
    const why = `${error.sqlstate}: ${error.message}`
    session.scope.refusals.noteSettings(session.state, nodeIndex, why, session.cluster.nowMs())
    request.exclude |= requestBit(nodeIndex)
    route(session, request)
    return
  }
  if (error.severity === 'FATAL') {
    noConnection(session, request, new PgSplitError({ sqlstate: '08006', message: error.message }))
    return
  }
  const mayMove = session.transaction === null && session.pinReason === null
  if (mayMove && (forgetReplaced(session, request) || forgetReserved(session, error))) {
    checkout(session, request, request.nodeIndex, 'lease')
    return
  }
  refuse(session, request, {
    sqlstate: error.sqlstate,
    message: `a setting of this session was refused on another server connection: ${error.message}`,
    hint: 'RESET the setting, or make it possible on every node.',
  })
}

/** Nothing was sent to that replica, and nothing of the session is there: what it would run has other places. */
function mayRunElsewhere(session: ClientSession, request: Request, nodeIndex: number): boolean {
  if (request.connection !== null || !session.cluster.isReplica(nodeIndex)) return false
  const isInBlock = session.transaction !== null && session.deferred === null
  return !isInBlock && session.pinReason === null
}

/**
 * RESET, or SET of another value, must work where the value that it replaces is refused. True when
 * the session's settings are others without that.
 */
function forgetReplaced(session: ClientSession, request: Request): boolean {
  const { effects, cls, executed } = request
  const isAlone = cls.parts.length <= 1 && executed.length <= 1
  if (!isAlone || session.deferred !== null) return false
  let { state } = session
  for (const effect of effects) {
    if (effect.kind === 'reset' || (effect.kind === 'set' && !effect.local)) {
      state = state.without(effect.name)
      // A new session user has a role of his own.
      if (effect.name === 'session_authorization') state = state.without('role')
    } else if (effect.kind === 'discard' && effect.what === 'all')
      state = session.settings.afterDiscard()
    else if (effect.kind === 'reset-all') state = session.settings.afterResetAll()
    else return false
  }
  if (state === session.state) return false
  session.settings.goOnWith(state)
  return true
}

/**
 * A custom parameter whose prefix belongs to an extension that this server process has loaded and
 * that doesn't know it. PostgreSQL drops it with this warning where the extension is loaded later.
 */
function forgetReserved(session: ClientSession, error: ErrorFields): boolean {
  if (error.sqlstate !== '42602') return false
  const name = /^invalid configuration parameter name "(.+)"$/.exec(error.message)?.[1] ?? ''
  if (session.state.get(name) === undefined) return false
  session.settings.goOnWith(session.state.without(name))
  session.say(
    noticeResponse('WARNING', {
      sqlstate: error.sqlstate,
      message: `${error.message}, removing it`,
      detail: `"${name.split('.')[0]}" is now a reserved prefix.`,
    }),
  )
  return true
}

/** No connection could be had: another node for a read, a clear error otherwise. */
export function noConnection(session: ClientSession, request: Request, error: Error): void {
  if (session.isGone) return
  const { nodeIndex } = request
  // Nothing was sent. What a replica refuses, a log-in too, may be there already on the primary.
  const onReplica = session.cluster.isReplica(nodeIndex)
  const mayGo = (onReplica || request.isRerunnable) && request.attempts < maxAttempts
  const isNodeTrouble =
    !(error instanceof PgSplitError) || onReplica || /^(08|57P|53)/.test(error.sqlstate)
  const exclude = request.exclude | (mayGo && isNodeTrouble ? requestBit(nodeIndex) : 0)
  const next = session.cluster.route(request.cls, session.facts, exclude).node
  const isElsewhere = next !== null && next.index !== nodeIndex
  if (isElsewhere && exclude !== request.exclude) {
    request.exclude = exclude
    request.attempts++
    session.tally.retried()
    route(session, request)
    return
  }
  // Nothing was sent: the request may wait for another primary.
  const isUnreachable = !(error instanceof PgSplitError) || /^(08|57P)/.test(error.sqlstate)
  if (isUnreachable) {
    if (isElsewhere) {
      route(session, request)
      return
    }
    if (mayHold(session, request)) return
  }
  refuse(
    session,
    request,
    error instanceof PgSplitError
      ? error.facts('ERROR')
      : {
          sqlstate: '08006',
          message: `no connection to node ${session.route.node}: ${error.message}`,
          hint: 'SHOW NODES in the admin database tells what is wrong with each node.',
        },
  )
}
