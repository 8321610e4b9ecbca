import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkCookie, cookieValues, setCookie } from '../../../../src/drizzle/web/cookie-text.ts'

describe('cookieValues', () => {
  it.each([
    ['a=1; pgsplit.seen=x; b=2', ['x']],
    ['pgsplit.seen=x;pgsplit.seen=y', ['x', 'y']],
    ['pgsplit.seen=a=b', ['a=b']],
    ['xpgsplit.seen=1; pgsplit.seenx=2; pgsplit.seen', []],
    ['  pgsplit.seen = x ', ['x']],
    ['', []],
    [undefined, []],
  ])('finds in %j: %j', (header, values) => {
    expect(cookieValues(header, 'pgsplit.seen')).toEqual(values)
  })

  it('looks at eight of one name at most, and never throws', () => {
    expect(cookieValues('n=1;'.repeat(100), 'n')).toHaveLength(8)
    fc.assert(fc.property(fc.string(), (header) => Array.isArray(cookieValues(header, 'n'))))
  })
})

describe('setCookie', () => {
  it('is careful unless told otherwise', () => {
    expect(setCookie('n', 'v', 1500, {})).toBe(
      'n=v; Max-Age=2; Path=/; SameSite=Lax; Secure; HttpOnly',
    )
  })

  it('says what it is told', () => {
    const attributes = {
      path: '/api',
      domain: 'example.org',
      sameSite: 'strict',
      secure: false,
      httpOnly: false,
    } as const
    expect(setCookie('n', 'v', 1000, attributes)).toBe(
      'n=v; Max-Age=1; Path=/api; Domain=example.org; SameSite=Strict',
    )
    expect(setCookie('n', 'v', 1000, { sameSite: 'none', partitioned: true })).toBe(
      'n=v; Max-Age=1; Path=/; SameSite=None; Secure; HttpOnly; Partitioned',
    )
  })
})

describe('checkCookie', () => {
  it.each([
    ['a b', {}, 'cookie.name'],
    ['', {}, 'cookie.name'],
    ['n', { path: 'api' }, 'cookie.path'],
    ['n', { path: '/; Domain=evil' }, 'cookie.path'],
    ['n', { domain: 'a; b' }, 'cookie.domain'],
    ['n', { sameSite: 'none', secure: false }, 'cookie.secure'],
    ['__Host-n', { path: '/api' }, 'cookie.name'],
    ['__Secure-n', { secure: false }, 'cookie.name'],
  ] as const)('refuses %j %j', (name, attributes, path) => {
    expect(() => checkCookie(name, attributes)).toThrow(path)
  })

  it('takes what browsers take', () => {
    checkCookie('__Host-pgsplit', {})
    checkCookie('pgsplit', { domain: 'example.org', sameSite: 'none', partitioned: true })
  })
})
