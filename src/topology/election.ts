/** A node whose last probe answered that it is not in recovery. */
export interface PrimaryClaim {
  readonly index: number
  /** 0 when the node did not tell. */
  readonly timeline: number
}

export interface Election {
  readonly winner: number | null
  /** Claims that lost, with the reason word for logs. */
  readonly fenced: readonly { readonly index: number; readonly reason: FenceReason }[]
  /** Highest timeline on which a primary was ever elected. */
  readonly timeline: number
}

export type FenceReason = 'older-timeline' | 'second-primary'

/**
 * At most one primary. Every promotion starts a new, higher timeline, so the highest claim is the
 * latest one; a claim below the highest timeline ever elected is a primary that was replaced, also
 * when it is the only one that answers. Two claims on one timeline are a split brain that the
 * timeline can't settle: the sitting primary stays, without one the first in the configuration.
 */
export function electPrimary(
  claims: readonly PrimaryClaim[],
  sitting: number | null,
  highestTimeline: number,
): Election {
  let timeline = highestTimeline
  for (const claim of claims) timeline = Math.max(timeline, claim.timeline)
  let winner: number | null = null
  for (const claim of claims) {
    if (claim.timeline !== timeline) continue
    if (winner === null || claim.index === sitting) winner = claim.index
  }
  const fenced = claims
    .filter((claim) => claim.index !== winner)
    .map(({ index, timeline: own }) => ({
      index,
      reason: own < timeline ? ('older-timeline' as const) : ('second-primary' as const),
    }))
  return { winner, fenced, timeline }
}
