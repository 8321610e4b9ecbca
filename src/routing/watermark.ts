import { formatLsn, type Lsn, parseLsn } from '../topology/lsn.ts'
import type { Snapshot } from '../topology/snapshot.ts'

/** A position that reads must have reached, with the history that it belongs to. */
export interface CausalToken {
  readonly timeline: number
  readonly lsn: Lsn
}

const FORM = /^([1-9]\d{0,9})\/([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})$/
const MAX_TIMELINE = 0xffffffff

/** `timeline/LSN` as `SHOW pgsplit.causal_token` prints it: `2/16/B374D848`. null = no token. */
export function parseCausalToken(text: string): CausalToken | null {
  const match = FORM.exec(text)
  const timeline = Number(match?.[1])
  const lsn = parseLsn(match?.[2] ?? '')
  if (lsn === null || !(timeline <= MAX_TIMELINE)) return null
  return { timeline, lsn }
}

export function formatCausalToken(token: CausalToken): string {
  return `${token.timeline}/${formatLsn(token.lsn)}`
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
