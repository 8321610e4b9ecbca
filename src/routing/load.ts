import { MAX_NODES } from '../topology/node.ts'

export interface LoadOptions {
  /** ms until a latency that was seen counts for 1/e, default 10000. */
  readonly decayMs?: number
  /** Monotonic ms; default the process's own clock. */
  readonly nowMs?: () => number
}

/** What every node has to do, by node index. Plain counters, written where it happens. */
export class LoadTable {
  /** Requests sent whose answer is not complete. */
  readonly inFlight = new Int32Array(MAX_NODES)
  /** Those of them that share their server connection with others. */
  readonly #shared = new Int32Array(MAX_NODES)
  /** Server connections that somebody has for himself, working or not. */
  readonly leased = new Int32Array(MAX_NODES)
  readonly #ewmaMs = new Float64Array(MAX_NODES)
  readonly #stampMs = new Float64Array(MAX_NODES)
  readonly #decayMs: number
  readonly #nowMs: () => number

  constructor(options: LoadOptions = {}) {
    this.#decayMs = options.decayMs ?? 10_000
    this.#nowMs = options.nowMs ?? (() => performance.now())
  }

  /**
   * What the node has to do, and what is taken of it: whoever has a connection for himself keeps it
   * from others while he is idle, too. Never less than the requests in flight.
   */
  busy(node: number): number {
    const taken = (this.#shared[node] ?? 0) + (this.leased[node] ?? 0)
    const inFlight = this.inFlight[node] ?? 0
    return Math.max(taken, inFlight)
  }

  /** A lease began or ended. */
  lease(node: number, change: 1 | -1): void {
    const leased = (this.leased[node] ?? 0) + change
    this.leased[node] = Math.max(leased, 0)
  }

  /** `isShared`: on a connection that others use at the same time; `finish` must be told the same. */
  start(node: number, isShared = false): void {
    if (isShared) this.#shared[node] = (this.#shared[node] ?? 0) + 1
    this.inFlight[node] = (this.inFlight[node] ?? 0) + 1
  }

  /**
   * @param latencyMs time to the end of the answer; NaN = none came (the node failed)
   * @param nowMs the time, if the caller has just asked for it
   */
  finish(node: number, latencyMs: number, nowMs?: number, isShared = false): void {
    const now = this.inFlight[node] ?? 0
    if (now > 0) this.inFlight[node] = now - 1
    const shared = this.#shared[node] ?? 0
    if (isShared && shared > 0) this.#shared[node] = shared - 1
    if (!Number.isNaN(latencyMs)) this.#observe(node, latencyMs, nowMs ?? this.#nowMs())
  }

  /** Another node has this index from here on. */
  reset(node: number): void {
    this.#shared[node] = 0
    this.leased[node] = 0
    for (const table of [this.inFlight, this.#ewmaMs, this.#stampMs]) {
      table[node] = 0
    }
  }

  /**
   * Peak EWMA (Finagle's balancer): a slower answer counts at once, faster ones pull it down only
   * with time. 0 = nothing seen yet, or long ago.
   */
  latencyMs(node: number): number {
    const aged = this.#nowMs() - (this.#stampMs[node] ?? 0)
    return (this.#ewmaMs[node] ?? 0) * Math.exp(-aged / this.#decayMs)
  }

  #observe(node: number, latencyMs: number, nowMs: number): void {
    const before = this.#ewmaMs[node] ?? 0
    const kept = Math.exp(-(nowMs - (this.#stampMs[node] ?? 0)) / this.#decayMs)
    const after = latencyMs > before * kept ? latencyMs : before * kept + latencyMs * (1 - kept)
    this.#ewmaMs[node] = after
    this.#stampMs[node] = nowMs
  }
}
