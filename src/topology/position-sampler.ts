import { FinishedCommits } from './finished-commits.ts'
import { News } from './news.ts'
import { PositionConnections } from './position-connections.ts'
import { PrimaryPositions, type PrimarySample } from './primary-positions.ts'
import type { OpenProbe } from './probe-connection.ts'
import { ReplicaPositions } from './replica-positions.ts'
import type { Snapshot } from './snapshot.ts'

export interface PositionSamplerOptions {
  readonly openProbe: OpenProbe
  readonly snapshot: () => Snapshot
  readonly nowMs: () => number
  /** Least time between two samples of the primary while a reader waits for one, ms. Default 1. */
  readonly hurriedPrimaryEveryMs?: number
  /** The same while no reader waits, ms. Default 4: most sessions come back later than that. */
  readonly primaryEveryMs?: number
  /** Time between two samples of a replica that somebody waits for, ms. Default 2. */
  readonly hurriedReplicaEveryMs?: number
  /** The same while it is only read from, ms. Default 100. */
  readonly replicaEveryMs?: number
  /** A sample that takes longer is given up, ms. Default 1000. */
  readonly timeoutMs?: number
  /** Is told of every sample. */
  readonly news?: News
}

/**
 * Who has seen what, in positions of the write-ahead log (src/README.md: one sample serves many): the
 * primary is asked for sessions that wrote or read there, a replica for those that read there, all
 * of it beside the data path, and not at all while nobody needs it.
 */
export class PositionSampler {
  readonly primary: PrimaryPositions
  readonly replicas: ReplicaPositions
  readonly finished: FinishedCommits
  readonly #connections: PositionConnections
  readonly #news: News

  constructor(options: PositionSamplerOptions) {
    const { openProbe, snapshot, nowMs } = options
    this.#news = options.news ?? new News()
    this.#connections = new PositionConnections({
      openProbe,
      timeoutMs: options.timeoutMs ?? 1_000,
      onLost: (nodeIndex) => {
        this.replicas.lost(nodeIndex)
        this.primary.lost(nodeIndex)
      },
    })
    const shared = { connections: this.#connections, snapshot, nowMs }
    this.replicas = new ReplicaPositions({
      ...shared,
      everyMs: options.replicaEveryMs ?? 100,
      hurriedEveryMs: options.hurriedReplicaEveryMs ?? 2,
      onSample: () => this.#news.tell(),
    })
    this.finished = new FinishedCommits({
      connections: this.#connections,
      snapshot,
      replayed: (nodeIndex) => this.replicas.replayed(nodeIndex),
    })
    this.primary = new PrimaryPositions({
      ...shared,
      everyMs: options.primaryEveryMs ?? 4,
      hurriedEveryMs: options.hurriedPrimaryEveryMs ?? 1,
      onSample: (sample) => {
        this.replicas.notePrimary(sample)
        this.#news.tell()
      },
    })
  }

  /** Calls back once, when the next sample has come. The result takes that back. */
  onNext(callback: () => void): () => void {
    return this.#news.onNext(callback)
  }

  /** Calls back with a sample of the primary that was asked for after this moment. */
  afterNow(callback: (sample: PrimarySample) => void): void {
    const epoch = this.primary.note()
    const look = (): void => {
      const sample = this.primary.since(epoch)
      if (sample === null) this.#news.onNext(look)
      else callback(sample)
    }
    look()
    this.primary.hurry()
  }

  /** The node with this index has left: its position must not be taken for its successor's. */
  forget(nodeIndex: number): void {
    this.#connections.drop(nodeIndex)
    this.replicas.forget(nodeIndex)
  }

  stop(): void {
    this.#news.clear()
    this.primary.stop()
    this.replicas.stop()
    this.finished.stop()
    this.#connections.close()
  }
}
