import type { ClusterCounters } from '../routing/counters.ts'
import type { LoadTable } from '../routing/load.ts'
import type { Snapshot } from '../topology/snapshot.ts'

export interface SilentNodesOptions {
  readonly load: LoadTable
  readonly counters: ClusterCounters
  readonly snapshot: () => Snapshot
  readonly nowMs: () => number
  /** Requests that wait for a connection to the node. */
  readonly waiting: (nodeIndex: number) => number
  /** Sends a probe: a node that is only slow with what it owes answers that. */
  readonly ask: (nodeIndex: number) => void
  /** A replica that owes answers and gives no sign of life for so long is left, ms. */
  readonly readTimeoutMs: number
  /** Reads that wait at this replica are to run elsewhere. */
  readonly onSilent: (nodeIndex: number) => void
}

/** Looks at a replica per time-out: one that is late is left before the time is up. */
const looks = 8
/** After so many looks without a sign of life it is asked, after so many it is left. */
const looksUntilAsked = 3
const looksUntilLeft = 6

/**
 * `routing.readTimeout`: a replica that owes answers or connections, and neither answers anybody nor
 * a probe (its processes are frozen, its host is gone), is left. Signs of life are the counts of answered requests,
 * so the data path does nothing for it.
 */
export class SilentNodes {
  readonly #options: SilentNodesOptions
  readonly #answered: number[] = []
  readonly #heardAtMs: number[] = []
  readonly #isAsked: boolean[] = []
  #lookedAtMs: number
  readonly #timer: NodeJS.Timeout

  constructor(options: SilentNodesOptions) {
    this.#options = options
    this.#lookedAtMs = options.nowMs()
    this.#timer = setInterval(() => this.look(), options.readTimeoutMs / looks)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  look(): void {
    const { snapshot, load, counters, readTimeoutMs, waiting, ask, onSilent } = this.#options
    const nowMs = this.#options.nowMs()
    const lookMs = readTimeoutMs / looks
    // We stood still, not the nodes: their answers may be waiting to be read.
    const wasAway = nowMs - this.#lookedAtMs > 2 * lookMs
    this.#lookedAtMs = nowMs
    for (const { index, role, observedAtMs } of snapshot().nodes) {
      const answered = counters.requests[index] ?? 0
      const owes = role === 'replica' && ((load.inFlight[index] ?? 0) > 0 || waiting(index) > 0)
      if (!owes || wasAway || answered !== this.#answered[index]) {
        this.#answered[index] = answered
        this.#heardAtMs[index] = nowMs
        this.#isAsked[index] = false
        continue
      }
      const heardAtMs = Math.max(this.#heardAtMs[index] ?? nowMs, observedAtMs ?? 0)
      const silentMs = nowMs - heardAtMs
      if (silentMs < lookMs * looksUntilAsked) this.#isAsked[index] = false
      else if (silentMs >= lookMs * looksUntilLeft) {
        this.#heardAtMs[index] = nowMs
        onSilent(index)
      } else if (this.#isAsked[index] !== true) {
        this.#isAsked[index] = true
        ask(index)
      }
    }
  }
}
