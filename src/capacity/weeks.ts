const weekMs = 7 * 24 * 3_600_000
const hourMs = 3_600_000

/** How far local time is ahead of UTC at a moment, ms. */
export type ZoneOffset = (atMs: number) => number

/** Each day has 24 hours. */
export const noZone: ZoneOffset = () => 0

/**
 * The offsets of an IANA time zone. People keep to the clock on the wall: where that was set forward,
 * the same time last week was an hour further away. Throws RangeError for a name that is none.
 */
export function zoneOffsets(zone: string): ZoneOffset {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  // Clocks are set at whole hours, so one look per hour is enough.
  const known = new Map<number, number>()
  return (atMs) => {
    const hour = Math.floor(atMs / hourMs)
    let offset = known.get(hour)
    if (offset === undefined) {
      const parts = format.formatToParts(hour * hourMs)
      const [year, month, day, hours, minutes] = ['year', 'month', 'day', 'hour', 'minute'].map(
        (type) => Number(parts.find((part) => part.type === type)?.value),
      ) as [number, number, number, number, number]
      offset = Date.UTC(year, month - 1, day, hours, minutes) - hour * hourMs
      known.set(hour, offset)
    }
    return offset
  }
}

/** The same time of the week, so many weeks before `atMs`. */
export function weeksBefore(atMs: number, weeks: number, offsetOf: ZoneOffset): number {
  const before = atMs - weeks * weekMs
  return before + offsetOf(atMs) - offsetOf(before)
}
