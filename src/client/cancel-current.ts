import { refuse } from './refuse-request.ts'
import type { ClientSession } from './session.ts'

/** CancelRequest: only while the request runs, and to the node that runs it. */
export function cancelCurrent(session: ClientSession): void {
  const { waiting } = session
  if (waiting !== null && session.forgetWaiter !== null) {
    session.forgetWaiter()
    session.forgetWaiter = null
    session.waiting = null
    refuse(session, waiting, {
      sqlstate: '57014',
      message: 'canceling statement due to user request',
    })
    session.pump()
    return
  }
  const request = session.inFlight.first
  const connection = request?.connection
  if (request === null || connection === null || connection === undefined) return
  request.isCancelled = true
  if (connection.queue.peek() !== request) return
  connection.cancelsPending++
  // Requests of others behind this one may be hit instead: they are reads and run again.
  if (request.isShared) {
    connection.isCancelNear = true
    session.scope.pool(connection.nodeIndex).stall(connection)
  }
  void session.cluster.cancel(connection).then(() => {
    connection.cancelsPending--
    if (connection.isCancelNear) connection.dirty ??= 'a cancel request was sent to it'
    if (connection.queue.size === 0) session.scope.pool(connection.nodeIndex).quiet(connection)
  })
}
