import fc from 'fast-check'
import { expect, it } from 'vitest'
import { InFlight } from '../../../src/client/in-flight.ts'
import type { Request } from '../../../src/client/request.ts'

it('keeps requests in order as an array does, whichever is taken out', () => {
  const steps = fc.array(fc.record({ isPush: fc.boolean(), at: fc.nat(5) }), { maxLength: 40 })
  fc.assert(
    fc.property(steps, (list) => {
      const inFlight = new InFlight()
      const model: Request[] = []
      for (const { isPush, at } of list) {
        if (isPush) {
          const request = { kind: 'simple' } as Request
          inFlight.push(request)
          model.push(request)
        } else {
          const request = model[at] ?? ({ kind: 'simple' } as Request)
          inFlight.remove(request)
          if (at < model.length) model.splice(at, 1)
        }
        expect([...inFlight]).toEqual(model)
        expect(inFlight.length).toBe(model.length)
        expect(inFlight.first).toBe(model[0] ?? null)
        expect(inFlight.last).toBe(model.at(-1) ?? null)
        for (const one of model) expect(inFlight.some((other) => other === one)).toBe(true)
      }
    }),
  )
})
