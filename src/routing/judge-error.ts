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
 * Where a proved read may go after an error (README, "When things fail"). null = the error
 * is the client's.
 *
 * `node-down`: the node is going away · `other-node`: only this node says so now · `misrouted`: no
 * standby will ever run it · `primary`: the replica may not know the object yet · `same`: the
 * server connection lacked a prepared statement.
 */
export type HealVerdict = 'node-down' | 'other-node' | 'misrouted' | 'primary' | 'same' | null

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
    case '42P01':
    case '42883':
    case '42703':
    case '42704':
    case '3F000':
      return 'primary'
    default:
      return null
  }
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
