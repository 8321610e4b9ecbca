import { PgSplitError } from '../errors.ts'
import type { RequestMeter } from '../metrics/request-meter.ts'
import type { ClusterCounters } from '../routing/counters.ts'
import type { LoadTable } from '../routing/load.ts'
import type { Monitor } from '../topology/monitor.ts'
import type { PositionSampler } from '../topology/position-sampler.ts'
import type { Snapshot } from '../topology/snapshot.ts'
import type { ClusterMember, Members } from './members.ts'
import type { NodeUse } from './node-use.ts'

export interface DeparturesOptions {
  readonly members: Members
  readonly monitor: Monitor
  readonly sampler: PositionSampler
  readonly uses: ReadonlyMap<string, NodeUse>
  readonly load: LoadTable
  readonly counters: ClusterCounters
  readonly meter: RequestMeter
  /** How long what runs at a node that leaves may go on, ms. */
  readonly drainTimeoutMs: () => number
  readonly nowMs: () => number
}

/**
 * Nodes that leave: what runs there may end, nothing new begins, and when nothing refers to such a
 * node any more it is forgotten and its index is free.
 */
export class Departures {
  readonly #options: DeparturesOptions

  constructor(options: DeparturesOptions) {
    this.#options = options
  }

  /** To be called with every snapshot. */
  note({ nodes }: Snapshot): void {
    for (const { leaving, index } of nodes) {
      if (!leaving) continue
      const member = this.#options.members.at(index)
      if (member === undefined || member.leavingSinceMs !== null) continue
      member.leavingSinceMs = this.#options.nowMs()
      for (const use of this.#options.uses.values()) use.retire(index)
    }
  }

  /** To be called now and then. */
  reap(): void {
    for (const member of this.#options.members.all) {
      if (member.leavingSinceMs !== null) this.#reap(member, member.leavingSinceMs)
    }
  }

  #reap(member: ClusterMember, sinceMs: number): void {
    const { uses, load, drainTimeoutMs, nowMs } = this.#options
    const { index } = member
    const isOverdue = nowMs() - sinceMs > drainTimeoutMs()
    const error = new PgSplitError({
      sqlstate: '57P01',
      message: `node ${member.node.name} has left the cluster`,
    })
    for (const use of uses.values()) {
      if (isOverdue) use.abandon(index, error)
      else use.retire(index)
    }
    const isQuiet = isOverdue || (load.inFlight[index] ?? 0) === 0
    if (isQuiet && [...uses.values()].every((use) => use.isEmpty(index))) this.#forget(index)
  }

  #forget(index: number): void {
    const { uses, load, counters, meter, sampler, monitor, members } = this.#options
    for (const use of uses.values()) use.forget(index)
    load.reset(index)
    // Counters by node begin anew with the next node of this index; sums over all nodes don't.
    for (const counter of [counters.requests, counters.errors, counters.readsByNode]) {
      counter[index] = 0
    }
    meter.forget(index)
    sampler.forget(index)
    monitor.remove(index)
    members.remove(index)
  }
}
