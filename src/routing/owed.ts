import { compareLsn, type Lsn } from '../topology/lsn.ts'
import type { Snapshot } from '../topology/snapshot.ts'
import type { SessionFacts } from './requirement.ts'
import { type CausalToken, jointToken, watermarkOf } from './watermark.ts'

/** Less than any position: nothing need be seen. */
export const NOTHING: Lsn = -1n

/** The epoch behind which all lies that a read must see and that has no position yet; -1 = all has one. */
export function unknownSince({ dirtySince, othersSince }: SessionFacts): number {
  return Math.max(dirtySince, othersSince)
}

/**
 * The position that a replica must have reached for the session's reads, as far as it is known;
 * null = there is none on the present history. `isOwn`: for what the session itself wrote and saw.
 */
export function neededLsn(facts: SessionFacts, snapshot: Snapshot, isOwn = false): Lsn | null {
  const { watermark, othersMark } = facts
  const own = lsnOf(watermark, snapshot)
  if (isOwn || othersMark === null || othersMark === watermark) return own
  const others = lsnOf(othersMark, snapshot)
  if (own === null || others === null) return null
  return compareLsn(own, others) > 0 ? own : others
}

function lsnOf(token: CausalToken | null, snapshot: Snapshot): Lsn | null {
  return token === null ? NOTHING : watermarkOf(token, snapshot)
}

/** A mark that promises what this token does, too: `mark` itself where it does already. */
export function raised(mark: CausalToken | null, token: CausalToken): CausalToken {
  if (mark === null) return token
  if (token.timeline === mark.timeline && token.lsn <= mark.lsn) return mark
  return jointToken(mark, token)
}
