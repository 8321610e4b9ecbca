import type { Consistency } from '../consistency.ts'
import type { PositionSampler } from '../topology/position-sampler.ts'
import { nodeAt, type Snapshot } from '../topology/snapshot.ts'
import type { SessionFacts } from './requirement.ts'
import type { Route } from './route.ts'
import { type CausalToken, jointToken, watermarkOf } from './watermark.ts'

/**
 * What sessions have written and seen (docs/behaviour/consistency.md, level `session`). What was done on the
 * primary is covered by a later position of the primary; what was read on a replica by a later one
 * of that replica, and until it is known the session stays there. All of it costs the data path two
 * comparisons of numbers.
 */
export class SessionPositions {
  readonly #sampler: PositionSampler
  readonly #snapshot: () => Snapshot

  constructor(sampler: PositionSampler, snapshot: () => Snapshot) {
    this.#sampler = sampler
    this.#snapshot = snapshot
  }

  /** The session has written or read on the primary, and its transaction has ended. */
  notePrimary(facts: SessionFacts): void {
    facts.dirtySince = this.#sampler.primary.note()
  }

  /** The session has written, and its transaction has ended. */
  noteWrite(facts: SessionFacts): void {
    this.notePrimary(facts)
    if (facts.group !== null) this.notePrimary(facts.group)
  }

  /**
   * A read has come in that sees, by its level, more than its session has written and seen. Call it
   * once for each such read, before it is routed.
   */
  begin(facts: SessionFacts, level: Consistency): void {
    if (level === 'strict') {
      // What was acknowledged to anybody by now lies before any position that the primary is asked for
      // from now on; so does what a replica has shown.
      facts.reader = -1
      facts.dirtySince = this.#sampler.primary.ask()
    } else if (level === 'shared' && facts.group !== null) this.#join(facts, facts.group)
  }

  #join(facts: SessionFacts, group: SessionFacts): void {
    if (group.dirtySince >= 0) this.settle(group)
    const { watermark, dirtySince } = group
    if (watermark !== null && watermark !== facts.watermark) raise(facts, watermark)
    if (dirtySince > facts.dirtySince) facts.dirtySince = dirtySince
  }

  /** Has this replica all that the session must see, as far as is known by now? */
  isCoveredBy(facts: SessionFacts, nodeIndex: number): boolean {
    this.settle(facts)
    if (facts.dirtySince >= 0) return false
    if (facts.reader >= 0 && facts.reader !== nodeIndex) return false
    if (facts.watermark === null) return true
    const lsn = watermarkOf(facts.watermark, this.#snapshot())
    if (lsn === null) return false
    const probed = nodeAt(this.#snapshot(), nodeIndex)?.replayLsn ?? null
    return (probed !== null && probed >= lsn) || this.#sampler.replicas.replayed(nodeIndex) >= lsn
  }

  /** The session has read on a replica. */
  noteReplica(facts: SessionFacts, nodeIndex: number): void {
    // What it saw on another one before has no position: a later one of the primary covers both.
    const isElsewhere = facts.reader >= 0 && facts.reader !== nodeIndex
    const epoch = isElsewhere ? -1 : this.#sampler.replicas.note(nodeIndex)
    if (epoch < 0) {
      this.#leaveReader(facts)
      return
    }
    facts.reader = nodeIndex
    facts.readEpoch = epoch
  }

  /** Takes in what is known by now; true when the watermark covers all that the session did. */
  settle(facts: SessionFacts): boolean {
    const { primary, replicas } = this.#sampler
    if (facts.reader >= 0) {
      const { reader, readEpoch } = facts
      if (replicas.isLost(reader, readEpoch)) this.#leaveReader(facts)
      else {
        const lsn = replicas.since(reader, readEpoch)
        const { timeline } = this.#snapshot()
        if (lsn !== null && timeline !== null) {
          facts.reader = -1
          // It may follow a promotion that is not known here yet.
          const own = replicas.timelineOf(reader) ?? 0
          raise(facts, { timeline: Math.max(timeline, own), lsn })
        }
      }
    }
    if (facts.dirtySince >= 0) {
      const sample = primary.since(facts.dirtySince)
      if (sample !== null) {
        facts.dirtySince = -1
        raise(facts, { timeline: sample.timeline, lsn: sample.inserted })
      }
    }
    return facts.dirtySince < 0 && facts.reader < 0
  }

  /** A read was routed: what it lacks is asked for soon. */
  chase(facts: SessionFacts, route: Route): void {
    // It could not stay, so what it saw there must be found on the primary.
    if (facts.reader >= 0 && route.isBehind === true) this.#leaveReader(facts)
    this.#sampler.replicas.seek()
    if (facts.dirtySince >= 0) this.#sampler.primary.hurry()
    else if (facts.watermark !== null) this.#sampler.replicas.wish(facts.watermark.lsn)
  }

  /**
   * Does the primary answer, and has it sent what the session's reads lack, or will it soon? What is
   * not flushed yet (commits of others, records of open transactions) is sent when it is: at the next
   * commit, or up to a second later where no commit waits for the flush.
   */
  isOnTheWay({ dirtySince, watermark }: SessionFacts, limitMs: number): boolean {
    const { latest, silentMs, flushMs } = this.#sampler.primary
    if (dirtySince >= 0) return silentMs <= limitMs
    if (watermark === null || latest === null || watermark.lsn <= latest.flushed) return true
    return flushMs <= limitMs
  }

  /** What the session did last is to get a position soon. */
  hurry(facts: SessionFacts): void {
    if (facts.dirtySince >= 0) this.#sampler.primary.askFor(facts.dirtySince)
    if (facts.reader >= 0) this.#sampler.replicas.hurry()
  }

  /**
   * Calls back once, when what the session lacks may be there: a position, or a replica that has
   * reached it. The result takes that back.
   */
  onProgress({ dirtySince, watermark }: SessionFacts, callback: () => void): () => void {
    const { primary, replicas } = this.#sampler
    if (dirtySince >= 0) return primary.onSince(dirtySince, callback)
    if (watermark !== null) return replicas.onReached(watermark.lsn, callback)
    return this.#sampler.onNext(callback)
  }

  /** Reads ask for replicas of a bounded age: positions are kept fresh. */
  watch(): void {
    this.#sampler.primary.note()
    for (const { index, readable } of this.#snapshot().nodes) {
      if (readable) this.#sampler.replicas.note(index)
    }
  }

  /** Calls back once, when something new is known. The result takes that back. */
  onNext(callback: () => void): () => void {
    return this.#sampler.onNext(callback)
  }

  /** Its reads wait for this token from now on. */
  raise(facts: SessionFacts, token: CausalToken): void {
    raise(facts, token)
  }

  #leaveReader(facts: SessionFacts): void {
    facts.reader = -1
    this.notePrimary(facts)
  }
}

function raise(facts: SessionFacts, token: CausalToken): void {
  const { watermark } = facts
  if (watermark === null) facts.watermark = token
  else if (token.timeline !== watermark.timeline || token.lsn > watermark.lsn) {
    facts.watermark = jointToken(watermark, token)
  }
}
