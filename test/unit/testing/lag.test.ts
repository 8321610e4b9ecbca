import { describe, expect, it } from 'vitest'
import { parseLagMs } from '../../../src/testing/lag.ts'

describe('parseLagMs', () => {
  it.each([
    [200, 200],
    [0, 0],
    ['200', 200],
    ['200ms', 200],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['2min', 120_000],
    ['1h', 3_600_000],
  ])('reads %j as %d ms', (lag, ms) => {
    expect(parseLagMs(lag)).toBe(ms)
  })

  it.each(['', 'ms', '-1s', -5, Number.NaN, '1 x', '3 days', "1s'; DROP TABLE t", 2 ** 31, '600h'])(
    'refuses %j and says what to give',
    (lag) => {
      expect(() => parseLagMs(lag)).toThrow(
        /^the lag .* is none; give milliseconds, or a text like/,
      )
    },
  )
})
