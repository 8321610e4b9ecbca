import { type Point, type ReadSeries, seriesOf } from './series.ts'

/** Longest file that is read, bytes. */
export const maxTraceBytes = 64 * 1024 * 1024
/** With more of them broken a file is not what it says. */
const mostBroken = 0.05

/**
 * A series of a CSV text: a time and a number per line, with a heading or without. A time without a
 * zone is taken as it stands, so that each day has 24 hours; `2026-10-25T02:30Z` and `+02:00` are
 * understood, and seconds or milliseconds since 1970. Lines that are broken are left out and told;
 * where there are too many, or nothing is left, what it returns is one line that says so.
 */
export function readTrace(text: string): ReadSeries | string {
  const points: Point[] = []
  const broken: number[] = []
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue
    const [time = '', number = ''] = line
      .split(/[,;\t]/)
      .map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'))
    const atMs = timeOf(time)
    const value = number === '' ? Number.NaN : Number(number)
    if (atMs !== null && Number.isFinite(value) && value >= 0) points.push({ atMs, value })
    else if (i > 0 || points.length > 0) broken.push(i + 1)
  }
  const where = `line ${broken[0]}${broken.length > 1 ? ` and ${broken.length - 1} others` : ''}`
  if (points.length === 0)
    return 'no line has a time and a number of 0 or more, as in 2026-11-30T08:00Z,120'
  if (broken.length > points.length * mostBroken) {
    return `${broken.length} of ${broken.length + points.length} lines have no time or no number of 0 or more (${where})`
  }
  const found = seriesOf(points)
  if (typeof found === 'string' || broken.length === 0) return found
  const note = `${where} left out: no time, or no number of 0 or more`
  return { series: found.series, notes: [note, ...found.notes] }
}

/** ms since 1970, or null. */
function timeOf(text: string): number | null {
  if (/^\d{9,13}(\.\d+)?$/.test(text)) {
    const number = Number(text)
    return number > 1e11 ? number : number * 1000
  }
  const parts =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))? ?(Z|[+-]\d\d(?::?\d\d)?)?$/.exec(
      text,
    )
  if (parts === null) return null
  const [, date, time = '00:00', zone = 'Z'] = parts
  const offset = /^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone
  const atMs = Date.parse(`${date}T${time}${offset}`)
  return Number.isNaN(atMs) ? null : atMs
}
