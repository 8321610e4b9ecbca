import { isCausal } from '../../consistency.ts'
import type { ClusterCore } from '../../core/cluster-core.ts'
import type { DirectContext } from './direct-context.ts'

/**
 * The context is going to see what this replica has: reads that it sends meanwhile go there, too, as
 * what two replicas have shown has no common position.
 */
export function noteSent(core: ClusterCore, { facts }: DirectContext, nodeIndex: number): void {
  if (facts.reader >= 0 || !isCausal(facts.consistency)) return
  if (core.isReplica(nodeIndex)) core.positions.noteReplica(facts, nodeIndex)
}

/** The context has seen what this node had. */
export function noteRead(core: ClusterCore, context: DirectContext, nodeIndex: number): void {
  const { facts } = context
  if (!isCausal(facts.consistency)) return
  if (core.isReplica(nodeIndex)) core.positions.noteReplica(facts, nodeIndex)
  else {
    // The primary, or promoted while it ran: it may have shown what no replica has.
    context.hasUsedPrimary = true
    core.positions.notePrimary(facts)
  }
}

/** Something ran on the primary and its transaction has ended; what failed may have committed before. */
export function noteWritten(core: ClusterCore, context: DirectContext): void {
  const { positions } = core
  context.patience.hasWritten = true
  context.hasUsedPrimary = true
  positions.noteWrite(context.facts)
}
