import { describe, expect, it } from 'vitest'
import { Series } from '../../../dashboard/series.ts'
import { type ColumnName, NumberColumns } from '../../../src/history/number-columns.ts'

const name = (node: string | null, what = 'reads'): ColumnName => ({ cluster: 'main', node, what })

const read = (columns: NumberColumns, count: number) => {
  const series = new Series()
  const bytes = columns.encode(count)
  series.load(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
  return series
}

describe('columns of numbers', () => {
  it('give the page their last rows, in order, wherever the ring begins', () => {
    const columns = new NumberColumns(5)
    for (let row = 1; row <= 13; row++) {
      columns.begin(row * 1000)
      columns.set(name('r1'), row)
      if (row % 2 === 0) columns.set(name(null, 'ä'), row / 4)
      for (const count of [1, 3, 5, 100]) {
        const series = read(columns, count)
        const first = Math.max(1, row - Math.min(count, 5) + 1)
        const rows = Array.from({ length: row - first + 1 }, (_, i) => first + i)
        expect(series.times(0)).toEqual(rows)
        expect(series.numbers(name('r1'), 0)).toEqual(rows)
        const halves = rows.map((one) => (one % 2 === 0 ? one / 4 : null))
        expect(series.numbers(name(null, 'ä'), 0)).toEqual(halves)
      }
    }
  })

  it('are dropped when nothing has come for as long as is kept', () => {
    const columns = new NumberColumns(3)
    columns.begin(1)
    columns.set(name('gone'), 1)
    const { version } = columns
    for (let row = 2; row <= 4; row++) {
      columns.begin(row)
      columns.set(name('r1'), row)
      expect(columns.names.length, `row ${row}`).toBe(2)
    }
    columns.begin(5)
    columns.set(name('r1'), 5)
    expect(columns.names).toEqual([name('r1')])
    expect(columns.version).toBeGreaterThan(version)
    expect(columns.lastRow()).toEqual([5])
  })
})

describe("the page's series", () => {
  it('goes on where the history ended, and takes no second twice', () => {
    const columns = new NumberColumns(10)
    for (let row = 1; row <= 4; row++) {
      columns.begin(row * 1000)
      columns.set(name('r1'), row)
    }
    const series = read(columns, 10)
    series.order([name('r1'), name('r2')])
    series.add(4000, [99, 99])
    series.add(5000, [5, 50])
    series.order([name('r2')])
    series.add(6000, [60])
    expect(series.times(0)).toEqual([1, 2, 3, 4, 5, 6])
    expect(series.numbers(name('r1'), 0)).toEqual([1, 2, 3, 4, 5, null])
    expect(series.numbers(name('r2'), 0)).toEqual([null, null, null, null, 50, 60])
    expect(series.numbers(name('r2'), 5000)).toEqual([50, 60])
    expect(series.times(5500)).toEqual([6])
    expect(series.last('main', 'r2', 'reads')).toBe(60)
    expect(series.sum('main', 'r1', 'reads', 3000)).toBe(12)
    expect(series.numbers(name('nobody'), 5000)).toEqual([null, null])
  })

  it('keeps an hour and little more', () => {
    const series = new Series()
    series.order([name('r1')])
    for (let row = 1; row <= 5_000; row++) series.add(row * 1000, [row])
    expect(series.times(0).length).toBeLessThanOrEqual(3_800)
    expect(series.numbers(name('r1'), 0).slice(-2)).toEqual([4_999, 5_000])
    expect(series.numbers(name('r1'), 0).length).toBe(series.times(0).length)
  })
})
