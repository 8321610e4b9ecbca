import type { LatencyHistogram } from '../metrics/latency-histogram.ts'
import type { NumberColumns } from './number-columns.ts'
import { RecentLatencies } from './recent-latencies.ts'
import type { ClusterSample, NodeSample } from './samples.ts'

const shares = [0.5, 0.95, 0.99]
const shareNames = ['p50', 'p95', 'p99']

interface LastCounters {
  readonly requests: number
  readonly reads: number
  readonly errors: number
}

/** What is plotted of one cluster, from what its counters have grown by since the last sample. */
export class ClusterRates {
  readonly #latencies = new Map<string | null, RecentLatencies>()
  readonly #waits = new RecentLatencies()
  #nodes = new Map<string, LastCounters>()
  #atMs: number | null = null
  #retries = 0
  #misroutes = 0

  /** Writes into the row that was begun. Nothing that is a rate, the first time. */
  note(sample: ClusterSample, atMs: number, columns: NumberColumns): void {
    const { cluster, nodes, clients } = sample
    const seconds = this.#atMs === null ? null : Math.max(0.001, (atMs - this.#atMs) / 1000)
    const set = (node: string | null, what: string, number: number) =>
      columns.set({ cluster, node, what }, number)
    const setLatencies = (name: string | null, of: readonly NodeSample[]) => {
      const latencies = this.#quantiles(name, histogramsOf(of, 'served'))
      for (const [i, what] of shareNames.entries()) {
        set(name, what, latencies[i] ?? Number.NaN)
      }
    }
    for (const node of nodes) {
      const name = node.node
      const last = this.#nodes.get(name)
      if (seconds !== null) {
        const grown = grownBy(node, last)
        set(name, 'reads', grown.reads / seconds)
        set(name, 'other', (grown.requests - grown.reads) / seconds)
        set(name, 'errors', grown.errors / seconds)
      }
      if (node.role !== 'primary') set(name, 'lag', node.lagMs ?? Number.NaN)
      setLatencies(name, [node])
      set(name, 'connections', node.active + node.idle)
    }
    setLatencies(null, nodes)
    const waited = this.#waits.quantiles(histogramsOf(nodes, 'waited'), [0.99])
    set(null, 'waited', waited[0] ?? Number.NaN)
    set(null, 'active', clients.active)
    set(null, 'waiting', clients.waiting)
    set(null, 'idle', clients.idle)
    if (seconds !== null) {
      set(null, 'retries', Math.max(0, sample.retries - this.#retries))
      set(null, 'misroutes', Math.max(0, sample.misroutes - this.#misroutes))
    }
    this.#atMs = atMs
    this.#retries = sample.retries
    this.#misroutes = sample.misroutes
    this.#nodes = new Map(nodes.map((node) => [node.node, node]))
    for (const name of this.#latencies.keys()) {
      if (name !== null && !this.#nodes.has(name)) this.#latencies.delete(name)
    }
  }

  #quantiles(name: string | null, histograms: readonly LatencyHistogram[]): number[] {
    let latencies = this.#latencies.get(name)
    if (latencies === undefined) {
      latencies = new RecentLatencies()
      this.#latencies.set(name, latencies)
      // What was before nobody looked is not of this second.
      latencies.quantiles(histograms, shares)
      return []
    }
    return latencies.quantiles(histograms, shares)
  }
}

function histogramsOf(nodes: readonly NodeSample[], part: 'served' | 'waited'): LatencyHistogram[] {
  return nodes.flatMap(({ read, write }) => {
    return [read, write].flatMap((one) => (one === null ? [] : [one[part]]))
  })
}

/** Of a node that was not there, or whose counters began anew: nothing is known of this second. */
function grownBy(node: NodeSample, last: LastCounters | undefined): LastCounters {
  if (last === undefined || node.requests < last.requests) {
    return { requests: 0, reads: 0, errors: 0 }
  }
  return {
    requests: node.requests - last.requests,
    reads: node.reads - last.reads,
    errors: Math.max(0, node.errors - last.errors),
  }
}
