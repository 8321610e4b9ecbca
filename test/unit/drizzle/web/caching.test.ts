import { describe, expect, it } from 'vitest'
import { cacheControlWithToken, isForEverybody } from '../../../../src/drizzle/web/caching.ts'

const header = (value: string | undefined) => (name: string) =>
  name === 'cache-control' ? value : undefined

describe('isForEverybody', () => {
  it.each([
    ['public', true],
    ['max-age=60, PUBLIC', true],
    ['s-maxage=10', true],
    ['max-age=31536000, immutable', true],
    ['private, immutable', false],
    ['public, no-store', false],
    ['private="x", public', true],
    ['extension="public, s-maxage=1"', false],
    ['max-age=60', false],
    [undefined, false],
  ])('%j: %s', (value, is) => {
    expect(isForEverybody('GET', header(value))).toBe(is)
    expect(isForEverybody('HEAD', header(value))).toBe(is)
    expect(isForEverybody('POST', header(value))).toBe(false)
  })

  it('knows headers that are for caches only', () => {
    const cdn = (name: string) => (name === 'cdn-cache-control' ? 'max-age=60' : undefined)
    expect(isForEverybody('GET', cdn)).toBe(true)
  })
})

describe('cacheControlWithToken', () => {
  it.each([
    [undefined, 'private'],
    ['', 'private'],
    ['max-age=60', 'max-age=60, private'],
    ['no-cache', 'no-cache, private'],
    ['private="set-cookie"', 'private="set-cookie", private'],
    ['private, max-age=60', null],
    ['no-store', null],
  ])('%j becomes %j', (value, becomes) => {
    expect(cacheControlWithToken('GET', header(value))).toBe(becomes)
    expect(cacheControlWithToken('POST', header(value))).toBe(null)
  })
})
