import type { NotedEvent } from '../src/history/event-history.ts'
import { isMarked, wordOf } from './event-words.ts'
import { clock } from './format.ts'
import { leftAxis, rightEdge } from './plot.tsx'

interface LaneProps {
  readonly events: readonly NotedEvent[]
  readonly range: readonly [number, number]
}

/** At most so many: more could not be told apart. */
const most = 60

/** What happened, below the plots and on their axis of time. */
export function EventLane({ events, range: [from, to] }: LaneProps) {
  const shown = events.filter(isMarked).slice(-most)
  return (
    <div class="card lane">
      <h2 class="quiet">Events</h2>
      <ol style={{ marginLeft: `${leftAxis}px`, marginRight: `${rightEdge}px` }}>
        {shown.map((event) => {
          const share = Math.min(1, Math.max(0, (event.atMs / 1000 - from) / (to - from)))
          const text = `${clock(event.atMs)} ${wordOf(event)}: ${event.text}`
          return (
            <li key={event.firstId} style={{ left: `${(100 * share).toFixed(2)}%` }}>
              <a class={`mark ${event.level}`} href={`#event-${event.firstId}`} title={text}>
                <span class="hidden">{text}</span>
              </a>
            </li>
          )
        })}
      </ol>
    </div>
  )
}
