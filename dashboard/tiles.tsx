import { count, duration, percent } from './format.ts'
import { Sparkline } from './sparkline.tsx'
import type { View } from './view.ts'

/** The few numbers that say whether all is well. */
export function Tiles({ live, cluster, fromMs }: View) {
  const { series } = live
  const name = cluster.cluster
  const own = (what: string) => series.last(name, null, what)
  const numbers = (node: string | null, what: string) =>
    series.numbers({ cluster: name, node, what }, fromMs)
  let [requests, reads, onReplicas] = [0, 0, 0]
  const perSecond: (number | null)[] = []
  for (const { node, role } of cluster.nodes) {
    const nodeReads = series.last(name, node, 'reads') ?? 0
    requests += nodeReads + (series.last(name, node, 'other') ?? 0)
    reads += nodeReads
    if (role === 'replica') onReplicas += nodeReads
    for (const what of ['reads', 'other']) {
      for (const [i, number] of numbers(node, what).entries()) {
        if (number !== null) perSecond[i] = (perSecond[i] ?? 0) + number
      }
    }
  }
  const lags = cluster.nodes.flatMap(({ role, lagMs }) =>
    role === 'replica' && lagMs !== null ? [lagMs] : [],
  )
  const active = own('active') ?? 0
  const waiting = own('waiting') ?? 0
  const misroutes = series.sum(name, null, 'misroutes', fromMs)
  const retries = series.sum(name, null, 'retries', fromMs)
  return (
    <section class="tiles" aria-label="At a glance">
      <Tile name="Requests per second" value={count(requests)} spark={perSecond} />
      <Tile
        name="Reads on replicas"
        value={percent(onReplicas, reads)}
        note={`${count(reads)} reads/s`}
      />
      <Tile
        name="p99 at the servers"
        value={duration(own('p99'))}
        note={`p50 ${duration(own('p50'))}`}
        spark={numbers(null, 'p99')}
      />
      <Tile
        name="Worst lag"
        value={duration(lags.length === 0 ? null : Math.max(...lags))}
        note={`${lags.length} ${lags.length === 1 ? 'replica' : 'replicas'}`}
      />
      <Tile
        name="Clients"
        value={count(active + waiting + (own('idle') ?? 0))}
        note={`${count(active)} active, ${count(waiting)} waiting`}
        isBad={waiting > 0 && cluster.longestWaitMs > 1000}
      />
      <Tile
        name="Misroutes"
        value={count(misroutes)}
        note={`${count(retries)} healed unseen`}
        isBad={misroutes > 0}
      />
    </section>
  )
}

interface TileProps {
  readonly name: string
  readonly value: string
  readonly note?: string
  readonly isBad?: boolean
  readonly spark?: readonly (number | null)[]
}

function Tile({ name, value, note, isBad = false, spark }: TileProps) {
  return (
    <div class={isBad ? 'tile card attention' : 'tile card'}>
      <h2>{name}</h2>
      <p class="value">{value}</p>
      {note !== undefined && <p class="quiet">{note}</p>}
      {spark !== undefined && <Sparkline numbers={spark} colour="accent" />}
    </div>
  )
}
