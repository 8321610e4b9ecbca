import type { FenceReason } from './election.ts'
import type { NodeTrack } from './node-track.ts'

/** System identifier of the most nodes; a tie goes to the node that comes first in the configuration. */
export function commonIdentifier(tracks: readonly NodeTrack[]): string | null {
  const votes = new Map<string, number>()
  let common: string | null = null
  for (const { observation } of tracks) {
    const own = observation?.systemIdentifier ?? null
    if (own !== null) votes.set(own, (votes.get(own) ?? 0) + 1)
  }
  for (const [identifier, count] of votes) {
    if (common === null || count > (votes.get(common) ?? 0)) common = identifier
  }
  return common
}

/** Why a claim to be primary is not believed, and what to do about it. */
export function fenceDetail(track: NodeTrack, reason: FenceReason, timeline: number): string {
  const own = track.observation?.timeline ?? 'unknown'
  if (reason === 'second-primary') {
    return `a second primary on timeline ${timeline}; rebuild it as a replica or drop it`
  }
  return `a former primary on timeline ${own}, the cluster is on ${timeline}; rebuild it`
}
