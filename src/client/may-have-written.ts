import { type Effect, isProvedRead } from '../sql/statement-class.ts'
import type { Request } from './request.ts'

/** May the request have written, as far as its class tells? */
export function mayHaveWritten({ cls }: Request): boolean {
  if (isProvedRead(cls)) return cls.learned !== null
  if (cls.verdict !== 'control') return true
  return !cls.effects.every(leavesNoTrace)
}

/** Control statements that leave no trace in the database. COMMIT counts with what it commits. */
export function leavesNoTrace({ kind }: Effect): boolean {
  return (
    kind === 'set' ||
    kind === 'reset' ||
    kind === 'reset-all' ||
    kind === 'show' ||
    kind === 'explain-route' ||
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
