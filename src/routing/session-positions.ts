import type { Consistency } from '../consistency.ts'
import { compareLsn, type Lsn } from '../topology/lsn.ts'
import type { PositionSampler } from '../topology/position-sampler.ts'
import { nodeAt, type Snapshot } from '../topology/snapshot.ts'
import { NOTHING, neededLsn, raised, unknownSince } from './owed.ts'
import { PrimaryShows } from './primary-shows.ts'
import type { SessionFacts } from './requirement.ts'
import type { Route } from './route.ts'
import { type CausalToken, watermarkOf } from './watermark.ts'

/**
 * What sessions have written and seen (docs/behaviour/consistency.md, level `session`). What was done on the
 * primary is covered by a later position of the primary; what was read on a replica by a later one
 * of that replica, and until it is known the session stays there. All of it costs the data path two
 * comparisons of numbers.
 */
export class SessionPositions {
  readonly #sampler: PositionSampler
  readonly #snapshot: () => Snapshot
  /** Where standbys may show a commit before the primary. */
  readonly shown: PrimaryShows

  constructor(sampler: PositionSampler, snapshot: () => Snapshot) {
    this.#sampler = sampler
    this.#snapshot = snapshot
    this.shown = new PrimaryShows(sampler, snapshot, (facts) => void this.settle(facts))
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
   * A read has come in: at the levels that promise what others have written, this is the moment that
   * counts. Call it once for each read, before it is routed.
   */
  begin(facts: SessionFacts, level: Consistency): void {
    if (level === 'shared' && facts.group !== null) {
      const group = this.#renewed(facts.group)
      facts.othersSince = group.dirtySince
      facts.othersMark = group.watermark
      return
    }
    facts.othersSince = -1
    facts.othersMark = null
    if (level !== 'strict') return
    // What was acknowledged to anybody by now lies before any position that the primary is asked for
    // from now on; so does what a replica has shown.
    if (facts.reader >= 0) facts.mustFind = true
    facts.reader = -1
    facts.dirtySince = this.#sampler.primary.ask()
  }

  /** What the group has written counts as the session's own, from now on and in its tokens. */
  takeIn(facts: SessionFacts): void {
    if (facts.group === null) return
    const { watermark, dirtySince } = this.#renewed(facts.group)
    if (watermark !== null) facts.watermark = raised(facts.watermark, watermark)
    if (dirtySince > facts.dirtySince) facts.dirtySince = dirtySince
  }

  /** The group, with what is known by now. */
  #renewed(group: SessionFacts): SessionFacts {
    if (group.dirtySince >= 0) this.settle(group)
    const { watermark } = group
    if (watermark === null) return group
    const snapshot = this.#snapshot()
    const isOlder = watermark.timeline < (snapshot.timeline ?? 0)
    if (isOlder && watermarkOf(watermark, snapshot) === null) {
      // Replaced by a promotion: a position of the new primary covers all of it that is left.
      group.watermark = null
      this.notePrimary(group)
    }
    return group
  }

  /** Has this replica all that the session must see, as far as is known by now? */
  isCoveredBy(facts: SessionFacts, nodeIndex: number): boolean {
    this.settle(facts)
    if (facts.reader >= 0 && facts.reader !== nodeIndex) return false
    // Without a primary nobody can tell what others have written, and a transaction can't move.
    const isOwn = this.#snapshot().primary === null
    if ((isOwn ? facts.dirtySince : unknownSince(facts)) >= 0) return false
    const lsn = neededLsn(facts, this.#snapshot(), isOwn)
    if (lsn === null) return false
    const probed = nodeAt(this.#snapshot(), nodeIndex)?.replayLsn ?? NOTHING
    return probed >= lsn || this.#sampler.replicas.replayed(nodeIndex) >= lsn
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

  /** Takes in what is known by now; true when the watermark covers all that the session itself did. */
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
          this.raise(facts, { timeline: Math.max(timeline, own), lsn })
        }
      }
    }
    if (facts.dirtySince >= 0) {
      const sample = primary.since(facts.dirtySince)
      if (sample !== null) {
        facts.dirtySince = -1
        const token = { timeline: sample.timeline, lsn: sample.inserted }
        raise(facts, token)
        if (facts.mustFind) facts.shown = raised(facts.shown, token)
        facts.mustFind = false
      }
    }
    if (facts.othersSince >= 0) {
      const sample = primary.since(facts.othersSince)
      if (sample !== null) {
        facts.othersSince = -1
        const token = { timeline: sample.timeline, lsn: sample.inserted }
        facts.othersMark = raised(facts.othersMark, token)
      }
    }
    return facts.dirtySince < 0 && facts.reader < 0
  }

  /** A read was routed: what it lacks is asked for soon. */
  chase(facts: SessionFacts, route: Route): void {
    if (facts.reader >= 0 && route.isBehind === true) {
      // It could not stay, so what it saw there must be found on the primary; or it gets a position
      // soon, where the replica has not gone and only lacks what others have written.
      if (this.#owesOthers(facts)) this.#sampler.replicas.hurry()
      else this.#leaveReader(facts)
    }
    this.#sampler.replicas.seek()
    const lsn = this.#needed(facts)
    if (unknownSince(facts) >= 0) this.#sampler.primary.hurry()
    else if (lsn > NOTHING) this.#sampler.replicas.wish(lsn)
  }

  /**
   * Does the primary answer, and has it sent what the session's reads lack, or will it soon? What is
   * not flushed yet (commits of others, records of open transactions) is sent when it is: at the next
   * commit, or up to a second later where no commit waits for the flush.
   */
  isOnTheWay(facts: SessionFacts, limitMs: number): boolean {
    const { latest, silentMs, flushMs } = this.#sampler.primary
    if (unknownSince(facts) >= 0) return silentMs <= limitMs
    if (latest === null || this.#needed(facts) <= latest.flushed) return true
    return flushMs <= limitMs
  }

  /** What the session must see is to get a position soon. */
  hurry(facts: SessionFacts): void {
    const since = unknownSince(facts)
    if (since >= 0) this.#sampler.primary.askFor(since)
    if (facts.reader >= 0) this.#sampler.replicas.hurry()
  }

  /**
   * Calls back once, when what the session lacks may be there: a position, or a replica that has
   * reached it. The result takes that back.
   */
  onProgress(facts: SessionFacts, callback: () => void): () => void {
    const { primary, replicas } = this.#sampler
    const since = unknownSince(facts)
    if (since >= 0) return primary.onSince(since, callback)
    const lsn = this.#needed(facts)
    if (lsn > NOTHING) return replicas.onReached(lsn, callback)
    return this.#sampler.onNext(callback)
  }

  /** Is there more that its reads must see than it has written and seen itself? */
  #owesOthers(facts: SessionFacts): boolean {
    const { dirtySince, othersSince, watermark } = facts
    return othersSince > dirtySince || this.#needed(facts) > (watermark?.lsn ?? NOTHING)
  }

  /** By number only: what is on another history is compared when it is routed. */
  #needed({ watermark, othersMark }: SessionFacts): Lsn {
    const own = watermark?.lsn ?? NOTHING
    const others = othersMark?.lsn ?? NOTHING
    return compareLsn(own, others) > 0 ? own : others
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

  /** Its reads wait for this token, of what replicas or others have shown, from now on. */
  raise(facts: SessionFacts, token: CausalToken): void {
    raise(facts, token)
    facts.shown = raised(facts.shown, token)
  }

  #leaveReader(facts: SessionFacts): void {
    facts.mustFind = true
    facts.reader = -1
    this.notePrimary(facts)
  }
}

function raise(facts: SessionFacts, token: CausalToken): void {
  facts.watermark = raised(facts.watermark, token)
}
