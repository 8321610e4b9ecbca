/**
 * Fingerprint → statement class, bounded in bytes. A hash table in typed arrays, so that a look-up
 * allocates nothing; eviction is second-chance (clock), O(1) amortised.
 */
import type { StatementClass } from './statement-class.ts'

const MIN_SLOTS = 64

export interface ClassCacheStats {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly misses: number
  readonly evictions: number
}

export class ClassCache {
  readonly #maxBytes: number
  #buckets = new Int32Array(MIN_SLOTS).fill(-1)
  #next = new Int32Array(MIN_SLOTS)
  #a = new Int32Array(MIN_SLOTS)
  #b = new Int32Array(MIN_SLOTS)
  #check = new Int32Array(MIN_SLOTS)
  #cost = new Int32Array(MIN_SLOTS)
  #used = new Uint8Array(MIN_SLOTS)
  #classes: (StatementClass | undefined)[] = []
  #free: number[] = []
  #top = 0
  #hand = 0
  #entries = 0
  #bytes = 0
  #hits = 0
  #misses = 0
  #evictions = 0

  /** `maxBytes` bounds the sum of the costs given to `set`. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The class of a fingerprint, or undefined. All three numbers must agree. */
  get(a: number, b: number, check: number): StatementClass | undefined {
    let slot = this.#buckets[a & (this.#buckets.length - 1)] as number
    while (slot >= 0) {
      if (this.#a[slot] === a && this.#b[slot] === b && this.#check[slot] === check) {
        this.#used[slot] = 1
        this.#hits++
        return this.#classes[slot]
      }
      slot = this.#next[slot] as number
    }
    this.#misses++
    return undefined
  }

  /**
   * Adds or replaces. `cost` in bytes; an entry that costs more than a sixteenth of the cache isn't
   * kept, so that one text can't empty it.
   */
  set(a: number, b: number, check: number, cls: StatementClass, cost: number): void {
    this.delete(a, b, check)
    if (cost > this.#maxBytes / 16) return
    while (this.#bytes + cost > this.#maxBytes) this.#evictOne()
    const slot = this.#free.pop() ?? this.#newSlot()
    const bucket = a & (this.#buckets.length - 1)
    this.#a[slot] = a
    this.#b[slot] = b
    this.#check[slot] = check
    this.#cost[slot] = cost
    this.#used[slot] = 0
    this.#classes[slot] = cls
    this.#next[slot] = this.#buckets[bucket] as number
    this.#buckets[bucket] = slot
    this.#entries++
    this.#bytes += cost
  }

  delete(a: number, b: number, check: number): void {
    let slot = this.#buckets[a & (this.#buckets.length - 1)] as number
    while (slot >= 0) {
      if (this.#a[slot] === a && this.#b[slot] === b && this.#check[slot] === check) {
        this.#remove(slot)
        return
      }
      slot = this.#next[slot] as number
    }
  }

  clear(): void {
    this.#buckets = new Int32Array(MIN_SLOTS).fill(-1)
    this.#resize(MIN_SLOTS)
    this.#classes = []
    this.#free = []
    this.#top = 0
    this.#hand = 0
    this.#entries = 0
    this.#bytes = 0
  }

  stats(): ClassCacheStats {
    return {
      entries: this.#entries,
      bytes: this.#bytes,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    }
  }

  #evictOne(): void {
    for (;;) {
      if (this.#hand >= this.#top) this.#hand = 0
      const slot = this.#hand++
      if (this.#classes[slot] === undefined) continue
      if (this.#used[slot] === 1) {
        this.#used[slot] = 0
        continue
      }
      this.#remove(slot)
      this.#evictions++
      return
    }
  }

  #remove(slot: number): void {
    const bucket = (this.#a[slot] as number) & (this.#buckets.length - 1)
    let at = this.#buckets[bucket] as number
    if (at === slot) {
      this.#buckets[bucket] = this.#next[slot] as number
    } else {
      while (this.#next[at] !== slot) at = this.#next[at] as number
      this.#next[at] = this.#next[slot] as number
    }
    this.#classes[slot] = undefined
    this.#bytes -= this.#cost[slot] as number
    this.#entries--
    this.#free.push(slot)
  }

  #newSlot(): number {
    if (this.#top === this.#a.length) {
      this.#resize(this.#a.length * 2)
      this.#rehash()
    }
    return this.#top++
  }

  #resize(slots: number): void {
    this.#next = resized(this.#next, slots)
    this.#a = resized(this.#a, slots)
    this.#b = resized(this.#b, slots)
    this.#check = resized(this.#check, slots)
    this.#cost = resized(this.#cost, slots)
    const used = new Uint8Array(slots)
    used.set(this.#used.subarray(0, slots))
    this.#used = used
  }

  #rehash(): void {
    this.#buckets = new Int32Array(this.#a.length).fill(-1)
    const mask = this.#buckets.length - 1
    for (let slot = 0; slot < this.#top; slot++) {
      if (this.#classes[slot] === undefined) continue
      const bucket = (this.#a[slot] as number) & mask
      this.#next[slot] = this.#buckets[bucket] as number
      this.#buckets[bucket] = slot
    }
  }
}

function resized(array: Int32Array, slots: number): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(slots)
  copy.set(array.subarray(0, slots))
  return copy
}
