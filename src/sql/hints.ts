/** Hints for people: a leading comment like `/* pgsplit: primary, maxLag=500ms *​/`. */
import { parseCommitVisible, parseConsistency } from '../consistency.ts'
import { parseDuration } from '../duration.ts'
import type { Hint } from './statement-class.ts'

const MARK = 'pgsplit:'
const MAX_HINT_BYTES = 512
const MAX_NOTE_CHARS = 80

/** Whether the comment `text[start, end)` (with its `--` or `/*`) begins with `pgsplit:`. */
export function isHintComment(text: Uint8Array, start: number, end: number): boolean {
  let p = start + 2
  while (p < end && (text[p] === 0x20 || text[p] === 0x09)) p++
  if (end - p < MARK.length) return false
  for (let i = 0; i < MARK.length; i++) {
    const c = text[p + i] as number
    if ((c >= 0x41 && c <= 0x5a ? c + 32 : c) !== MARK.charCodeAt(i)) return false
  }
  return true
}

/**
 * The hint in such a comment, null if it is empty. What isn't understood has no effect and is kept in
 * `unread`, for `SHOW pgsplit.last_route` and EXPLAIN (ROUTE).
 */
export function parseHint(text: Uint8Array, start: number, end: number): Hint | null {
  const bytes = text.subarray(start, Math.min(end, start + MAX_HINT_BYTES))
  const words = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('latin1')
    .replace(/^(--|\/\*)\s*/, '')
    .replace(/\*\/$/, '')
    .slice(MARK.length)
    .replace(/\s*=\s*/g, '=')
    // `maxLag = 1 min` is one word, as a duration is everywhere.
    .replace(/(=\d+(?:\.\d+)?)\s+(?!primary|replica)(?=[a-z]+(?:[\s,]|$))/gi, '$1')
    .split(/[\s,]+/)
    .filter((word) => word !== '')
  let route: Hint['route'] = null
  let maxLagMs: number | null = null
  let consistency: Hint['consistency'] = null
  let commitVisible: number | null = null
  const unread: string[] = []
  for (const word of words) {
    const [key = '', ...rest] = word.split('=')
    const name = key.toLowerCase()
    const value = rest.join('=')
    const isBare = rest.length === 0
    const asked = isBare || name === 'route' ? parseRoute(isBare ? name : value) : null
    const lagMs = name === 'maxlag' ? parseDuration(value) : undefined
    const level = name === 'consistency' ? parseConsistency(value) : null
    const shown = name === 'commit_visible' ? parseCommitVisible(value) : null
    if (asked !== null) route = asked
    else if (lagMs !== undefined) maxLagMs = lagMs
    else if (level !== null) consistency = level
    else if (shown !== null) commitVisible = shown
    else unread.push(word)
  }
  if (words.length === 0) return null
  return { route, maxLagMs, consistency, commitVisible, unread: unread.join(' ') }
}

/** What is told of a hint that isn't understood; '' = nothing. */
export function unreadNote(hint: Hint | null): string {
  if (hint === null || hint.unread === '') return ''
  return `; not understood in its hint: ${hint.unread.slice(0, MAX_NOTE_CHARS)}`
}

function parseRoute(value: string): Hint['route'] {
  const word = value.toLowerCase()
  return word === 'primary' || word === 'replica' ? word : null
}
