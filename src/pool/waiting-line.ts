import { allClaims, type Claim } from './claim.ts'
import type { Pooled, Waiter } from './pooled.ts'

export interface Queued<C extends Pooled> {
  readonly waiter: Waiter<C>
  readonly sinceMs: number
  /** Place in the order of arrival over all claims. */
  readonly place: number
}

/**
 * Who waits for a connection, first come first served. Those whose claim may take no more are passed
 * over: they wait for their like, and keep their place.
 */
export class WaitingLine<C extends Pooled> {
  readonly #lines: Readonly<Record<Claim, Queued<C>[]>> = { work: [], read: [], hold: [] }
  #next = 0

  get size(): number {
    const { work, read, hold } = this.#lines
    return work.length + read.length + hold.length
  }

  count(claim: Claim): number {
    return this.#lines[claim].length
  }

  push(waiter: Waiter<C>, sinceMs: number): void {
    this.#lines[waiter.claim].push({ waiter, sinceMs, place: this.#next++ })
  }

  /** False: it does not wait here. */
  delete(waiter: Waiter<C>): boolean {
    const line = this.#lines[waiter.claim]
    const index = line.findIndex((queued) => queued.waiter === waiter)
    if (index >= 0) line.splice(index, 1)
    return index >= 0
  }

  /** Who has waited longest of all. */
  get oldest(): Queued<C> | null {
    return this.at(0, anyClaim)
  }

  /** The one behind `n` others among those whose claim may take more; null: there are not so many. */
  at(n: number, may: (claim: Claim) => boolean): Queued<C> | null {
    const at = { work: 0, read: 0, hold: 0 }
    const claims = allClaims.filter((claim) => this.#lines[claim].length > 0 && may(claim))
    for (let i = 0; ; i++) {
      let first: Queued<C> | null = null
      for (const claim of claims) {
        const head = this.#lines[claim][at[claim]]
        if (head !== undefined && (first === null || head.place < first.place)) first = head
      }
      if (first === null || i === n) return first
      at[first.waiter.claim]++
    }
  }

  /** Empties it; in order. */
  takeAll(): readonly Queued<C>[] {
    const { work, read, hold } = this.#lines
    const all = [...work, ...read, ...hold].sort((a, b) => a.place - b.place)
    for (const line of [work, read, hold]) line.length = 0
    return all
  }
}

function anyClaim(): boolean {
  return true
}
