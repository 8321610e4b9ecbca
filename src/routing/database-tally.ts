import type { ClusterCounters } from './counters.ts'

/** What the clients of one database have had since the start. Times in ms, sizes in bytes. */
export interface DatabaseCounts {
  readonly queries: number
  readonly transactions: number
  readonly readsReplica: number
  readonly readsPrimary: number
  readonly writes: number
  readonly retries: number
  readonly received: number
  readonly sent: number
  readonly waitMs: number
  readonly queryMs: number
}

/** Counts what sessions of one database do, for it and for the cluster. */
export class DatabaseTally {
  readonly #total: ClusterCounters
  #queries = 0
  #transactions = 0
  #readsReplica = 0
  #readsPrimary = 0
  #writes = 0
  #retries = 0
  #received = 0
  #sent = 0
  #waitMs = 0
  #queryMs = 0

  constructor(total: ClusterCounters) {
    this.#total = total
  }

  /** A request was answered by a node; `endsTransaction`: and left none open. */
  answered(
    node: number,
    isRead: boolean,
    onReplica: boolean,
    endsTransaction: boolean,
    elapsedMs: number,
  ): void {
    const total = this.#total
    total.queries++
    total.queryMs += elapsedMs
    this.#queries++
    this.#queryMs += elapsedMs
    if (isRead) {
      total.reads++
      total.readsByNode[node] = (total.readsByNode[node] ?? 0) + 1
      if (onReplica) {
        total.readsReplica[node] = (total.readsReplica[node] ?? 0) + 1
        this.#readsReplica++
      } else this.#readsPrimary++
    } else {
      total.writes++
      this.#writes++
    }
    if (!endsTransaction) return
    total.transactions++
    this.#transactions++
  }

  received(bytes: number): void {
    this.#total.received += bytes
    this.#received += bytes
  }

  sent(bytes: number): void {
    this.#total.sent += bytes
    this.#sent += bytes
  }

  /** A request has waited so long for its connection. */
  waited(ms: number): void {
    this.#total.waitMs += ms
    this.#waitMs += ms
  }

  /** A request is run again elsewhere. */
  retried(): void {
    this.#total.retries++
    this.#retries++
  }

  counts(): DatabaseCounts {
    return {
      queries: this.#queries,
      transactions: this.#transactions,
      readsReplica: this.#readsReplica,
      readsPrimary: this.#readsPrimary,
      writes: this.#writes,
      retries: this.#retries,
      received: this.#received,
      sent: this.#sent,
      waitMs: this.#waitMs,
      queryMs: this.#queryMs,
    }
  }
}
