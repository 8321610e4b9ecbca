/** What must be known of a server's error. */
export interface ServerError {
  readonly severity: string
  /** Five characters. */
  readonly sqlstate: string
  readonly message: string
  /** Name of the reporting C function; '' = not told. */
  readonly routine: string
}

/** What is known of the request that met an error before anything was forwarded. */
export interface ErrorContext {
  readonly onReplica: boolean
  readonly usesNames: boolean
  readonly isCancelled: boolean
  /** Another client's cancel request may have hit this one. */
  readonly isCancelNear: boolean
  readonly isReadOnlySession: boolean
}

/**
 * Where a proved read may go after an error (docs/behaviour/failover.md). null = the error
 * is the client's.
 *
 * `node-down`: the node is going away · `other-node`: only this node says so now · `misrouted`: no
 * standby will ever run it · `primary`: the primary is to say it · `doubt`: the client's, unless the
 * replica's catalog is older than the primary's (`catalog-age.ts`) · `same`: the server connection
 * lacked a prepared statement.
 */
export type HealVerdict =
  | 'node-down'
  | 'other-node'
  | 'misrouted'
  | 'primary'
  | 'doubt'
  | 'same'
  | null

export function judgeError(fields: ServerError, context: ErrorContext): HealVerdict {
  const { sqlstate } = fields
  switch (sqlstate) {
    case '57P01':
    case '57P02':
    case '57P03':
      return fields.severity === 'FATAL' || fields.severity === 'PANIC' ? 'node-down' : null
    case '57014':
      return context.isCancelNear && !context.isCancelled ? 'other-node' : null
    case '26000':
      return context.usesNames ? 'same' : null
    default:
      return context.onReplica ? judgeStandbyError(fields, context) : null
  }
}

function judgeStandbyError(fields: ServerError, context: ErrorContext): HealVerdict {
  const text = fields.message
  if (isFatalConflict(fields)) return 'other-node'
  switch (fields.sqlstate) {
    case '25006':
      // In a session that is read-only by its own wish the primary would say the same.
      return context.isReadOnlySession ? 'primary' : 'misrouted'
    case '0A000':
      // A changed result type (RevalidateCachedQuery) is the client's own matter.
      return isStaleness(fields) ? null : 'misrouted'
    case '40001':
    case '40P01':
      return fields.routine === 'ProcessInterrupts' ||
        fields.routine === 'ProcessRecoveryConflictInterrupt' ||
        text.includes('recovery')
        ? 'other-node'
        : 'primary'
    case '55000':
      return 'misrouted'
    case 'XX000':
    case '58P01':
      return 'primary'
    default:
      return isOfSurroundings(fields.sqlstate) ? null : 'doubt'
  }
}

/**
 * Connection, resources, intervention, the system itself: whatever the catalog says. All else may come
 * of it: what a name stands for, who may use it, what a type takes, what a function does.
 */
function isOfSurroundings(sqlstate: string): boolean {
  return /^(08|53|57|58|F0|XX)/.test(sqlstate)
}

/** Syntax error or access rule violation, or no such schema: of names, of which all depends. */
export function isOfNames(sqlstate: string): boolean {
  return /^(42|3F)/.test(sqlstate)
}

/**
 * Is it a recovery conflict that ends the connection? What it read was in the way of what the replica
 * has to replay (PostgreSQL: ProcessRecoveryConflictInterrupt; up to 15, ProcessInterrupts): in a
 * transaction 40001, 57P04 where its database is dropped or moved. The node itself is well.
 */
export function isFatalConflict({ severity, sqlstate }: ServerError): boolean {
  return severity === 'FATAL' && (sqlstate.startsWith('40') || sqlstate === '57P04')
}

/**
 * A replica has refused a statement, and the primary has run it since: does the replica's SQLSTATE
 * say something of every such statement, or only of this one's values (`date_trunc('timezone', …)` is
 * 0A000 anywhere)? `primary`: the primary's SQLSTATE, null = it was done.
 */
export function isRefusedByReplicasOnly(replica: string, primary: string | null): boolean {
  if (primary === null) return true
  // Ended for a reason of its own, it shows nothing.
  return primary !== replica && !/^(08|25|40|53|55P|57|58|XX)/.test(primary)
}

/** "cached plan must not change result type": DDL has changed what a prepared statement gives. */
export function isStaleness({ sqlstate, routine }: ServerError): boolean {
  return sqlstate === '0A000' && routine === 'RevalidateCachedQuery'
}
