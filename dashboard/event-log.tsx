import { wordOf } from './event-words.ts'
import { clock } from './format.ts'
import type { View } from './view.ts'

const most = 200

/** What happened, the newest first. */
export function EventLog({ live, cluster }: View) {
  const own = live.events.filter((one) => one.cluster === null || one.cluster === cluster.cluster)
  const shown = own.slice(-most).reverse()
  return (
    <div class="card log">
      <h2 id="events">What happened</h2>
      <div class="scroll tall" role="region" aria-labelledby="events" tabIndex={0}>
        {shown.length === 0 && <p class="quiet">Nothing yet.</p>}
        <ol>
          {shown.map((event) => (
            <li key={event.firstId} id={`event-${event.firstId}`} tabIndex={-1}>
              <time dateTime={new Date(event.atMs).toISOString()}>{clock(event.atMs)}</time>
              <span class={`word ${event.level}`}>{wordOf(event)}</span>
              <span class="text">
                {event.text}
                {event.times > 1 && <span class="quiet"> ({event.times} times)</span>}
              </span>
            </li>
          ))}
        </ol>
      </div>
    </div>
  )
}
