import type { ServerConnection } from '../server/server-connection.ts'
import { txStatus } from '../wire/message-types.ts'
import { judgeBlind } from './blind-class.ts'
import { abandon, leave } from './leave-connection.ts'
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
    // Such a read-only transaction could wait for others to end.
    const mayAsk = !session.facts.defaultDeferrable
    if (mayAsk && judgeBlind(session, () => settleAgain(session))) {
      askServer(session, connection, () => goOn(session, connection))
    }
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

/** The server has told what of the session is there. */
function goOn(session: ClientSession, connection: ServerConnection): void {
  if (session.isGone) {
    abandon(session)
    return
  }
  settle(session, connection)
  session.pump()
}

/** Nobody has used currval() for long: who was pinned at nextval() for its sake is free again. */
export function forgetCurrval(session: ClientSession): void {
  session.pins.drop('calls nextval')
  session.notePin()
  settleAgain(session)
}

/** Something has changed that may have kept its lease. */
function settleAgain(session: ClientSession): void {
  if (session.lease !== null && !session.isGone) settle(session, session.lease)
}
