import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jointBrought } from '../../../../src/drizzle/web/joint-brought.ts'
import { FakeCarrier } from '../../../support/fake-carrier.ts'

function joint(texts: readonly string[], carrier = new FakeCarrier('7')) {
  const ignored: string[] = []
  return { token: jointBrought(carrier, texts, (reason) => ignored.push(reason)), ignored }
}

describe('jointBrought', () => {
  it.each([
    [[], undefined, []],
    [['1/0/65@7'], '1/0/65@7', []],
    [['1/0/65@7', '1/0/66@7', '1/0/65@7'], '1/0/66@7', []],
    [['1/0/65', '1/0/64@7'], '1/0/65@7', []],
    [['2/0/1@7', '1/0/66@7'], '2/0/66@7', []],
    [['primary', '1/0/66@7'], 'primary', []],
    [['1/0/99@8', '1/0/66@7'], '1/0/66@7', ['foreign']],
    [
      ['', 'x', '0/0/1', '1/0/1@7 '],
      undefined,
      ['malformed', 'malformed', 'malformed', 'malformed'],
    ],
  ])('makes of %j %j', (texts, token, ignored) => {
    expect(joint(texts)).toEqual({ token, ignored })
  })

  it('chooses the primary between clusters while it is not known which one this is', () => {
    const carrier = new FakeCarrier('7')
    carrier.run = (fn) => fn()
    expect(joint(['1/0/1@7', '1/0/2@8'], carrier)).toEqual({ token: 'primary', ignored: [] })
  })

  it('never throws for what comes in', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (texts) => {
        const { token, ignored } = joint(texts)
        return (
          texts.includes('primary') || token !== undefined || new Set(texts).size === ignored.length
        )
      }),
    )
  })

  it('hides no error but that of a token', () => {
    const carrier = new FakeCarrier('7')
    carrier.run = () => {
      throw new Error('closed')
    }
    expect(() => joint(['1/0/1@7'], carrier)).toThrow('closed')
  })
})
