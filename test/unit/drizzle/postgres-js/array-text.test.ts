import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arrayText, parseArray } from '../../../../src/drizzle/postgres-js/array-text.ts'

const element = fc.oneof(
  fc.constant(null),
  fc.constantFrom('NULL', 'null', '', '{', '}', ',', ';', '\\', '"', 'a,b'),
  fc.string({ unit: 'binary' }),
)
const nested = fc.letrec<{ list: unknown[] }>((tie) => ({
  list: fc.oneof(
    { maxDepth: 3 },
    fc.array(element),
    fc.array(tie('list'), { minLength: 1, maxLength: 3 }),
  ),
})).list

describe('arrays as text', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(nested, fc.constantFrom(',', ';'), (list, delimiter) => {
        const text = arrayText(list, String, delimiter)
        expect(parseArray(text, (value) => value, delimiter)).toEqual(list)
      }),
    )
  })

  it.each([
    ['{}', []],
    ['{1,NULL,-3}', [1, null, -3]],
    ['[0:1]={7,8}', [7, 8]],
    ['[1:1][-2:-1]={{1,2}}', [[1, 2]]],
    ['{{1},{2}}', [[1], [2]]],
  ])('%s are read as the server writes them', (text, list) => {
    expect(parseArray(text, Number, ',')).toEqual(list)
  })

  it.each(['', '1', '{1', '{"a', '{1}{', '[0:1]'])('%j are none, or end there', (text) => {
    const read = (): unknown => parseArray(text, (value) => value, ',')
    if (text === '{1}{') expect(read()).toEqual(['1'])
    else expect(read).toThrow(SyntaxError)
  })
})
