import type { PositionSampler } from '../topology/position-sampler.ts'
import type { Snapshot } from '../topology/snapshot.ts'
import { NOTHING } from './owed.ts'
import type { SessionFacts } from './requirement.ts'
import { watermarkOf } from './watermark.ts'

/** How long a request waits at most for the primary to show what a replica has shown, ms. */
export const mostShownWaitMs = 2_000

/**
 * With synchronous replication a standby shows a commit before its primary does, which waits for other
 * standbys meanwhile. Who has seen it there goes to the primary when it shows that, too, so as not to
 * read backwards. Where commits wait for nobody, all of it is one look at the snapshot.
 */
export class PrimaryShows {
  readonly #sampler: PositionSampler
  readonly #snapshot: () => Snapshot
  readonly #settle: (facts: SessionFacts) => void

  /** `settle`: takes in what positions are known by now. */
  constructor(
    sampler: PositionSampler,
    snapshot: () => Snapshot,
    settle: (facts: SessionFacts) => void,
  ) {
    this.#sampler = sampler
    this.#snapshot = snapshot
    this.#settle = settle
  }

  /**
   * Until when the request of a session that began at `startedMs` waits for the primary to show all
   * that replicas have shown to it, monotonic ms; null = it need not, or has waited for long enough.
   */
  untilMs(facts: SessionFacts, startedMs: number, nowMs: number): number | null {
    if (!this.lacks(facts)) return null
    const { shownWait } = facts
    const untilMs = shownWait?.startedMs === startedMs ? shownWait.untilMs : nowMs + mostShownWaitMs
    facts.shownWait = { startedMs, untilMs }
    if (untilMs > nowMs) return untilMs
    this.forget(facts)
    return null
  }

  /** It was waited for as long as that may take: the next request need not wait again. */
  forget(facts: SessionFacts): void {
    facts.shown = null
    facts.mustFind = false
  }

  /** Has the session been shown what the primary, where commits wait for standbys, may not show yet? */
  lacks(facts: SessionFacts): boolean {
    const snapshot = this.#snapshot()
    if (snapshot.primary?.waitsForStandbys !== true) return false
    if (facts.reader < 0 && facts.shown === null && !facts.mustFind) return false
    this.#settle(facts)
    if (facts.reader >= 0 || facts.mustFind) return true
    const lsn = facts.shown === null ? null : watermarkOf(facts.shown, snapshot)
    if (lsn !== null && !this.#sampler.finished.isShown(lsn)) return true
    facts.shown = null
    return false
  }

  /** Calls back once, when the primary may show what it lacked. The result takes that back. */
  onShown(facts: SessionFacts, callback: () => void): () => void {
    const { primary, replicas, finished } = this.#sampler
    if (facts.reader >= 0) {
      replicas.hurry()
      return this.#sampler.onNext(callback)
    }
    if (facts.mustFind && facts.dirtySince >= 0) {
      primary.askFor(facts.dirtySince)
      return primary.onSince(facts.dirtySince, callback)
    }
    return finished.onShown(facts.shown?.lsn ?? NOTHING, callback)
  }
}
