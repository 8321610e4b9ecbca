import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SignedValue } from '../../../../src/drizzle/web/signed-value.ts'

const secret = 'a secret of thirty-two bytes or so'
const other = 'another one that is as long as that'
const nowMs = 1_795_000_000_000
const token = fc.constantFrom('primary', '1/0/3000148@7312345678901234567', '12/FF/0')

function signed(secrets: string | readonly string[], purpose = 'cookie x'): SignedValue {
  return new SignedValue(secrets, purpose, 'cookie.secret')
}

describe('SignedValue', () => {
  it('gives back what it has signed, until it expires', () => {
    fc.assert(
      fc.property(token, fc.integer({ min: 1, max: 1e12 }), (text, ageMs) => {
        const value = signed(secret).sign(text, nowMs + ageMs)
        const expiresAtMs = nowMs + ageMs
        expect(signed(secret).open(value, nowMs)).toEqual({ text, expiresAtMs })
        expect(signed(secret).open(value, expiresAtMs - 1)).toEqual({ text, expiresAtMs })
        expect(signed(secret).open(value, expiresAtMs)).toEqual({ ignored: 'expired' })
      }),
    )
  })

  it('refuses a value with any character changed, added or removed', () => {
    const alphabet = [...'0123456789abcdefghijklmnopqrstuvwxyzABCXYZ-_./@= ;,%\0é']
    fc.assert(
      fc.property(
        token,
        fc.nat(),
        fc.constantFrom(...alphabet),
        fc.constantFrom('change', 'add', 'remove', 'cut'),
        (text, at, character, how) => {
          const value = signed(secret).sign(text, nowMs + 1000)
          const index = at % (value.length + (how === 'add' ? 1 : 0))
          const rest = { change: index + 1, add: index, remove: index + 1, cut: value.length }[how]
          const put = how === 'change' || how === 'add' ? character : ''
          const tampered = value.slice(0, index) + put + value.slice(rest)
          fc.pre(tampered !== value)
          expect(signed(secret).open(tampered, nowMs)).not.toHaveProperty('text')
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('refuses every other last character, whose spare bits base64 would not read', () => {
    const value = signed(secret).sign('primary', nowMs + 1000)
    for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      const tampered = value.slice(0, -1) + last
      if (tampered === value) continue
      expect(signed(secret).open(tampered, nowMs)).toEqual({ ignored: 'forged' })
    }
  })

  it('refuses what moves a boundary between its parts', () => {
    const value = signed(secret).sign('1/0/1.zzzzzzzz', nowMs + 1000)
    const [text, expiry, rest, signature] = value.split('.')
    expect(signature).toBeDefined()
    expect(signed(secret).open(`${text}.${expiry}.${signature}`, nowMs)).toEqual({
      ignored: 'forged',
    })
    expect(rest).toBeDefined()
  })

  it('never throws and never believes what it has not signed', () => {
    const own = signed(secret)
    const shaped = fc.tuple(fc.string(), fc.stringMatching(/^[0-9a-z]{1,11}\.[\w-]{43}$/))
    const value = fc.oneof(
      fc.string({ maxLength: 400 }),
      shaped.map((parts) => parts.join('.')),
    )
    fc.assert(fc.property(value, (text) => !('text' in own.open(text, nowMs))))
  })

  it('accepts what any of its secrets has signed, and signs with the first', () => {
    const old = signed(secret).sign('primary', nowMs + 1)
    const rotated = signed([other, secret])
    expect(rotated.open(old, nowMs)).toHaveProperty('text', 'primary')
    expect(signed(other).open(rotated.sign('primary', nowMs + 1), nowMs)).toHaveProperty('text')
    expect(signed(secret).open(rotated.sign('primary', nowMs + 1), nowMs)).toEqual({
      ignored: 'forged',
    })
    expect(signed(other).open(old, nowMs)).toEqual({ ignored: 'forged' })
  })

  it('believes nothing that was signed with the same secret for something else', () => {
    const value = signed(secret, 'cookie y').sign('primary', nowMs + 1)
    expect(signed(secret, 'cookie x').open(value, nowMs)).toEqual({ ignored: 'forged' })
  })

  it('takes no short secret and no empty list, and says which option', () => {
    expect(() => signed('short')).toThrow('cookie.secret: a secret needs 32 bytes or more')
    expect(() => signed([secret, 'short'])).toThrow('cookie.secret')
    expect(() => signed([])).toThrow('cookie.secret: give 1 to 16 secrets')
  })
})
