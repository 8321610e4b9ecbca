import { type HealthState, healthWord } from './health.ts'
import type { DownReason, MonitorEvent } from './monitor-event.ts'
import type { MonitorSettings } from './monitor-options.ts'
import type { NodeTrack } from './node-track.ts'

/** What to tell of a change of health; empty when nothing a person would see has changed. */
export function healthEvents(
  track: NodeTrack,
  before: HealthState,
  reason: DownReason,
): readonly MonitorEvent[] {
  const after = track.health
  const node = track.spec.id
  const events: MonitorEvent[] = []
  if (before.draining !== after.draining) {
    const kind = after.draining ? 'node-draining' : 'node-undrained'
    const detail = `health is ${healthWord(after)} now`
    events.push({ kind, node, reason: 'operator', detail })
  }
  if (before.phase === after.phase) return events
  const detail = after.reason
  switch (after.phase) {
    case 'up': {
      const came = {
        unknown: 'probed',
        banned: 'ban-over',
        down: 'recovered',
        up: 'probed',
      } as const
      events.push({ kind: 'node-up', node, reason: came[before.phase], detail })
      break
    }
    case 'down':
      events.push({ kind: 'node-down', node, reason, detail })
      break
    case 'banned': {
      const forMs = after.banUntilMs === null ? null : after.banUntilMs - after.sinceMs
      const by = reason === 'operator' ? 'operator' : 'failures'
      events.push({ kind: 'node-banned', node, reason: by, detail, forMs })
      break
    }
    case 'unknown':
      break
    default:
      after.phase satisfies never
  }
  return events
}

/** A replica crossed one of the two lag thresholds. */
export function lagEvent(track: NodeTrack, settings: MonitorSettings): MonitorEvent {
  const { lagMs } = track
  const node = track.spec.id
  if (track.gate.fresh) {
    const detail = 'its lag is small enough again'
    return { kind: 'node-fresh', node, reason: 'caught-up', detail, lagMs }
  }
  const paused = track.observation?.replayPaused === true ? '; replay is paused' : ''
  if (lagMs === null) {
    const detail = `how far it lags is not known${paused}`
    return { kind: 'node-lagging', node, reason: 'lag-unknown', detail, lagMs }
  }
  const detail = `${Math.round(lagMs)} ms behind, at most ${settings.maxLagMs} are allowed${paused}`
  return { kind: 'node-lagging', node, reason: 'lag', detail, lagMs }
}

/** A replica turned out to follow another history than the primary's, or is on it again. */
export function historyEvent({ spec, strayed }: NodeTrack): MonitorEvent {
  const node = spec.id
  if (strayed === null) {
    const detail = "is on the primary's history"
    return { kind: 'node-returned', node, reason: 'same-history', detail }
  }
  const detail = `${strayed}; let it follow the primary, or rebuild it`
  return { kind: 'node-strayed', node, reason: 'other-history', detail }
}
