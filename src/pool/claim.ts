/**
 * What a connection is taken for, as far as others may be kept out by it. `read`: a proved read on
 * the primary, where writes must find room. `hold`: somebody means to keep it (a pinned client).
 * `work`: all else, which comes back by itself and has no other place: writes, transactions, and the
 * reads of a replica.
 */
export type Claim = 'work' | 'read' | 'hold'

/** All of them, for what goes over its kinds. */
export const allClaims: readonly Claim[] = ['work', 'read', 'hold']

/** How many connections are taken for what, where it is bounded. */
export interface Taken {
  readonly reads: number
  readonly holds: number
}

/**
 * May one connection more of `size` be taken for this? `keptShare` of them, 0 to below 1, is kept for
 * what doesn't hold, and of what is not held as much for writes and transactions. From four
 * connections on there is room for a write and for a read whatever is held; of three, one is not
 * held. Two may both be held: clients that wait for each other's advisory lock need one each. 0
 * keeps nothing.
 */
export function mayTake(claim: Claim, taken: Taken, size: number, keptShare: number): boolean {
  if (claim === 'work' || keptShare === 0) return true
  return claim === 'hold'
    ? taken.holds < mostHolds(size, keptShare)
    : taken.reads < mostReads(size, taken.holds, keptShare)
}

/** Most connections of `size` that may be held. */
export function mostHolds(size: number, keptShare: number): number {
  if (keptShare === 0 || size <= 2) return size
  return Math.max(2, size - Math.max(2, Math.floor(size * keptShare)))
}

/** Most connections of `size` that reads may have while `holds` are held. */
export function mostReads(size: number, holds: number, keptShare: number): number {
  const left = Math.max(0, size - holds)
  if (keptShare === 0 || left <= 1) return left
  return left - Math.max(1, Math.floor(left * keptShare))
}
