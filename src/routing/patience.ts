import { seesOthers } from '../consistency.ts'
import type { StatementClass } from '../sql/statement-class.ts'
import { consistencyOf, type SessionFacts } from './requirement.ts'
import type { SessionPositions } from './session-positions.ts'

/** A session that reads without a pause stays at one replica for so long, ms. */
const stayMs = 250
/** How long one read may wait for the position that lets its session choose again, ms. */
const moveWaitMs = 20
/** How long a read of a session that is stuck at the primary may wait for a replica, ms. */
const stuckWaitMs = 20
/** The same of one that is stuck there for `longStuckMs`, where replicas take longer, ms. */
const longWaitMs = 100
const longStuckMs = 1_000

/** How long a strict read waits in any case, as long as the primary's answer is under way, ms. */
const sampleWaitMs = 20

/** What a session remembers of its reads that wait for a replica. Times are monotonic ms. */
export interface Patience {
  /** Since when its reads stay at one replica. */
  choseAtMs: number
  /** It has written: `causalWait` is for that. */
  hasWritten: boolean
  /** Its last read found no replica that was far enough, and since when that is so. */
  wasBehind: boolean
  behindSinceMs: number
  /** Until when the read that waits now may do so; null = none has begun to wait. */
  catchUpUntilMs: number | null
  catchUpLimitMs: number
}

export function newPatience(): Patience {
  return {
    choseAtMs: 0,
    hasWritten: false,
    wasBehind: false,
    behindSinceMs: 0,
    catchUpUntilMs: null,
    catchUpLimitMs: 0,
  }
}

/** The cluster as waiting reads ask it. */
export interface Outlook {
  readonly positions: SessionPositions
  wantsAway(facts: SessionFacts): boolean
  isCatchingUp(cls: StatementClass, facts: SessionFacts, exclude: number, limitMs: number): boolean
  nowMs(): number
}

/** Has the session stayed at one replica for so long that it may look for a better one? */
export function mayLookAround(
  { choseAtMs }: Patience,
  facts: SessionFacts,
  nowMs: number,
): boolean {
  return facts.reader >= 0 && nowMs - choseAtMs >= stayMs
}

/**
 * A session that never pauses would stay at its first replica for good, as what it sees there never
 * has a position by its next read. Now and then such a read, begun at `startedMs`, waits for one, and
 * then goes where the balancer wants it. Monotonic ms until when it waits; null = no more.
 */
export function moveOnUntilMs(
  patience: Patience,
  facts: SessionFacts,
  outlook: Outlook,
  startedMs: number,
): number | null {
  if (patience.catchUpUntilMs === null) {
    if (!mayLookAround(patience, facts, startedMs) || !outlook.wantsAway(facts)) return null
  }
  if (!outlook.positions.settle(facts) && facts.reader >= 0) {
    outlook.positions.hurry(facts)
    const nowMs = outlook.nowMs()
    patience.catchUpUntilMs ??= nowMs + moveWaitMs
    patience.catchUpLimitMs = moveWaitMs
    if (patience.catchUpUntilMs > nowMs) return patience.catchUpUntilMs
    patience.catchUpUntilMs = null
  }
  patience.choseAtMs = startedMs
  return null
}

/**
 * A read that no replica is far enough for waits a little for one, and only as long as one is likely
 * to be there in time; else it goes to the primary. Monotonic ms until when it waits; null = no more.
 */
export function catchUpUntilMs(
  patience: Patience,
  facts: SessionFacts,
  outlook: Outlook,
  startedMs: number,
  cls: StatementClass,
  exclude: number,
): number | null {
  if (patience.catchUpUntilMs === null) {
    patience.catchUpLimitMs = limitOf(patience, facts, startedMs, cls)
  }
  patience.wasBehind = true
  const limitMs = patience.catchUpLimitMs
  if (limitMs === 0) return null
  // Asked again whenever something new is known.
  if (!outlook.isCatchingUp(cls, facts, exclude, limitMs)) return null
  const nowMs = outlook.nowMs()
  patience.catchUpUntilMs ??= nowMs + limitMs
  outlook.positions.hurry(facts)
  return patience.catchUpUntilMs > nowMs ? patience.catchUpUntilMs : null
}

/**
 * `causalWait`, for a session that has written, and where others' writes count. What it sees on the
 * primary is newer still, so that one that reads without a pause would stay there for good, as each
 * of its reads raises what the next one needs: a second such read in a row waits in any case, if
 * only for a replica that is as good as there.
 */
function limitOf(
  patience: Patience,
  facts: SessionFacts,
  startedMs: number,
  cls: StatementClass,
): number {
  const level = consistencyOf(cls, facts)
  const ownMs = patience.hasWritten || seesOthers(level) ? facts.causalWaitMs : 0
  // Without the primary's position of this moment it could never run on a replica.
  if (level === 'strict') return Math.max(ownMs, sampleWaitMs)
  if (!patience.wasBehind) {
    patience.behindSinceMs = startedMs
    return ownMs
  }
  if (startedMs - patience.behindSinceMs < longStuckMs) return Math.max(ownMs, stuckWaitMs)
  patience.behindSinceMs = startedMs
  return Math.max(ownMs, longWaitMs)
}
