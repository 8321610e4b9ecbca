import { isCausal } from '../consistency.ts'
import { txStatus } from '../wire/message-types.ts'
import { leavesNoTrace, mayHaveWritten } from './may-have-written.ts'
import type { Request } from './request.ts'
import { noteSequences } from './sequences.ts'
import type { ClientSession } from './session.ts'

/**
 * What a request has written or seen (consistency `session`): the session's reads go only to
 * replicas that have it, too. On the primary it counts when the transaction ends; an error counts as
 * well, as a function may have committed before it failed. `status`: of the transaction behind it.
 */
export function noteSeen(session: ClientSession, request: Request, status: number): void {
  const { facts, cluster } = session
  const isReplica = cluster.isReplica(request.nodeIndex)
  if (request.onReplica || isReplica) {
    if (!isCausal(facts.consistency)) return
    if (isReplica) cluster.positions.noteReplica(facts, request.nodeIndex)
    // Promoted while it ran: it may have shown what no replica has.
    else cluster.positions.notePrimary(facts)
    return
  }
  const { verdict, effects } = request.cls
  if (mayHaveWritten(request)) {
    session.hasWritten = true
    session.onPrimary = 'written'
    noteSequences(session, request)
  } else if (session.onPrimary === 'nothing') {
    if (verdict !== 'control' || !effects.every(leavesNoTrace)) session.onPrimary = 'read'
  }
  if (status === txStatus.idle) noteLeft(session)
}

/** The session's connection goes; what an open transaction has shown of the primary still counts. */
export function noteLeft(session: ClientSession): void {
  const { onPrimary, facts, cluster } = session
  session.onPrimary = 'nothing'
  if (onPrimary === 'written') cluster.positions.noteWrite(facts)
  else if (onPrimary === 'read') cluster.positions.notePrimary(facts)
}

/**
 * A request ends that has committed, by itself or as the end of a transaction: as much as is asked for
 * is seen of it on replicas before the client hears so.
 */
export function holdCommit(session: ClientSession, request: Request, status: number): void {
  if (status !== txStatus.idle || request.error !== null) return
  if (session.onPrimary !== 'written' && !mayHaveWritten(request)) return
  if (session.cluster.isReplica(request.nodeIndex)) return
  if (request.effects.some(({ kind }) => kind === 'rollback')) return
  const { visibility } = session
  const replicas = request.cls.hint?.commitVisible ?? visibility.replicas
  session.gate.close({ ...visibility, replicas }, () => session.pump())
}
