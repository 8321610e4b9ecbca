/** The one grammar of durations: configuration, flags, hints, `SET pgsplit.*` and admin commands. */
const unitsMs: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** The longest delay that `setTimeout` takes; a longer one would fire at once. */
export const maxDurationMs = 2 ** 31 - 1

/** What a duration looks like, for messages. */
export const durationExample = 'a duration in whole milliseconds, such as 500ms, 10s, 1m or 1h'

/**
 * Parses `'10s'`, `'500ms'`, `'1.5m'`, `'1min'`, `'1h'`, `'1d'`, `'2000us'` or a bare number of
 * milliseconds; the case of units doesn't matter. Gives whole milliseconds, or undefined for
 * anything else: negative, fractions of a millisecond, beyond `maxDurationMs`.
 */
export function parseDuration(value: string | number): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)$/i.exec(String(value).trim())
  const unit = match?.[2] === '' ? 1 : unitsMs[match?.[2]?.toLowerCase() ?? '']
  if (match === null || unit === undefined) return undefined
  const ms = Number((Number(match[1]) * unit).toFixed(6))
  return Number.isInteger(ms) && ms <= maxDurationMs ? ms : undefined
}

/** The shortest spelling that `parseDuration` reads back to the same number: 60000 is `1m`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const size = unitsMs[unit] ?? 1
    if (ms !== 0 && ms % size === 0) return `${ms / size}${unit}`
  }
  return `${ms}ms`
}
