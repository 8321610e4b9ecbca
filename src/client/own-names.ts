import { type ServerConnection, swallow } from '../server/server-connection.ts'
import { query } from '../wire/frontend-messages.ts'
import { frontend, txStatus } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import type { ClientSession } from './session.ts'

/** Why such a session is pinned. */
const pinReason = 'its prepared statements are seen by name'

const writer = new Writer(1024)
const deallocateAll = query('DEALLOCATE ALL')

/**
 * From here on the session has a server connection of its own where its prepared statements, and no
 * others, exist under the names that the client gave them: pg_prepared_statements shows them.
 */
export function takeOwnNames(session: ClientSession): void {
  const { lease, cluster, statements } = session
  // What may not run where the transaction is gets its refusal there.
  if (statements.isOwn || (lease !== null && cluster.isReplica(lease.nodeIndex))) return
  statements.own()
  session.pins.add(pinReason)
  session.facts.pinned = session.pinReason
}

/** Brings them to the connection; in a failed transaction that must wait. */
export function bringOwnNames({ statements }: ClientSession, connection: ServerConnection): void {
  if (statements.ownConnection === connection || connection.status === txStatus.failed) return
  statements.ownConnection = connection
  connection.prepared.clear()
  connection.request(deallocateAll, 0, deallocateAll.length, swallow)
  for (const [name, { body, spots }] of statements) {
    if (spots === null) {
      writer.begin(frontend.parse).string(name).bytes(body).end()
      writer.begin(frontend.sync).end()
    } else writer.begin(frontend.query).bytes(body).byte(0).end()
    const bytes = writer.take()
    connection.request(bytes, 0, bytes.length, swallow)
    connection.prepared.set(name, true)
  }
}

/** The last of the names is gone: nothing tells the connection from others any more. */
export function leaveOwnNames(session: ClientSession): void {
  const { statements } = session
  if (statements.size > 0) return
  statements.ownConnection?.prepared.clear()
  statements.share()
  session.pins.remove(pinReason)
}

/** Most prepared statements on a connection of the session; its own names must stay. */
export function statementLimit({ statements, cluster }: ClientSession): number {
  return statements.isOwn ? Number.POSITIVE_INFINITY : cluster.limits.preparedStatements
}
