/** A measured value. */
export interface Point {
  readonly atMs: number
  readonly value: number
}

/** Values at equal distances; what is missing is NaN. */
export interface Series {
  /** Of the first value, ms since 1970. */
  readonly startMs: number
  readonly stepMs: number
  readonly values: Float64Array
}

/** A series with what was found odd about it, each in one line for people. */
export interface ReadSeries {
  readonly series: Series
  readonly notes: readonly string[]
}

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
/** No series is longer: six weeks by the minute, and ten years by the hour. */
const maxValues = 500_000
/** With more missing a series shows nothing. */
const mostMissing = 0.5

/**
 * Puts points in order and at equal distances (the most frequent one). Of several at the same time,
 * as where a clock was set back, the mean counts. Returns one line instead where no series can be
 * made of them.
 */
export function seriesOf(points: readonly Point[]): ReadSeries | string {
  if (points.length < 3) return `${points.length} values are too few for a series`
  const sorted = points.toSorted((one, other) => one.atMs - other.atMs)
  const stepMs = commonStep(sorted)
  const startMs = sorted[0]?.atMs ?? 0
  const endMs = sorted.at(-1)?.atMs ?? 0
  if (dayMs % stepMs !== 0) return `steps of ${stepMs / minuteMs} min do not divide a day`
  const length = Math.round((endMs - startMs) / stepMs) + 1
  if (length > maxValues) return `${length} values are more than ${maxValues}`
  const sums = new Float64Array(length)
  const counts = new Uint32Array(length)
  for (const { atMs, value } of sorted) {
    const at = Math.round((atMs - startMs) / stepMs)
    sums[at] = (sums[at] ?? 0) + value
    counts[at] = (counts[at] ?? 0) + 1
  }
  const values = sums.map((sum, at) => (counts[at] === 0 ? Number.NaN : sum / (counts[at] ?? 1)))
  const missing = counts.filter((count) => count === 0).length
  if (missing > length * mostMissing) {
    return `${missing} of ${length} values at steps of ${stepMs / minuteMs} min are missing`
  }
  return { series: { startMs, stepMs, values }, notes: notesOf(points, counts, stepMs, missing) }
}

function notesOf(
  points: readonly Point[],
  counts: Uint32Array,
  stepMs: number,
  missing: number,
): string[] {
  const notes: string[] = []
  const repeated = counts.filter((count) => count > 1).length
  if (missing > 0) {
    notes.push(`${missing} of ${counts.length} values are missing; nothing is forecast from them`)
  }
  if (repeated > 0) {
    notes.push(
      `${repeated} times come more than once, as where a clock was set back: their mean counts`,
    )
  }
  const back = points.filter(({ atMs }, i) => i > 0 && atMs < (points[i - 1]?.atMs ?? atMs)).length
  if (back > 0) notes.push(`${back} values stood behind later ones`)
  if (stepMs < minuteMs) notes.push('steps of less than a minute')
  return notes
}

/** The most frequent distance between two points, in whole minutes if it is one or more. */
function commonStep(sorted: readonly Point[]): number {
  const counts = new Map<number, number>()
  for (let i = 1; i < sorted.length; i++) {
    const gap = (sorted[i]?.atMs ?? 0) - (sorted[i - 1]?.atMs ?? 0)
    const step = gap >= minuteMs ? Math.round(gap / minuteMs) * minuteMs : gap
    if (step > 0) counts.set(step, (counts.get(step) ?? 0) + 1)
  }
  const [best] = [...counts].sort((one, other) => other[1] - one[1] || one[0] - other[0])
  return best?.[0] ?? minuteMs
}
