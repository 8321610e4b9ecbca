/** Hints for people: a leading comment like `/* pgsplit: primary, maxLag=500ms *​/`. */
import type { Hint } from './statement-class.ts'

const MARK = 'pgsplit:'
const MAX_HINT_BYTES = 512

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

/** The hint in such a comment; what isn't understood is ignored, null if nothing is left. */
export function parseHint(text: Uint8Array, start: number, end: number): Hint | null {
  const bytes = text.subarray(start, Math.min(end, start + MAX_HINT_BYTES))
  const words = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('latin1')
    .replace(/^(--|\/\*)\s*/, '')
    .replace(/\*\/$/, '')
    .slice(MARK.length)
    .split(/[\s,]+/)
  let route: Hint['route'] = null
  let maxLagMs: number | null = null
  let consistency: Hint['consistency'] = null
  for (const word of words) {
    const [key = '', value = ''] = word.split('=', 2)
    const name = key.toLowerCase()
    if (name === 'primary' || name === 'replica') route = name
    else if (name === 'route') route = parseRoute(value) ?? route
    else if (name === 'maxlag') maxLagMs = parseDurationMs(value) ?? maxLagMs
    else if (name === 'consistency') consistency = parseConsistency(value) ?? consistency
  }
  if (route === null && maxLagMs === null && consistency === null) return null
  return { route, maxLagMs, consistency }
}

function parseRoute(value: string): Hint['route'] {
  const word = value.toLowerCase()
  return word === 'primary' || word === 'replica' ? word : null
}

function parseConsistency(value: string): Hint['consistency'] {
  const word = value.toLowerCase()
  const known = word === 'session' || word === 'bounded' || word === 'eventual'
  return known || word === 'primary' ? word : null
}

/** `500ms`, `2s`, `1min`, or bare milliseconds → ms; null when it is no duration. */
export function parseDurationMs(value: string): number | null {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)(us|ms|s|min|h)?$/i.exec(value)
  if (match === null) return null
  const unit = { us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000 }[
    (match[2] ?? 'ms').toLowerCase() as 'us' | 'ms' | 's' | 'min' | 'h'
  ]
  return Math.round(Number(match[1]) * unit)
}
