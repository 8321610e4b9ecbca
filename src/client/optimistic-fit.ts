import { hasClockWord } from '../sql/clock-use.ts'
import { type Effect, isProvedRead, type StatementClass } from '../sql/statement-class.ts'
import { frontend } from '../wire/message-types.ts'
import { maxMovableBytes } from './movable.ts'
import { onlyAsks } from './own-command.ts'
import { isOwnSetting } from './own-settings.ts'
import type { Request } from './request.ts'
import { leavesNothing } from './transaction.ts'
import { markOf, mayBeMark } from './transaction-marks.ts'

/**
 * May the request run on the replica of a transaction that may write? It only reads, or does to the
 * transaction what another server can be told again, or ends it; and neither what it answers nor what
 * it leaves there would show afterwards that there were two transactions.
 */
export function fits(request: Request): boolean {
  const { kind, pin, names, queryAt, cls, executed, bytes, size } = request
  if (kind === 'function' || pin !== null || queryAt >= 0 || isOpenEnded(request)) return false
  if (names !== null && !onlyAsks(request)) return false
  if (!fitsByClass(cls) || !executed.every(fitsByClass)) return false
  if (!fitsByEffects(request)) return false
  if (kind === 'extended' && leavesPortal(bytes, size)) return false
  // Nothing runs in it, or nothing that could look at the time.
  if (kind === 'extended' ? executed.length === 0 : cls.parts.length === 0) return true
  return !hasClockWord(bytes, 0, size) && !hasClockWordElsewhere(request)
}

/** What will come behind the Flush is not known: anything may. */
export function isOpenEnded(request: Request): boolean {
  if (!request.isFlushed || request.isComplete) return false
  return request.isLong || request.executed.length > 0 || request.size > maxMovableBytes
}

function fitsByClass({ parts, hint, verdict, learned }: StatementClass): boolean {
  if (hint?.route === 'primary' || hint?.consistency === 'primary' || learned !== null) return false
  // What stands for no text: a bare Sync, a Bind of what is not known here.
  if (parts.length === 0) return verdict === 'either'
  return parts.every((part) => {
    if (isProvedRead(part)) return part.ignoresClock === true
    return part.verdict === 'control' && part.effects.length > 0 && part.effects.every(isMild)
  })
}

/** It changes nothing, or only what another server can be told, or ends the transaction. */
function isMild(effect: Effect): boolean {
  if (effect.kind === 'show') return isOwnSetting(effect.name)
  if (effect.kind === 'set' && !isOwnSetting(effect.name) && changesTransaction(effect.name)) {
    return false
  }
  return leavesNothing(effect) || mayBeMark(effect)
}

/** Of the transaction itself, whose modes a standby refuses; or it counts from its beginning. */
function changesTransaction(name: string): boolean {
  return name.startsWith('transaction_') || name === 'seed'
}

/** One thing that must be said again comes alone; what ends the transaction comes last. */
function fitsByEffects(request: Request): boolean {
  const { effects, cls, executed, kind } = request
  if (effects.length === 0) return true
  if (!effects.every(isMild)) return false
  if (effects.every(leavesNothing)) {
    const ends = effects.filter(({ kind: one }) => one === 'commit' || one === 'rollback')
    if (ends.length === 0) return true
    const units = kind === 'extended' ? executed : cls.parts
    return ends.length === 1 && units.at(-1)?.effects.includes(ends[0] as Effect) === true
  }
  return markOf(request) !== null
}

/** Texts of statements that were parsed earlier, and are not in the request's own bytes. */
function hasClockWordElsewhere({ needs, unnamed }: Request): boolean {
  if (needs.some(({ statement: { body } }) => hasClockWord(body, 0, body.length))) return true
  const { earlier } = unnamed
  return earlier !== null && hasClockWord(earlier.body, 0, earlier.bodyBytes)
}

/**
 * Is a portal open behind it, or does it use one of an earlier segment? Portals live as long as their
 * transaction, on their server. The bytes are whole messages.
 */
function leavesPortal(bytes: Buffer, size: number): boolean {
  let isBound = false
  for (let at = 0; at + 5 <= size; ) {
    const end = at + 1 + bytes.readUInt32BE(at + 1)
    if (end > size) return true
    const type = bytes[at]
    if (type === frontend.bind) {
      // Bound and never run.
      if (isBound || bytes[at + 5] !== 0) return true
      isBound = true
    } else if (type === frontend.execute) {
      if (!isBound || bytes[at + 5] !== 0 || bytes.readInt32BE(end - 4) !== 0) return true
      isBound = false
    } else if (type === frontend.describe && bytes[at + 5] === portalLetter) {
      if (!isBound) return true
    }
    at = end
  }
  return isBound
}

const portalLetter = 0x50
