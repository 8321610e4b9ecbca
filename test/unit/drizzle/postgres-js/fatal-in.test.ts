import fc from 'fast-check'
import { expect, it } from 'vitest'
import { fatalIn } from '../../../../src/drizzle/postgres-js/fatal-in.ts'
import { errorResponse } from '../../../../src/wire/backend-messages.ts'

it('gives a FATAL error as postgres.js would', () => {
  const facts = {
    sqlstate: '40001',
    message: 'terminated',
    detail: 'd',
    severity: 'FATAL',
  } as const
  expect(fatalIn(errorResponse(facts))).toMatchObject({
    code: '40001',
    message: 'terminated',
    detail: 'd',
    severity: 'FATAL',
  })
})

it('is nothing for an error that ends no connection, or for another message', () => {
  expect(fatalIn(errorResponse({ sqlstate: '40001', message: 'm' }))).toBe(null)
  expect(fatalIn(Buffer.from('5a0000000549', 'hex'))).toBe(null)
})

it('takes any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      fatalIn(Buffer.from([0x45, ...bytes]))
      fatalIn(Buffer.from(bytes))
    }),
  )
})
