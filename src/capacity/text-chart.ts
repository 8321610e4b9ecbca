import type { ChartColumn } from './chart-columns.ts'

const height = 8
const eighths = ' ▁▂▃▄▅▆▇█'

/** Lines for a terminal: the load as bars, and `•` where the forecast stands out of them. */
export function textChart(columns: readonly ChartColumn[]): string[] {
  const most = Math.max(
    0,
    ...columns.map(({ load, predicted }) => Math.max(load ?? 0, predicted ?? 0)),
  )
  if (most === 0) return ['(nothing to draw)']
  const rows = Array.from({ length: height }, (_, row) => {
    const floor = ((height - 1 - row) / height) * most
    const cells = columns.map(({ load, predicted }) => {
      const filled = Math.round((((load ?? 0) - floor) / (most / height)) * 8)
      const isMark = predicted !== null && predicted >= floor && predicted < floor + most / height
      if (isMark && filled <= 0) return '•'
      return eighths[Math.max(0, Math.min(8, filled))] ?? ' '
    })
    const label = row === 0 ? shortNumber(most) : row === height - 1 ? '0' : ''
    return `${label.padStart(7)} │${cells.join('').trimEnd()}`
  })
  const first = dayOf(columns[0]?.atMs ?? 0)
  const last = dayOf(columns.at(-1)?.atMs ?? 0)
  const gap = ' '.repeat(Math.max(1, columns.length - first.length - last.length))
  return [...rows, `${' '.repeat(9)}${first}${gap}${last}`]
}

function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10)
}

/** As few digits as tell it. */
export function shortNumber(value: number): string {
  return Number(value.toPrecision(3)).toString()
}
