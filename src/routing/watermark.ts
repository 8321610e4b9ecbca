import { formatLsn, type Lsn, parseLsn } from '../topology/lsn.ts'
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

/** The one that promises more: the later timeline, then the later position. */
export function laterToken(a: CausalToken, b: CausalToken): CausalToken {
  if (a.timeline !== b.timeline) return a.timeline > b.timeline ? a : b
  return a.lsn >= b.lsn ? a : b
}

/**
 * The watermark that the token means on the current history. null = none can be given, only the
 * primary will do: the token lies on a timeline beyond the known one, or beyond the point where
 * the current one certainly left an older one.
 */
export function watermarkOf(token: CausalToken, snapshot: Snapshot): Lsn | null {
  if (snapshot.timeline === null || token.timeline === snapshot.timeline) return token.lsn
  if (token.timeline > snapshot.timeline) return null
  const { timelineStartLsn } = snapshot
  return timelineStartLsn !== null && token.lsn <= timelineStartLsn ? token.lsn : null
}
