import type { Effect } from '../sql/statement-class.ts'
import { txStatus } from '../wire/message-types.ts'
import type { Request } from './request.ts'
import { noteSequences } from './sequences.ts'
import type { ClientSession } from './session.ts'

/**
 * After a transaction that may have written, the session's reads stay on the primary until a
 * position asked for later is known, and then go only to replicas that have replayed it
 * (consistency `session`). Errors count as well: a function may have written before it failed …
 * and been rolled back, which costs a read on the primary at most.
 */
export function noteWrite(session: ClientSession, request: Request, status: number): void {
  if (!request.onReplica && mayHaveWritten(request)) {
    session.hasWritten = true
    noteSequences(session, request)
  }
  if (request.effects.length > 0 && request.effects.some(isAsynchronousCommit)) {
    session.isAsynchronous = true
  }
  if (!session.hasWritten || status !== txStatus.idle) return
  session.hasWritten = false
  followOwnWrites(session)
}

/** The session's last transaction may be visible at the primary from now on. */
export function followOwnWrites(session: ClientSession): void {
  const { facts, cluster } = session
  const serial = ++session.writes
  facts.dirty = true
  cluster.positionAfterNow((position) => {
    if (session.isGone || serial !== session.writes) return
    const lsn = position(session.isAsynchronous)
    if (facts.watermark === null || lsn > facts.watermark) facts.watermark = lsn
    facts.dirty = false
  })
}

/** May the request have written, as far as its class tells? */
export function mayHaveWritten({ cls }: Request): boolean {
  const { verdict } = cls
  if (verdict === 'replica' || verdict === 'either') return cls.learned !== null
  if (verdict !== 'control') return true
  return !cls.effects.every(isHarmless)
}

/** Control statements that leave no trace in the database. COMMIT counts with what it commits. */
function isHarmless({ kind }: Effect): boolean {
  return (
    kind === 'set' ||
    kind === 'reset' ||
    kind === 'reset-all' ||
    kind === 'show' ||
    kind === 'begin' ||
    kind === 'commit' ||
    kind === 'rollback' ||
    kind === 'savepoint' ||
    kind === 'release' ||
    kind === 'rollback-to' ||
    kind === 'set-transaction' ||
    kind === 'discard'
  )
}

function isAsynchronousCommit(effect: Effect): boolean {
  return effect.kind === 'set' && effect.name === 'synchronous_commit'
}
