import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareLsn, formatLsn, lsnGapBytes, parseLsn } from '../../../src/topology/lsn.ts'

const lsn = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn })

describe('LSN', () => {
  it('reads and prints the form of the documentation', () => {
    expect(parseLsn('16/B374D848')).toBe(0x16b374d848n)
    expect(formatLsn(0x16b374d848n)).toBe('16/B374D848')
    expect(formatLsn(0n)).toBe('0/0')
  })

  it.each(['', '16', '16/', '/1', '1/2/3', 'G/0', '1/123456789', ' 1/2', '1/2\n', '-1/2', '0x1/2'])(
    'refuses %j',
    (text) => {
      expect(parseLsn(text)).toBeNull()
    },
  )

  it('reads back whatever it prints', () => {
    fc.assert(fc.property(lsn, (value) => parseLsn(formatLsn(value)) === value))
  })

  it('never throws on any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseLsn(text)
      }),
    )
  })

  it('orders like numbers and measures the gap in one direction only', () => {
    fc.assert(
      fc.property(lsn, lsn, (a, b) => {
        expect(compareLsn(a, b)).toBe(a < b ? -1 : a > b ? 1 : 0)
        const gap = lsnGapBytes(a, b)
        expect(gap).toBeGreaterThanOrEqual(0)
        if (a <= b) expect(gap).toBe(0)
        else if (a - b <= BigInt(Number.MAX_SAFE_INTEGER)) expect(BigInt(gap)).toBe(a - b)
        else expect(gap).toBe(Number.MAX_SAFE_INTEGER)
      }),
    )
  })
})
