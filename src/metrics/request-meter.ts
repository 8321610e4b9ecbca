import { LatencyHistogram } from './latency-histogram.ts'
import { StatementTable } from './statement-table.ts'

/** What is noted of a request on its way. */
export class RequestTrace<Word extends string> {
  #arrivedAtMs = 0
  #why: Word
  #avoidsStale = false
  #rows = 0

  constructor(why: Word) {
    this.#why = why
  }

  /** When the client had asked, monotonic ms. */
  get arrivedAtMs(): number {
    return this.#arrivedAtMs
  }

  /** Why it runs where it does: a word of routing. */
  get why(): Word {
    return this.#why
  }

  /** It has waited or gone elsewhere because a replica was behind its session. */
  get avoidsStale(): boolean {
    return this.#avoidsStale
  }

  /** Of its answer so far. */
  get rows(): number {
    return this.#rows
  }

  arrived(nowMs: number): void {
    this.#arrivedAtMs = nowMs
  }

  routed(why: Word, avoidsStale: boolean): void {
    this.#why = why
    this.#avoidsStale ||= avoidsStale
  }

  countRow(): void {
    this.#rows++
  }

  /** The request runs again: the rows of the first time are not its answer. */
  dropRows(): void {
    this.#rows = 0
  }
}

/** What is told of a request that a node has answered. */
export interface AnsweredRequest {
  readonly trace: RequestTrace<string>
  /** When it was sent to the node that has answered, monotonic ms. */
  readonly startedAtMs: number
  /** Of its messages, bytes; what is streamed (COPY, long values) not counted. */
  readonly size: number
  readonly answerBytes: number
}

/** How long requests of one kind have waited in pgsplit, and how long the node took. */
export interface Latencies {
  readonly waited: LatencyHistogram
  readonly served: LatencyHistogram
}

/** What one node has answered. The counters only grow. */
export class NodeMeter {
  /** By word of routing. */
  readonly requests = new Map<string, number>()
  readonly read: Latencies = newLatencies()
  readonly write: Latencies = newLatencies()
  requestBytes = 0
  answerBytes = 0
  rows = 0
  staleAvoided = 0
}

/** What the nodes of one cluster have answered, by node index. Plain counters, read at the edge. */
export class RequestMeter {
  readonly #nodes: (NodeMeter | undefined)[] = []
  readonly statements = new StatementTable()
  /** Requests that had to wait for a primary (or the end of a pause), and how long they did, ms. */
  held = 0
  heldMs = 0

  /** Undefined: it has answered nothing yet. */
  node(nodeIndex: number): NodeMeter | undefined {
    return this.#nodes[nodeIndex]
  }

  /**
   * @param isRead it was proved to be one
   * @param servedMs from `startedAtMs` to the end of the answer
   */
  answered(nodeIndex: number, isRead: boolean, request: AnsweredRequest, servedMs: number): void {
    let node = this.#nodes[nodeIndex]
    if (node === undefined) {
      node = new NodeMeter()
      this.#nodes[nodeIndex] = node
    }
    const { why, arrivedAtMs, rows, avoidsStale } = request.trace
    node.requests.set(why, (node.requests.get(why) ?? 0) + 1)
    const latencies = isRead ? node.read : node.write
    latencies.waited.record(request.startedAtMs - arrivedAtMs)
    latencies.served.record(servedMs)
    node.requestBytes += request.size
    node.answerBytes += request.answerBytes
    node.rows += rows
    if (avoidsStale) node.staleAvoided++
  }

  noteHeld(ms: number): void {
    this.held++
    this.heldMs += ms
  }

  /** The index is given to another node. */
  forget(nodeIndex: number): void {
    this.#nodes[nodeIndex] = undefined
  }
}

function newLatencies(): Latencies {
  return { waited: new LatencyHistogram(), served: new LatencyHistogram() }
}
