import type { Claim } from '../pool/claim.ts'
import type { Effect } from '../sql/statement-class.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/**
 * What a server connection is asked for. What pins only by what turns out when it has run, or in a
 * transaction, is not known yet: `settle` tells the pool then.
 *
 * @param isReadOnly proved reads, or a transaction of such, that a replica could serve as well
 */
export function claimOf(
  session: ClientSession,
  request: Request,
  isReadOnly: boolean,
  onReplica: boolean,
): Claim {
  if (session.poolMode === 'session' && session.cluster.limits.poolMode !== 'session') return 'hold'
  const { effects } = request
  if (effects.length > 0 && session.deferred === null && effects.some(holds)) return 'hold'
  return isReadOnly && !onReplica ? 'read' : 'work'
}

/** Does it leave on its server what only this connection has? */
function holds(effect: Effect): boolean {
  switch (effect.kind) {
    case 'temp':
    case 'advisory-lock':
      return true
    case 'declare':
      return effect.hold
    case 'dblink':
      return !effect.ends
    default:
      return false
  }
}
