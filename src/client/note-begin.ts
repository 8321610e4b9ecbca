import type { PendingBegin } from '../routing/requirement.ts'
import { pendingModes } from './ask-isolation.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/**
 * What routing must know of the transaction that the request begins, if it begins one: to be called
 * before it is routed, and before its arrival is noted. null: nothing is about to run.
 */
export function noteBegin(session: ClientSession, request: Request | null): void {
  const { facts, deferred } = session
  facts.pendingBegin = pendingBegin(session)
  facts.wantsReplica = deferred?.wantsReplica === true
  facts.opensCursor = deferred !== null && request !== null && keepsSnapshot(session, request)
}

function pendingBegin(session: ClientSession): PendingBegin | null {
  const { facts, deferred, transaction } = session
  if (deferred === null) return transaction?.isOptimistic === true ? facts.pendingBegin : null
  const modes = pendingModes(session) ?? deferred.modes
  return mayBeOptimistic(session, modes) ? { ...modes, isOptimistic: true } : modes
}

/** May it go on at another server after its reads? `modes`: with the defaults, as far as they are known. */
function mayBeOptimistic(session: ClientSession, modes: PendingBegin): boolean {
  const { facts, deferred, state, lexMode } = session
  if (deferred?.start !== 'optimistic' || modes.readOnly !== null || facts.defaultReadOnly)
    return false
  // A backslash may write any word in a literal there.
  if (lexMode === 'escape') return false
  const { isolation } = modes
  const isDefault = !facts.defaultIsolationSerializable && !facts.defaultIsolationRepeatable
  const keepsNone = isolation === 'read committed' || isolation === 'read uncommitted'
  if (isolation === null ? !isDefault : !keepsNone) return false
  // It counts from the beginning, of which there would be two.
  const timeout = state.get('transaction_timeout') ?? '0'
  return /^0+$/.test(timeout)
}

/** Does it leave a cursor or a named portal open? */
export function keepsSnapshot({ portals }: ClientSession, { effects }: Request): boolean {
  return portals.hasNamed || effects.some(({ kind }) => kind === 'declare')
}
