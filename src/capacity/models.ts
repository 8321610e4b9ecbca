import type { Series } from './series.ts'
import { weeksBefore, type ZoneOffset } from './weeks.ts'

/** The models that are compared, the one that may act first. */
export const modelNames = ['shape', 'level', 'linear-1h', 'linear-3h', 'persistence'] as const
export type ModelName = (typeof modelNames)[number]

/** So many weeks make the shape of a week. */
const shapeWeeks = 4
/** How far the present level may be from that of those weeks: beyond it, it is something else. */
const mostLevel = 5
const hourMs = 3_600_000

/**
 * What a model takes the series to be `aheadSteps` behind its value `now`, of what was measured up to
 * then; NaN: it can't tell.
 */
export function forecast(
  model: ModelName,
  series: Series,
  now: number,
  aheadSteps: number,
  offsetOf: ZoneOffset,
): number {
  const current = valueAt(series, now)
  if (Number.isNaN(current)) return Number.NaN
  switch (model) {
    case 'persistence':
      return current
    case 'level':
      return meanOf(series, now - Math.max(1, Math.round(hourMs / series.stepMs)) + 1, now)
    case 'linear-1h':
      return linear(series, now, aheadSteps, hourMs)
    case 'linear-3h':
      return linear(series, now, aheadSteps, 3 * hourMs)
    case 'shape':
      return shape(series, now, aheadSteps, offsetOf)
    default:
      model satisfies never
      return Number.NaN
  }
}

function valueAt({ values }: Series, at: number): number {
  return values[at] ?? Number.NaN
}

/** Mean of what is there from one index to another. */
function meanOf(series: Series, from: number, to: number): number {
  let sum = 0
  let count = 0
  for (let i = Math.max(0, from); i <= to; i++) {
    const value = valueAt(series, i)
    if (Number.isNaN(value)) continue
    sum += value
    count++
  }
  return count === 0 ? Number.NaN : sum / count
}

/** A line through what was measured lately (least squares), never below 0. */
function linear(series: Series, now: number, aheadSteps: number, windowMs: number): number {
  // Of hourly values two make a line.
  const length = Math.max(2, Math.round(windowMs / series.stepMs) + 1)
  let [n, sumX, sumY, sumXX, sumXY] = [0, 0, 0, 0, 0]
  for (let x = -length + 1; x <= 0; x++) {
    const y = valueAt(series, now + x)
    if (Number.isNaN(y)) continue
    n++
    sumX += x
    sumY += y
    sumXX += x * x
    sumXY += x * y
  }
  const spread = n * sumXX - sumX * sumX
  if (spread === 0) return valueAt(series, now)
  const slope = (n * sumXY - sumX * sumY) / spread
  return Math.max(0, (sumY - slope * sumX) / n + slope * aheadSteps)
}

/**
 * The weekly shape at the present level: the mean of the same time in the last four weeks, times
 * now by those weeks' now. Weeks of which either is missing don't count.
 */
function shape(series: Series, now: number, aheadSteps: number, offsetOf: ZoneOffset): number {
  const { startMs, stepMs } = series
  const nowMs = startMs + now * stepMs
  let [then, ahead, count] = [0, 0, 0]
  for (let weeks = 1; weeks <= shapeWeeks; weeks++) {
    const at = Math.round((weeksBefore(nowMs, weeks, offsetOf) - startMs) / stepMs)
    const targetMs = weeksBefore(nowMs + aheadSteps * stepMs, weeks, offsetOf)
    const target = Math.round((targetMs - startMs) / stepMs)
    // A horizon of more than a week would look ahead.
    if (at < 0 || target > now) continue
    const thatNow = meanOf(series, at - aheadSteps + 1, at)
    const thatAhead = valueAt(series, target)
    if (Number.isNaN(thatNow) || Number.isNaN(thatAhead)) continue
    then += thatNow
    ahead += thatAhead
    count++
  }
  // Nothing then: there is no level to compare with.
  if (then === 0) return Number.NaN
  const level = meanOf(series, now - aheadSteps + 1, now) / (then / count)
  return Math.max(1 / mostLevel, Math.min(mostLevel, level)) * (ahead / count)
}
