import type { NodePool } from '../pool/node-pool.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { txStatus } from '../wire/message-types.ts'
import { noteWritten, tidyChannels } from './hear-first.ts'
import { noteLeft } from './note-seen.ts'
import type { ClientSession } from './session.ts'

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
