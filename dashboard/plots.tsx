import { useState } from 'preact/hooks'
import { EventLane } from './event-lane.tsx'
import { isMarked } from './event-words.ts'
import { count, duration } from './format.ts'
import { Plot, type PlotLine } from './plot.tsx'
import { nodeColourName } from './theme.ts'
import { placeOf, type View } from './view.ts'

/** What moved, one above the other on one axis of time. */
export function Plots({ live, cluster, fromMs, seconds }: View) {
  const [node, setNode] = useState<string | null>(null)
  const { series, events } = live
  const name = cluster.cluster
  const times = series.times(fromMs)
  const end = series.lastMs / 1000
  const range = [end - seconds, end] as const
  const numbers = (of: string | null, what: string) =>
    series.numbers({ cluster: name, node: of, what }, fromMs)
  const own = events.filter(
    (event) => event.atMs >= fromMs && (event.cluster === null || event.cluster === name),
  )
  const marks = own.filter(isMarked).map(({ atMs }) => atMs / 1000)
  const shown = cluster.nodes.some((one) => one.node === node) ? node : null
  const colourOf = (of: string): string => nodeColourName(placeOf(cluster, of))
  const requests = cluster.nodes.map(({ node: of }): PlotLine => {
    const other = numbers(of, 'other')
    const both = numbers(of, 'reads').map((reads, i) => {
      return reads === null ? null : reads + (other[i] ?? 0)
    })
    return { name: of, colour: colourOf(of), numbers: both }
  })
  const lags = cluster.nodes
    .filter(({ role }) => role !== 'primary')
    .map(({ node: of }) => ({ name: of, colour: colourOf(of), numbers: numbers(of, 'lag') }))
  const latencies = (['p99', 'p95', 'p50'] as const).map((what) => {
    return { name: what, colour: `line-${what}`, numbers: numbers(shown, what) }
  })
  const waited = { name: 'p99 waiting', colour: 'line-waited', numbers: numbers(null, 'waited') }
  const common = { times, range, marks }
  return (
    <section class="plots" aria-label="Over time">
      <Plot {...common} title="Requests per second" lines={requests} format={count} isStacked />
      <Plot
        {...common}
        title="Latency"
        lines={shown === null ? [...latencies, waited] : latencies}
        format={duration}
        isLogarithmic
      >
        <label class="pick">
          <span class="hidden">Latency of</span>
          <select
            value={shown ?? ''}
            onChange={(event) => setNode(event.currentTarget.value || null)}
          >
            <option value="">all nodes</option>
            {cluster.nodes.map((one) => (
              <option key={one.node}>{one.node}</option>
            ))}
          </select>
        </label>
      </Plot>
      <Plot {...common} title="Lag of replicas" lines={lags} format={duration} />
      <EventLane events={own} range={range} />
    </section>
  )
}
