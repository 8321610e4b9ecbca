import type { NodePool } from '../pool/node-pool.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { txStatus } from '../wire/message-types.ts'
import { noteWritten, tidyChannels } from './hear-first.ts'
import { noteLeft } from './note-seen.ts'
import { askServer } from './pin-probe.ts'
import type { ClientSession } from './session.ts'
import { forsakeOwnNames } from './unbrought-names.ts'

/** Gives the lease back as soon as nothing holds it. */
export function settle(session: ClientSession, connection: ServerConnection): void {
  if (session.lease !== connection || session.inFlight.length > 0) return
  if (session.waiting.request !== null) return
  if (session.segment?.connection === connection) return
  const { unexplained } = connection
  if (unexplained !== null && connection.status === txStatus.idle) {
    session.pins.doubtEverything(`${unexplained} was set by something that no text shows`)
  }
  if (session.cluster.isReplica(connection.nodeIndex) && connection.status === txStatus.idle) {
    forsakeOwnNames(session)
  }
  session.notePin()
  if (connection.status !== txStatus.idle) return
  if (session.pinReason !== null) {
    askServer(session, connection)
    // It was set in a READ ONLY transaction, and what is created next must go to the primary.
    const isMisplaced = session.cluster.isReplica(connection.nodeIndex)
    if (!isMisplaced || !session.pins.needsNoConnection) {
      // While the server is asked it may still turn out that nothing keeps it.
      if (!session.isAsking) session.held.pool?.claimAs(connection, 'hold')
      return
    }
  }
  leave(session, connection, false)
}

/**
 * Takes the session's connection from it, for good; what becomes of the connection is the caller's.
 * Returns the pool that it is of.
 */
export function detach(
  session: ClientSession,
  connection: ServerConnection,
): NodePool<ServerConnection> | null {
  noteLeft(session)
  session.settings.leaveLease()
  const pool = session.held.giveUp(connection)
  noteWritten(session, connection)
  connection.letGo()
  return pool
}

/** `poolMode: session`: the connection is the client's until it leaves. */
export function keep(session: ClientSession, connection: ServerConnection): void {
  session.held.keep(connection, !session.cluster.isReplica(connection.nodeIndex))
  connection.hold(session)
}

export function leave(
  session: ClientSession,
  connection: ServerConnection,
  isShared: boolean,
): void {
  if (isShared || session.lease !== connection) return
  const isKept = session.held.isKept(connection)
  if (isKept && session.poolMode === 'session' && connection.isClean) {
    session.held.rest()
    return
  }
  const pool = detach(session, connection)
  if (pool !== null) giveBack(session, pool, connection)
}

function giveBack(
  { scope }: ClientSession,
  pool: NodePool<ServerConnection>,
  connection: ServerConnection,
): void {
  const release = (): void => {
    if (!connection.isClosed) pool.release(connection)
  }
  const { channels } = connection
  const mayServe = connection.isClean || (channels.listens && connection.condemnation === null)
  if (mayServe && (channels.listens || channels.notifies)) {
    tidyChannels(scope.hub, connection, release)
  } else release()
}

/** Closes the connection that the session holds: nothing of it is handed on. */
export function dropLease(session: ClientSession): void {
  const { lease } = session
  if (lease === null) return
  const pool = detach(session, lease)
  if (lease.isClosed) return
  lease.condemn('dropped')
  pool?.release(lease)
}

/** A parked connection has what nobody else may see. */
function dropParked(session: ClientSession): void {
  const parked = session.held.giveUpParked()
  if (parked === null) return
  const { connection, pool } = parked
  connection.letGo()
  if (connection.isClosed) return
  connection.condemn('client left')
  pool?.release(connection)
}

/** The client has gone: what it holds is cleaned or closed. */
export function abandon(session: ClientSession): void {
  dropParked(session)
  session.waiting.withdraw()
  const { lease } = session
  const isSyncing = session.waiting.request !== null
  // Whether somebody else may have the connection is known as soon as the server has answered.
  if (session.isAsking && lease !== null && !lease.isClosed && !isSyncing) {
    if (session.inFlight.length === 0 && lease.status === txStatus.idle) {
      giveBackKept(session)
      return
    }
  }
  for (const request of session.inFlight) {
    if (request.connection !== null && !request.isShared) {
      session.cluster.load.finish(request.connection.nodeIndex, Number.NaN)
    }
  }
  if (lease !== null && !isSyncing) {
    const pool = detach(session, lease)
    if (session.inFlight.length > 0 || lease.status !== txStatus.idle) {
      // Cancel what still runs, then close: the server rolls back.
      const isRunning = lease.queue.size > 0
      if (isRunning) void session.cluster.cancel(lease)
      lease.condemn('client left')
    } else if (session.pinReason !== null) lease.condemn('client left')
    if (pool !== null) giveBack(session, pool, lease)
  }
  giveBackKept(session)
  session.waiting.end()
}

/** Gives back what `poolMode: session` keeps and nothing uses now. */
export function giveBackKept(session: ClientSession): void {
  for (const connection of session.held.giveUpKept()) {
    connection.letGo()
    if (!connection.isClosed) session.scope.pool(connection.nodeIndex).release(connection)
  }
}
