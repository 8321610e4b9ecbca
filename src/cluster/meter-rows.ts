import type { LatencyRow, RouteRow } from '../admin/admin-source.ts'
import type { LatencyHistogram } from '../metrics/latency-histogram.ts'
import type { NodeMeter } from '../metrics/request-meter.ts'
import type { Cluster } from './cluster.ts'

export function routeRows(cluster: Cluster): RouteRow[] {
  return nodesOf(cluster).flatMap(({ node, meter }) =>
    [...meter.requests].map(([reason, requests]) => ({
      cluster: cluster.name,
      node,
      reason,
      requests,
    })),
  )
}

export function latencyRows(cluster: Cluster): LatencyRow[] {
  return nodesOf(cluster).flatMap(({ node, meter }) =>
    (['read', 'write'] as const).flatMap((kind) => {
      const { waited, served } = meter[kind]
      if (served.count === 0) return []
      const [wait50, wait95, wait99, wait999] = percentiles(waited)
      const [serve50, serve95, serve99, serve999] = percentiles(served)
      const row: LatencyRow = {
        cluster: cluster.name,
        node,
        kind,
        requests: served.count,
        wait_p50_us: wait50,
        wait_p95_us: wait95,
        wait_p99_us: wait99,
        wait_p999_us: wait999,
        serve_p50_us: serve50,
        serve_p95_us: serve95,
        serve_p99_us: serve99,
        serve_p999_us: serve999,
      }
      return [row]
    }),
  )
}

function nodesOf({ meter, snapshot }: Cluster): { node: string; meter: NodeMeter }[] {
  return snapshot.nodes.flatMap(({ id, index }) => {
    const own = meter.node(index)
    return own === undefined ? [] : [{ node: id, meter: own }]
  })
}

type FourNumbers = readonly [number | null, number | null, number | null, number | null]

/** Microseconds, to the tenth. */
function percentiles(histogram: LatencyHistogram): FourNumbers {
  const [p50 = null, p95 = null, p99 = null, p999 = null] = histogram
    .quantiles([0.5, 0.95, 0.99, 0.999])
    .map((ms) => (ms === null ? null : Math.round(ms * 10_000) / 10))
  return [p50, p95, p99, p999]
}
