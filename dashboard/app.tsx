import { useEffect, useReducer, useState } from 'preact/hooks'
import { EventLog } from './event-log.tsx'
import { Header } from './header.tsx'
import type { Live } from './live.ts'
import { Plots } from './plots.tsx'
import { SignIn } from './sign-in.tsx'
import { Tables } from './tables.tsx'
import { Tiles } from './tiles.tsx'
import { Topology } from './topology.tsx'

export const ranges = [
  { seconds: 300, name: '5 min' },
  { seconds: 900, name: '15 min' },
  { seconds: 3600, name: '1 h' },
] as const

export function App({ live }: { readonly live: Live }) {
  const [, again] = useReducer((n: number) => n + 1, 0)
  useEffect(() => live.onChange(() => again(undefined)), [live])
  const [chosen, choose] = useState<string | null>(null)
  const [seconds, setSeconds] = useState<number>(ranges[0].seconds)
  const { clusters, connection, hello } = live
  if (connection.kind === 'signed-out') return <SignIn live={live} why={connection.why} />
  const cluster = clusters.find((one) => one.cluster === chosen) ?? clusters[0]
  if (hello === null || cluster === undefined) {
    const text = connection.kind === 'lost' ? `${connection.why}; trying again …` : 'Connecting …'
    return (
      <main class="alone">
        <h1 class="logo">pgsplit</h1>
        <p role="status">{text}</p>
      </main>
    )
  }
  const view = { live, cluster, fromMs: live.series.lastMs - seconds * 1000, seconds }
  return (
    <>
      <a class="skip" href="#main">
        Skip to the figures
      </a>
      <Header
        live={live}
        hello={hello}
        cluster={cluster}
        onCluster={choose}
        seconds={seconds}
        onSeconds={setSeconds}
      />
      <main id="main" tabIndex={-1}>
        <Tiles {...view} />
        <div class="halves">
          <div class="column">
            <Topology {...view} isOperator={hello.role === 'operator'} />
            <EventLog {...view} />
          </div>
          <Plots {...view} />
        </div>
        <Tables {...view} />
      </main>
    </>
  )
}
