import { expect, it } from 'vitest'
import { isLoginRefusal, RefusedNodes } from '../../../src/routing/refused-nodes.ts'

it('takes what others hear at the same time for one refusal', () => {
  const refused = new RefusedNodes(2_000)
  expect(refused.note(2, '28000', 0)).toBe(true)
  for (let i = 0; i < 10; i++) expect(refused.note(2, '28000', i)).toBe(false)
  expect(refused.at(49)).toBe(0b100)
  expect(refused.at(50)).toBe(0)
  // It is not news that it still refuses.
  expect(refused.note(2, '28000', 50)).toBe(false)
  expect(refused.at(149)).toBe(0b100)
  expect(refused.why(2)).toBe('28000')
})

it('forgets a refusal when the node has let one in', () => {
  const refused = new RefusedNodes(2_000)
  refused.note(0, '28000', 0)
  refused.note(1, '28000', 0)
  expect(refused.end(0)).toBe(true)
  expect(refused.end(0)).toBe(false)
  expect(refused.at(1)).toBe(0b10)
  expect(refused.why(0)).toBeNull()
  expect(refused.note(0, '28000', 1)).toBe(true)
})

it.each([
  ['28000', true],
  ['25006', true],
  ['P0001', true],
  ['53300', false],
  ['57P03', false],
  ['08006', false],
  ['', false],
])('tells a refused log-in from a node in trouble by %s', (sqlstate, isRefusal) => {
  expect(isLoginRefusal(sqlstate)).toBe(isRefusal)
})
