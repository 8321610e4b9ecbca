import { ask } from '../server/ask.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import type { TransactionModes } from '../sql/statement-class.ts'
import { query } from '../wire/frontend-messages.ts'
import { textRow } from '../wire/text-row.ts'
import type { ClientSession } from './session.ts'

const isolationQuery = query('SHOW transaction_isolation')

/**
 * Asks for the level of the open transaction, or of one that would begin now. `done(null)`: the
 * connection was lost instead.
 */
export function askIsolation(
  connection: ServerConnection,
  done: (isolation: string | null) => void,
): void {
  ask(connection, isolationQuery, {
    answered: ({ rows: [row] }) => {
      done(row === undefined ? '' : (textRow(row, 0, row.length, 'latin1')[0] ?? ''))
    },
    lost: () => done(null),
  })
}

/**
 * Does nobody know yet at which level the transaction will run that is to begin? Roles, databases and
 * servers have defaults of their own, which the server doesn't report.
 */
export function isIsolationUnknown({ deferred, scope, state }: ClientSession): boolean {
  if (deferred === null || deferred.modes.isolation !== null) return false
  return scope.defaultIsolation === null && !state.entries.has('default_transaction_isolation')
}

/**
 * The modes by which a node is chosen for the transaction that is to begin, with the level that its
 * user has by default.
 */
export function pendingModes({ deferred, scope, state }: ClientSession): TransactionModes | null {
  if (deferred === null) return null
  const said = deferred.modes
  const modes = deferred.saysReadWrite ? { ...said, readOnly: false } : said
  if (modes.isolation !== null) return modes
  const { defaultIsolation } = scope
  const isUsual = defaultIsolation === null || defaultIsolation === 'read committed'
  if (isUsual || state.entries.has('default_transaction_isolation')) return modes
  return { ...modes, isolation: defaultIsolation }
}

/** The level of a transaction of the session with these modes, as far as is known. */
export function levelOf({ scope, state }: ClientSession, modes: TransactionModes): string | null {
  const own = state.get('default_transaction_isolation')?.toLowerCase()
  return modes.isolation ?? own ?? scope.defaultIsolation
}

/** The level by its name; one that isn't known counts as the one that keeps nothing. */
export function isolationOf(name: string): NonNullable<TransactionModes['isolation']> {
  return name === 'serializable' || name === 'repeatable read' ? name : 'read committed'
}
