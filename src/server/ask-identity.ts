import { ownIdentitySql } from '../auth/identity-sql.ts'
import { PgSplitError } from '../errors.ts'
import { query } from '../wire/frontend-messages.ts'
import type { TextAnswer } from './answer-receiver.ts'
import { askText } from './ask.ts'
import type { ServerConnection } from './server-connection.ts'

/** Who a server connection is logged in as, by OID; `digest` as in `Identity`. */
export interface ConnectionIdentity {
  readonly role: number
  readonly database: number
  readonly digest: string
}

/**
 * Asks a new connection who it is: names may have come to stand for others since they were looked
 * up, and on a standby later than on the primary. Null where the role may not read the catalogs that
 * tell. Rejects with the server's error, and with 08006 after `timeoutMs`.
 */
export async function askIdentity(
  connection: ServerConnection,
  timeoutMs: number,
): Promise<ConnectionIdentity | null> {
  const message = query(ownIdentitySql)
  const timer = setTimeout(() => {
    const text = `no answer to the first question within ${timeoutMs} ms`
    connection.destroy(new PgSplitError({ sqlstate: '08006', message: text }))
  }, timeoutMs)
  try {
    const [row] = (await askText(connection, message)).rows
    const [role, database, digest] = row ?? []
    if (role == null || database == null) return null
    return { role: Number(role), database: Number(database), digest: digest ?? '' }
  } catch (error) {
    if (!(error instanceof PgSplitError) || error.sqlstate !== '42501') throw error
    await leaveBlock(connection)
    return null
  } finally {
    clearTimeout(timer)
  }
}

/** The error has left the transaction open. */
function leaveBlock(connection: ServerConnection): Promise<TextAnswer> {
  return askText(connection, query('ROLLBACK'))
}
