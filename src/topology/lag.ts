import type { Lsn } from './lsn.ts'

/**
 * The primary's recent flushed positions with the time of our own clock when we saw them. A replica's
 * lag is the age of the oldest position that it has not replayed: right when the primary idles
 * (nothing is left to replay), when the replica is cut off (the age grows), and without clocks
 * that agree.
 *
 * Bounded: when full, pairs in the older half are merged into (later position, earlier time), so
 * that old lag is measured more coarsely but never reported smaller than it is.
 */
export class LagRing {
  readonly #capacity: number
  #lsns: Lsn[] = []
  #times: number[] = []
  #first: Lsn | null = null
  #lastPushMs = Number.NEGATIVE_INFINITY
  readonly #gapMs: number

  /**
   * @param gapMs after a longer silence of the primary, what it wrote meanwhile counts as written
   *   right after the last sample: nobody saw when it was
   * @param capacity samples kept, at least 4
   */
  constructor(gapMs = 5000, capacity = 1024) {
    this.#gapMs = gapMs
    this.#capacity = Math.max(4, capacity)
  }

  get size(): number {
    return this.#lsns.length
  }

  /** The newest position of the primary, null before the first sample. */
  get newest(): Lsn | null {
    return this.#lsns.at(-1) ?? null
  }

  /**
   * Adds what the primary answered. A position that did not move adds nothing: its age counts from
   * the first time it was seen. A position that went back (promotion, restore) drops what lies
   * beyond it: no node will ever replay that. A position inside a record adds nothing either: a
   * replica replays whole records, and the rest of this one may come only with the next commit.
   */
  push(lsn: Lsn, atMs: number): void {
    let last = this.newest
    while (last !== null && last > lsn) {
      this.#lsns.pop()
      this.#times.pop()
      last = this.newest
    }
    const silentSinceMs = this.#lastPushMs
    this.#lastPushMs = atMs
    if (this.#first === null || lsn < this.#first) this.#first = lsn
    if (last === lsn || (last !== null && mayEndInRecord(lsn))) return
    this.#lsns.push(lsn)
    const seen = last !== null && atMs - silentSinceMs <= this.#gapMs
    this.#times.push(seen || last === null ? atMs : silentSinceMs)
    if (this.#lsns.length > this.#capacity) this.#thin()
  }

  /**
   * Lag in ms of a node that had replayed up to `replayLsn` at `atMs`. null = unknown: no primary
   * was ever seen, or the node has not reached the first position that was (it may be hours behind).
   */
  lagMs(replayLsn: Lsn, atMs: number): number | null {
    const length = this.#lsns.length
    if (this.#first === null || replayLsn < this.#first) return null
    let low = 0
    let high = length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#lsns[middle] ?? 0n) > replayLsn) high = middle
      else low = middle + 1
    }
    const seenAtMs = this.#times[low]
    return seenAtMs === undefined ? 0 : Math.max(0, atMs - seenAtMs)
  }

  #thin(): void {
    const half = this.#lsns.length >>> 1
    const lsns: Lsn[] = []
    const times: number[] = []
    for (let i = 0; i < this.#lsns.length; i++) {
      const merge = i + 1 < half
      const lsn = this.#lsns[merge ? i + 1 : i]
      const time = this.#times[i]
      if (lsn !== undefined && time !== undefined) {
        lsns.push(lsn)
        times.push(time)
      }
      if (merge) i += 1
    }
    this.#lsns = lsns
    this.#times = times
  }
}

/**
 * The WAL writer flushes up to page boundaries, wherever records end. Pages are at least 1 kB; that
 * a record ends exactly there is rare, and its sample is not missed.
 */
export function mayEndInRecord(lsn: Lsn): boolean {
  return (lsn & 0x3ffn) === 0n
}
