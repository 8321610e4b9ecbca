import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { errorResponse } from '../../../src/wire/backend-messages.ts'
import { decodeErrorFields } from '../../../src/wire/error-fields.ts'
import { renameInError } from '../../../src/wire/rename-in-error.ts'

describe('names in an ErrorResponse', () => {
  it('are replaced in its message and nowhere else', () => {
    const frame = errorResponse({
      sqlstate: '26000',
      message: 'prepared statement "pgsplit_7" does not exist',
      hint: 'not "pgsplit_7" here',
    })
    const renamed = renameInError(frame, (name) => (name === 'pgsplit_7' ? 'mine' : null))
    expect(decodeErrorFields(renamed, 5, renamed.length)).toMatchObject({
      sqlstate: '26000',
      message: 'prepared statement "mine" does not exist',
    })
    expect(renamed.toString()).toContain('not "pgsplit_7" here')
    expect(renamed.readInt32BE(1)).toBe(renamed.length - 1)
  })

  it('leave any other bytes as they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (body) => {
        const frame = Buffer.from([0x45, 0, 0, 0, body.length + 4, ...body])
        expect(renameInError(frame, () => null)).toEqual(frame)
      }),
    )
  })
})
