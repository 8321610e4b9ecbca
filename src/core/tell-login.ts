import type { PgSplitError } from '../errors.ts'
import type { EventLog } from './event-log.ts'

/** Who logs in. */
interface Who {
  readonly user: string
  readonly database: string
}

/** A replica refuses a user's log-ins: once, however often it is tried. */
export function tellRefused(
  log: EventLog,
  node: string,
  { user, database }: Who,
  { sqlstate, message }: Pick<PgSplitError, 'sqlstate' | 'message'>,
): void {
  log.warn(
    { event: 'replica_refuses', node, database, user, reason: sqlstate, detail: message },
    'replica refuses the user: its reads run elsewhere',
  )
}

/** It does so no more. */
export function tellAdmitted(log: EventLog, node: string, { user, database }: Who): void {
  log.info({ event: 'replica_admits', node, database, user }, 'replica lets the user in again')
}
