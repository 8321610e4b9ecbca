import fc from 'fast-check'
import { expect, it } from 'vitest'
import { RetryBudget } from '../../../src/routing/retry-budget.ts'

it('has room for a thousand retries at once, and then for a share of the requests', () => {
  const budget = new RetryBudget(0.2)
  let granted = 0
  while (budget.take(0)) granted++
  expect(granted).toBe(1000)
  expect(budget.take(4)).toBe(false)
  expect(budget.take(5)).toBe(true)
  expect(budget.take(5)).toBe(false)
})

it('never grants more than the reserve and the share', () => {
  const steps = fc.array(fc.record({ requests: fc.nat(50), retries: fc.nat(80) }), {
    maxLength: 60,
  })
  fc.assert(
    fc.property(steps, fc.constantFrom(0, 0.1, 1), (list, share) => {
      const budget = new RetryBudget(share)
      let requests = 0
      let granted = 0
      for (const step of list) {
        requests += step.requests
        for (let i = 0; i < step.retries; i++) if (budget.take(requests)) granted++
        expect(granted).toBeLessThanOrEqual(1000 + requests * share + 1e-6)
      }
    }),
  )
})
