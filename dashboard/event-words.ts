import type { NotedEvent } from '../src/history/event-history.ts'

/** Events that plots are marked with: what changes where requests go. */
const marked = new Set([
  'primary-changed',
  'primary-lost',
  'node-down',
  'node-up',
  'node-banned',
  'node-strayed',
  'node-fenced',
  'node-draining',
  'misroute',
  'paused',
  'resumed',
  'operator_action',
  'reloaded',
])

export function isMarked({ event, level }: NotedEvent): boolean {
  return level === 'warn' ? !event.startsWith('catalog') : marked.has(event)
}

/** `primary-changed` → `primary changed`. */
export function wordOf({ event }: NotedEvent): string {
  return event.replace(/[-_]/g, ' ')
}
