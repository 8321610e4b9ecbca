import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { backtest } from '../../../src/capacity/backtest.ts'
import { forecast, modelNames } from '../../../src/capacity/models.ts'
import { readTrace } from '../../../src/capacity/read-trace.ts'
import { reportLines } from '../../../src/capacity/report.ts'
import type { ReadSeries, Series } from '../../../src/capacity/series.ts'
import { noZone, weeksBefore, zoneOffsets } from '../../../src/capacity/weeks.ts'

const hourMs = 3_600_000

function trace(name: string): ReadSeries {
  const read = readTrace(readFileSync(new URL(`../../traces/${name}.csv`, import.meta.url), 'utf8'))
  if (typeof read === 'string') throw new Error(read)
  return read
}

describe('a backtest on public traces', () => {
  it.each(['nyc_taxi', 'i94_traffic_hourly', 'hourly_sf_traffic'])(
    'forecasts %s, which has the rhythm of people, and scales ahead of it',
    (name) => {
      const { errors, reactive, forecast: ahead, acting } = backtest(trace(name).series)
      expect(errors.shape).toBeLessThanOrEqual(0.6)
      expect(acting).toBeGreaterThan(0.5)
      expect(reactive.overload).toBeGreaterThan(0.01)
      expect(ahead.overload).toBeLessThanOrEqual(reactive.overload / 5)
      expect(ahead.cost).toBeLessThanOrEqual(reactive.cost * 1.2)
    },
  )

  it.each(['elb_request_count_8c0756', 'Twitter_volume_AMZN', 'rds_cpu_utilization_cc0c53'])(
    'never acts on %s, which has none',
    (name) => {
      const result = backtest(trace(name).series)
      expect(result.acting).toBe(0)
      expect(result.forecast).toEqual(result.reactive)
      expect(reportLines(result).join('\n')).toContain('would never have acted')
    },
  )

  it('looks at nothing that comes later', () => {
    const { series } = trace('i94_traffic_hourly')
    const now = 3_000
    const other: Series = { ...series, values: series.values.slice() }
    other.values.fill(1e9, now + 1)
    for (const name of modelNames) {
      const said = forecast(name, series, now, 2, noZone)
      expect(said, name).toBeGreaterThan(0)
      expect(forecast(name, other, now, 2, noZone), name).toBe(said)
    }
  })

  it('waits for a week of forecasts, and for nothing where every value is the same', () => {
    const flat = (length: number): Series => ({
      startMs: 0,
      stepMs: hourMs,
      values: new Float64Array(length).fill(5),
    })
    expect(backtest(flat(200)).skill).toBe(null)
    expect(backtest(flat(2_000)).acting).toBe(0)
    expect(backtest({ ...flat(2_000), values: new Float64Array(2_000) }).acting).toBe(0)
  })
})

describe('the same time last week', () => {
  it('is the same on the clock, also where that was set forward or back', () => {
    const offsetOf = zoneOffsets('Europe/Berlin')
    const local = (text: string): number => Date.parse(text)
    expect(weeksBefore(local('2026-03-30T08:00+02:00'), 1, offsetOf)).toBe(
      local('2026-03-23T08:00+01:00'),
    )
    expect(weeksBefore(local('2026-10-26T08:00+01:00'), 1, offsetOf)).toBe(
      local('2026-10-19T08:00+02:00'),
    )
    expect(() => zoneOffsets('Nowhere/City')).toThrow(RangeError)
  })

  it('keeps a rhythm by the clock forecast behind a change of the clock', () => {
    const offsetOf = zoneOffsets('Europe/Berlin')
    const startMs = Date.parse('2026-03-01T00:00Z')
    const values = Float64Array.from({ length: 24 * 40 }, (_, i) => {
      const atMs = startMs + i * hourMs
      return 10 + (Math.floor((atMs + offsetOf(atMs)) / hourMs) % 24) ** 2
    })
    const series: Series = { startMs, stepMs: hourMs, values }
    const now = Math.round((Date.parse('2026-04-01T10:00Z') - startMs) / hourMs)
    const wrong = (zone: typeof noZone): number =>
      Math.abs(forecast('shape', series, now, 1, zone) - (values[now + 1] ?? 0))
    expect(wrong(offsetOf)).toBeLessThan(1e-9)
    expect(wrong(noZone)).toBeGreaterThan(1)
  })
})

describe('what is read of a history', () => {
  const hours = (count: number, skip: (i: number) => boolean = () => false): string[] =>
    Array.from({ length: count }, (_, i) => i)
      .filter((i) => !skip(i))
      .map((i) => `${new Date(i * hourMs).toISOString()},${i % 24}`)

  it('is one clear line where there is nothing to read', () => {
    expect(readTrace('')).toMatch(/^no line has a time and a number/)
    expect(readTrace('\u0000\u0001 not a csv')).toMatch(/^no line has/)
    expect(readTrace('timestamp,value\n2026-01-01T00:00Z,1\n')).toBe(
      '1 values are too few for a series',
    )
    expect(readTrace([...hours(20), ...Array(20).fill('x,y')].join('\n'))).toMatch(
      /^20 of 40 lines have no time or no number of 0 or more \(line 21 and 19 others\)$/,
    )
    expect(readTrace(hours(500, (i) => i > 3 && i < 400).join('\n'))).toMatch(/are missing$/)
    expect(readTrace('2026-01-01,1\n2026-01-01T00:07Z,1\n2026-01-01T00:14Z,1')).toMatch(
      /do not divide a day/,
    )
  })

  it('goes on past gaps, single broken lines and clocks that were set back, and says so', () => {
    const lines = hours(400, (i) => i > 100 && i < 110)
    lines.splice(50, 0, 'broken,line', '2026-01-01T00:00Z,-5', lines[60] ?? '')
    const read = readTrace(['time,load', ...lines].join('\n'))
    if (typeof read === 'string') throw new Error(read)
    expect(read.notes).toEqual([
      'line 52 and 1 others left out: no time, or no number of 0 or more',
      '9 of 400 values are missing; nothing is forecast from them',
      '1 times come more than once, as where a clock was set back: their mean counts',
      '1 values stood behind later ones',
    ])
    // A gap is never forecast, and nothing is forecast from it.
    expect(backtest(read.series).forecasts).toBeLessThan(400 - 168 - 9)
  })
})
