import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatListenAddress, parseListenAddress } from '../../../src/config/listen-address.ts'
import { formatSize, parseSize } from '../../../src/config/size.ts'
import { suggest } from '../../../src/config/suggest.ts'
import { formatDuration, maxDurationMs, parseDuration } from '../../../src/duration.ts'

describe('a duration', () => {
  it.each([
    ['10s', 10_000],
    ['500ms', 500],
    ['1m', 60_000],
    ['1min', 60_000],
    ['1.5m', 90_000],
    ['2 h', 7_200_000],
    ['1d', 86_400_000],
    ['0', 0],
    ['250', 250],
    [250, 250],
    ['0.1s', 100],
    ['2000us', 2],
    ['10S', 10_000],
  ])('%j is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each([
    '',
    's',
    '-1s',
    '1.5ms',
    '500us',
    '10 parsecs',
    '1e3',
    '25d',
    '1s2s',
    'NaN',
    '٣s',
    -1,
    0.5,
  ])('%j is none', (text) => {
    expect(parseDuration(text)).toBeUndefined()
  })

  it('survives being formatted and parsed again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: maxDurationMs }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toBe(ms)
      }),
    )
  })

  it('is whole, in range or undefined, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const ms = parseDuration(text)
        expect(ms === undefined || (Number.isInteger(ms) && ms >= 0 && ms <= maxDurationMs)).toBe(
          true,
        )
      }),
    )
  })
})

describe('a size', () => {
  it.each([
    ['16MB', 16_777_216],
    ['64kB', 65_536],
    ['64KB', 65_536],
    ['1GB', 1_073_741_824],
    ['1.5kB', 1536],
    ['10B', 10],
    ['10', 10],
    [10, 10],
  ])('%j is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  it.each(['', 'MB', '-1', '1TB', '0.3B', '1 2', '99999999GB'])('%j is none', (text) => {
    expect(parseSize(text)).toBeUndefined()
  })

  it('survives being formatted and parsed again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (bytes) => {
        expect(parseSize(formatSize(bytes))).toBe(bytes)
      }),
    )
  })
})

describe('an address to listen on', () => {
  it.each([
    ['127.0.0.1:6432', '127.0.0.1', 6432],
    ['[::1]:6432', '::1', 6432],
    ['*:6432', '::', 6432],
    [':6432', '::', 6432],
    ['6432', '127.0.0.1', 6432],
    [6432, '127.0.0.1', 6432],
    ['localhost:0', 'localhost', 0],
  ])('%j is %s port %d', (text, host, port) => {
    expect(parseListenAddress(text)).toEqual({ host, port })
  })

  it.each(['', 'localhost', '::1:6432', '[::1]', 'a:b', '1.2.3.4:65536', '/tmp/.s.PGSQL.6432'])(
    '%j is none',
    (text) => {
      expect(parseListenAddress(text)).toBeUndefined()
    },
  )

  it('is shown as it is written', () => {
    expect(formatListenAddress({ host: '::1', port: 1 })).toBe('[::1]:1')
    expect(formatListenAddress({ host: 'a', port: 1 })).toBe('a:1')
  })
})

describe('a suggestion', () => {
  const known = ['size', 'maxLag', 'maxLagResume', 'checkoutTimeout']
  it.each([
    ['sise', 'size'],
    ['szie', 'size'],
    ['max_lag', 'maxLag'],
    ['maxlag', 'maxLag'],
    ['checkoutTimeuot', 'checkoutTimeout'],
    ['colour', undefined],
  ])('for %s is %s', (word, nearest) => {
    expect(suggest(word, known)).toBe(nearest)
  })
})
