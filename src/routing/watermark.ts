import { compareLsn, formatLsn, type Lsn, parseLsn } from '../topology/lsn.ts'
import type { Snapshot } from '../topology/snapshot.ts'

/** A position that reads must have reached, with the history that it belongs to. */
export interface CausalToken {
  readonly timeline: number
  readonly lsn: Lsn
}

/** A token as text says also which cluster it is of; null = it doesn't. */
export interface TokenText extends CausalToken {
  readonly systemIdentifier: string | null
}

const FORM = /^([1-9]\d{0,9})\/([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?:@(\d{1,20}))?$/
const MAX_TIMELINE = 0xffffffff

/**
 * `timeline/LSN`, and usually `@` and the cluster's system identifier behind it, as
 * `SHOW pgsplit.causal_token` prints it: `2/16/B374D848@7312345678901234567`. null = no token.
 */
export function parseCausalToken(text: string): TokenText | null {
  const match = FORM.exec(text)
  const timeline = Number(match?.[1])
  const lsn = parseLsn(match?.[2] ?? '')
  if (lsn === null || !(timeline <= MAX_TIMELINE)) return null
  return { timeline, lsn, systemIdentifier: match?.[3] ?? null }
}

export function formatCausalToken(token: TokenText): string {
  const { timeline, lsn, systemIdentifier } = token
  const cluster = systemIdentifier === null ? '' : `@${systemIdentifier}`
  return `${timeline}/${formatLsn(lsn)}${cluster}`
}

/**
 * A token that promises what both do. A later timeline does not say more by itself: a replica's
 * position on it may lie before the promotion, and below that of an older token. Where the older one
 * lies beyond the promotion, this waits for longer than is needed, and never too short.
 */
export function jointToken(a: CausalToken, b: CausalToken): CausalToken {
  return {
    timeline: Math.max(a.timeline, b.timeline),
    lsn: compareLsn(a.lsn, b.lsn) > 0 ? a.lsn : b.lsn,
  }
}

/**
 * The watermark that the token means on the current history. null = none can be given: the token
 * lies beyond the point where the current timeline certainly left an older one, and only the primary
 * will do; or on a timeline beyond the known one, and the known primary won't do either.
 */
export function watermarkOf(token: CausalToken, snapshot: Snapshot): Lsn | null {
  if (snapshot.timeline === null || token.timeline === snapshot.timeline) return token.lsn
  if (token.timeline > snapshot.timeline) return null
  const { timelineStartLsn } = snapshot
  return timelineStartLsn !== null && token.lsn <= timelineStartLsn ? token.lsn : null
}
