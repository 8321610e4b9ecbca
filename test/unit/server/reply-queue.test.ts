import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ReplyQueue, type ReplyReceiver, swallow } from '../../../src/server/reply-queue.ts'

const steps = fc.array(
  fc.oneof(
    { arbitrary: fc.constant('push' as const), weight: 4 },
    { arbitrary: fc.constant('shift' as const), weight: 3 },
    fc.nat(12),
  ),
  { maxLength: 80 },
)

describe('the reply queue', () => {
  it('is a first-in, first-out list', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const queue = new ReplyQueue()
        const model: ReplyReceiver[] = []
        for (const step of all) {
          if (step === 'push') {
            const receiver = { ...swallow }
            queue.push(receiver)
            model.push(receiver)
          } else if (step === 'shift') expect(queue.shift()).toBe(model.shift() ?? null)
          else {
            const receiver = { ...swallow }
            const former = model[step]
            if (former !== undefined && step % 2 === 0) queue.replace(former, receiver)
            else queue.replaceAt(step, receiver)
            if (step < model.length) model[step] = receiver
          }
          expect(queue.size).toBe(model.length)
          expect(queue.peek()).toBe(model[0] ?? null)
          for (let i = 0; i < model.length + 2; i++) expect(queue.at(i)).toBe(model[i] ?? null)
        }
      }),
    )
  })
})
