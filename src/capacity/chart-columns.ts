import type { Series } from './series.ts'

/** One column of a chart: means of what lies in it; null: nothing does. */
export interface ChartColumn {
  readonly atMs: number
  readonly load: number | null
  readonly predicted: number | null
}

/** The last `shownMs` of a series beside what was forecast for it, in at most `count` columns. */
export function chartColumns(
  { startMs, stepMs, values }: Series,
  predicted: Float64Array,
  shownMs: number,
  count: number,
): ChartColumn[] {
  const from = Math.max(0, values.length - Math.round(shownMs / stepMs))
  const width = Math.max(1, Math.ceil((values.length - from) / count))
  const columns: ChartColumn[] = []
  for (let at = from; at < values.length; at += width) {
    columns.push({
      atMs: startMs + at * stepMs,
      load: meanOf(values.subarray(at, at + width)),
      predicted: meanOf(predicted.subarray(at, at + width)),
    })
  }
  return columns
}

function meanOf(values: Float64Array): number | null {
  const there = values.filter((value) => !Number.isNaN(value))
  return there.length === 0 ? null : there.reduce((sum, value) => sum + value, 0) / there.length
}
