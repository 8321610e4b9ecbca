import type { EventLog } from '../core/event-log.ts'
import type { EventHistory } from '../history/event-history.ts'
import { redact } from '../redact.ts'

/** Takes what happened; `cluster` null: to all of pgsplit. */
export type NoteEvent = EventHistory['note']

/** A log whose lines are noted, too: also those that its level leaves out. */
export function notedLog(log: EventLog, cluster: string, note: NoteEvent): EventLog {
  const at =
    (level: 'info' | 'warn'): EventLog['info'] =>
    (facts, text) => {
      log[level](facts, text)
      note(cluster, level, facts, redact(text))
    }
  return { info: at('info'), warn: at('warn') }
}
