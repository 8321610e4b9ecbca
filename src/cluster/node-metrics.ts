import type { Metric, Sample } from '../metrics/metric.ts'
import type { NodeMeter } from '../metrics/request-meter.ts'
import type { Cluster } from './cluster.ts'

/** What the nodes of one cluster have answered: always the same families, in the same order. */
export function nodeMetrics(cluster: Cluster): Metric[] {
  const { meter, name, snapshot } = cluster
  const nodes = snapshot.nodes.flatMap(({ id, index }) => {
    const node = meter.node(index)
    return node === undefined ? [] : [{ labels: { cluster: name, node: id }, node }]
  })
  const counter = (what: string, help: string, numberOf: (node: NodeMeter) => number): Metric => {
    const samples = nodes.map(({ labels, node }) => ({ labels, value: numberOf(node) }))
    return { name: `pgsplit_${what}_total`, help, type: 'counter', samples }
  }
  const latency = (part: 'waited' | 'served', what: string, help: string): Metric => {
    const samples = nodes.flatMap(({ labels, node }): Sample[] =>
      (['read', 'write'] as const).flatMap((kind) => {
        const histogram = node[kind][part]
        return histogram.count === 0 ? [] : histogram.samples({ ...labels, kind })
      }),
    )
    return { name: `pgsplit_${what}_seconds`, help, type: 'histogram', samples }
  }
  return [
    {
      name: 'pgsplit_requests_total',
      help: 'Requests that the node has answered, by why they went there.',
      type: 'counter',
      samples: nodes.flatMap(({ labels, node }) =>
        [...node.requests].map(([reason, value]) => ({ labels: { ...labels, reason }, value })),
      ),
    },
    counter('rows', 'Rows that the node has given.', ({ rows }) => rows),
    counter(
      'request_bytes',
      'Size of the requests that the node has answered; COPY data is not in it.',
      ({ requestBytes }) => requestBytes,
    ),
    counter('answer_bytes', 'Size of its answers.', ({ answerBytes }) => answerBytes),
    counter(
      'stale_reads_avoided',
      'Reads that have waited or gone elsewhere because a replica was behind their session.',
      ({ staleAvoided }) => staleAvoided,
    ),
    latency(
      'waited',
      'request_waiting',
      'Time in pgsplit, from the arrival of a request to when it was sent to the node.',
    ),
    latency(
      'served',
      'request_serving',
      'Time from when a request was sent to the node to the end of its answer.',
    ),
    own(
      'held_requests',
      'Requests that had to wait for a primary, or for the end of a pause.',
      meter.held,
    ),
    own('held_seconds', 'Time that they have waited for that, together.', meter.heldMs / 1000),
  ]

  function own(what: string, help: string, value: number): Metric {
    const samples = [{ labels: { cluster: name }, value }]
    return { name: `pgsplit_${what}_total`, help, type: 'counter', samples }
  }
}
