import type { Lsn } from '../topology/lsn.ts'
import type { PositionSampler } from '../topology/position-sampler.ts'
import type { Snapshot } from '../topology/snapshot.ts'

/** How long a commit may be waited for where nobody says so, ms. */
export const defaultVisibleWaitMs = 1_000

/** How many replicas are to show a commit before it is acknowledged, and how long that may take. */
export interface Visibility {
  /** Infinity = all that reads may go to now. */
  readonly replicas: number
  readonly waitMs: number
}

/** What is told of replicas that lack a commit. */
export function notVisible(missing: readonly string[], waitMs: number): string {
  const where =
    missing.length === 0 ? 'there are not so many replicas' : `not on ${missing.join(', ')}`
  return `the commit is done, but replicas do not show it after ${waitMs} ms: ${where}`
}

/**
 * Waits until replicas show what was committed, on the samples that reads go by: one position of the
 * primary that is asked for after the commit, and the replicas' own when they have replayed that.
 */
export class VisibleCommits {
  readonly #sampler: PositionSampler
  readonly #snapshot: () => Snapshot

  constructor(sampler: PositionSampler, snapshot: () => Snapshot) {
    this.#sampler = sampler
    this.#snapshot = snapshot
  }

  /**
   * Calls back once: with null when so many replicas show all that was committed before this call,
   * else, after `waitMs`, with the names of those that don't. The result takes it back.
   */
  wait(
    { replicas: count, waitMs }: Visibility,
    done: (missing: readonly string[] | null) => void,
  ): () => void {
    const { primary, replicas } = this.#sampler
    let forget = (): void => {}
    const end = (missing: readonly string[] | null): void => {
      forget()
      clearTimeout(timer)
      done(missing)
    }
    let lsn: Lsn | null = null
    const look = (): void => {
      if (lsn === null) return
      if (this.#isShown(lsn, count)) {
        end(null)
        return
      }
      replicas.wish(lsn)
      replicas.hurry()
      forget = this.#sampler.onNext(look)
    }
    const timer = setTimeout(() => end(this.#missing(lsn)), waitMs)
    timer.unref()
    const epoch = primary.ask()
    forget = primary.onSince(epoch, () => {
      lsn = primary.since(epoch)?.inserted ?? null
      look()
    })
    return () => {
      forget()
      clearTimeout(timer)
    }
  }

  #isShown(lsn: Lsn, count: number): boolean {
    const missing = this.#missing(lsn)
    if (count === Number.POSITIVE_INFINITY) return missing.length === 0
    return this.#readable().length - missing.length >= count
  }

  #missing(lsn: Lsn | null): string[] {
    return this.#readable()
      .filter(({ index }) => lsn === null || this.#sampler.replicas.replayed(index) < lsn)
      .map(({ id }) => id)
  }

  #readable() {
    return this.#snapshot().nodes.filter(({ role, readable }) => role === 'replica' && readable)
  }
}
