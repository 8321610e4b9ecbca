import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PositionWaiters } from '../../../src/topology/position-waiters.ts'

const position = fc.integer({ min: 0, max: 20 })
const step = fc.oneof(
  fc.record({ kind: fc.constant('wait' as const), position }),
  fc.record({ kind: fc.constant('reach' as const), position }),
  fc.record({ kind: fc.constant('leave' as const), which: fc.nat(40) }),
)

describe('who waits for positions', () => {
  it('is called once, when its own is reached, in order, and not after it has left', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const waiters = new PositionWaiters<number>()
        /** What each waits for; null = was called, or has left. */
        const waiting: (number | null)[] = []
        const leave: (() => void)[] = []
        const called: number[] = []
        for (const one of steps) {
          if (one.kind === 'wait') {
            const at = waiting.push(one.position) - 1
            leave.push(waiters.on(one.position, () => called.push(at)))
          } else if (one.kind === 'leave') {
            leave[one.which]?.()
            if (one.which < waiting.length) waiting[one.which] = null
          } else {
            called.length = 0
            waiters.reached(one.position)
            const due = [...waiting.entries()]
              .filter(([, of]) => of !== null && of <= one.position)
              .sort(([, a], [, b]) => (a ?? 0) - (b ?? 0))
              .map(([at]) => at)
            expect(called).toEqual(due)
            for (const at of due) waiting[at] = null
          }
          expect(waiters.size).toBe(waiting.filter((of) => of !== null).length)
        }
      }),
    )
  })

  it('may wait anew when it is called', () => {
    const waiters = new PositionWaiters<bigint>()
    let calls = 0
    const again = (): void => {
      calls++
      waiters.on(5n, again)
    }
    waiters.on(5n, again)
    waiters.reached(9n)
    expect([calls, waiters.size]).toEqual([1, 1])
  })
})
