import { ClusterRates } from './cluster-rates.ts'
import type { EventHistory, NotedEvent } from './event-history.ts'
import { type ColumnName, NumberColumns } from './number-columns.ts'
import type { ClusterSample, NodeSample } from './samples.ts'
import { StatementSeries } from './statement-series.ts'

const tickMs = 1_000
const hourTicks = 3_600
/** Statements are many: theirs are plotted in steps of so many ticks. */
const statementTicks = 10

/** What of a node is no counter and no histogram. */
type NodeNow = Omit<NodeSample, 'requests' | 'reads' | 'errors' | 'read' | 'write'>

/** A cluster as it is now. */
interface ClusterNow {
  readonly cluster: string
  readonly isPaused: boolean
  readonly longestWaitMs: number
  readonly nodes: readonly NodeNow[]
}

/** What each second brings. */
export interface Tick {
  /** ms since 1970. */
  readonly atMs: number
  readonly clusters: readonly ClusterNow[]
  /** What `numbers` are, where that has changed since the last tick. */
  readonly columns?: readonly ColumnName[]
  /** Null: unknown. */
  readonly numbers: readonly (number | null)[]
  readonly events: readonly NotedEvent[]
}

export interface RecorderOptions {
  readonly sample: () => readonly ClusterSample[]
  readonly events: EventHistory
  /** ms since 1970. Default: the clock. */
  readonly nowMs?: () => number
}

/** An hour of what the dashboard plots, a sample each second, for all who look. */
export class Recorder {
  readonly events: EventHistory
  readonly #sample: () => readonly ClusterSample[]
  readonly #nowMs: () => number
  readonly #columns = new NumberColumns(hourTicks)
  readonly #statements = new StatementSeries(tickMs * statementTicks, hourTicks / statementTicks)
  readonly #rates = new Map<string, ClusterRates>()
  readonly #listeners = new Set<(tick: Tick) => void>()
  #timer: NodeJS.Timeout | null = null
  #ticks = 0
  #toldVersion = 0
  #toldEvent = 0
  #last: Tick | null = null

  constructor({ sample, events, nowMs = Date.now }: RecorderOptions) {
    this.#sample = sample
    this.events = events
    this.#nowMs = nowMs
  }

  get statements(): StatementSeries {
    return this.#statements
  }

  /** Samples each second, until `stop`. */
  start(): void {
    this.tick()
    this.#timer ??= setInterval(() => this.tick(), tickMs).unref()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Gives what ends it. `listener` must not throw. */
  subscribe(listener: (tick: Tick) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** The last tick with all columns and all events: what a newcomer has to know. */
  now(): Tick | null {
    const last = this.#last
    return last && { ...last, columns: this.#columns.names, events: this.events.all }
  }

  /** The last seconds; see `NumberColumns.encode`. */
  encode(seconds: number): Uint8Array<ArrayBuffer> {
    return this.#columns.encode(seconds)
  }

  tick(): void {
    const atMs = this.#nowMs()
    const samples = this.#sample()
    this.#columns.begin(atMs)
    for (const sample of samples) this.#ratesOf(sample.cluster).note(sample, atMs, this.#columns)
    if (this.#ticks++ % statementTicks === 0) {
      // One call: a step of the series is one of all clusters.
      this.#statements.note(statementsOf(samples), atMs)
    }
    const isNew = this.#columns.version !== this.#toldVersion
    this.#toldVersion = this.#columns.version
    const tick: Tick = {
      atMs,
      clusters: samples.map(clusterNow),
      ...(isNew ? { columns: this.#columns.names } : {}),
      numbers: this.#columns.lastRow().map(toldNumber),
      events: this.events.since(this.#toldEvent),
    }
    this.#toldEvent = this.events.lastId
    this.#last = tick
    for (const listener of this.#listeners) listener(tick)
  }

  #ratesOf(cluster: string): ClusterRates {
    let rates = this.#rates.get(cluster)
    if (rates === undefined) {
      rates = new ClusterRates()
      this.#rates.set(cluster, rates)
    }
    return rates
  }
}

function* statementsOf(samples: readonly ClusterSample[]) {
  for (const { statements } of samples) yield* statements
}

function clusterNow({ cluster, isPaused, longestWaitMs, nodes }: ClusterSample): ClusterNow {
  return { cluster, isPaused, longestWaitMs, nodes: nodes.map(nodeNow) }
}

function nodeNow({ requests, reads, errors, read, write, ...now }: NodeSample): NodeNow {
  return now
}

/** To the thousandth: more is noise in a plot. */
function toldNumber(number: number): number | null {
  return Number.isFinite(number) ? Math.round(number * 1000) / 1000 : null
}
