import type { ChartColumn } from './chart-columns.ts'
import { shortNumber } from './text-chart.ts'

const [width, height, left, bottom, top] = [900, 260, 60, 30, 34] as const

/** An SVG document: the load, and the forecast over it. `title` is shown as it is. */
export function svgChart(title: string, columns: readonly ChartColumn[]): string {
  const most = Math.max(
    1e-12,
    ...columns.map(({ load, predicted }) => Math.max(load ?? 0, predicted ?? 0)),
  )
  const x = (i: number): number =>
    left + (i * (width - left - 10)) / Math.max(1, columns.length - 1)
  const y = (value: number): number => height - bottom - (value / most) * (height - bottom - top)
  const line = (of: (column: ChartColumn) => number | null): string => {
    let isOpen = false
    return columns
      .map((column, i) => {
        const value = of(column)
        const step =
          value === null ? '' : `${isOpen ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`
        isOpen = value !== null
        return step
      })
      .join('')
  }
  const day = (column: ChartColumn | undefined): string =>
    new Date(column?.atMs ?? 0).toISOString().slice(0, 10)
  const text = (at: number, of: number, said: string, anchor = 'start'): string =>
    `<text x="${at}" y="${of}" text-anchor="${anchor}">${escaped(said)}</text>`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#444">
<rect width="${width}" height="${height}" fill="#fff"/>
${text(left, 18, title)}
<path d="M${left} ${top}V${height - bottom}H${width - 10}" fill="none" stroke="#bbb"/>
${text(left - 6, top + 8, shortNumber(most), 'end')}
${text(left - 6, height - bottom, '0', 'end')}
${text(left, height - 10, day(columns[0]))}
${text(width - 10, height - 10, day(columns.at(-1)), 'end')}
<path d="${line(({ load }) => load)}" fill="none" stroke="#888" stroke-width="1.2"/>
<path d="${line(({ predicted }) => predicted)}" fill="none" stroke="#c2410c" stroke-width="1.2"/>
${text(width - 10, 18, 'grey: load, red: forecast one horizon ahead', 'end')}
</svg>
`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
