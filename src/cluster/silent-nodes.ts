import type { ClusterCounters } from '../client/cluster-access.ts'
import type { LoadTable } from '../routing/load.ts'
import type { Snapshot } from '../topology/snapshot.ts'

export interface SilentNodesOptions {
  readonly load: LoadTable
  readonly counters: ClusterCounters
  readonly snapshot: () => Snapshot
  readonly nowMs: () => number
  /** A replica that owes answers and gives no sign of life for so long is left, ms. */
  readonly readTimeoutMs: number
  /** Reads that wait at this replica are to run elsewhere. */
  readonly onSilent: (nodeIndex: number) => void
}

/** Looks at a replica per time-out: one that is late is left before the time is up. */
const looks = 8

/**
 * `routing.readTimeout`: a replica that owes answers and neither answers anybody nor a probe (its
 * processes are frozen, its host is gone) is left. Signs of life are the counts of answered requests,
 * so the data path does nothing for it.
 */
export class SilentNodes {
  readonly #options: SilentNodesOptions
  readonly #answered: number[] = []
  readonly #heardAtMs: number[] = []
  readonly #timer: NodeJS.Timeout

  constructor(options: SilentNodesOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.look(), options.readTimeoutMs / looks)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  look(): void {
    const { snapshot, load, counters, readTimeoutMs, onSilent } = this.#options
    const nowMs = this.#options.nowMs()
    for (const { index, role, observedAtMs } of snapshot().nodes) {
      const answered = counters.requests[index] ?? 0
      const owes = role === 'replica' && (load.inFlight[index] ?? 0) > 0
      if (!owes || answered !== this.#answered[index]) {
        this.#answered[index] = answered
        this.#heardAtMs[index] = nowMs
        continue
      }
      const heardAtMs = Math.max(this.#heardAtMs[index] ?? nowMs, observedAtMs ?? 0)
      if (nowMs - heardAtMs < readTimeoutMs * (1 - 2 / looks)) continue
      this.#heardAtMs[index] = nowMs
      onSilent(index)
    }
  }
}
