import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resultShape } from '../../../src/client/result-shape.ts'
import { rowDescription } from '../../../src/wire/backend-messages.ts'

describe('the shape of a result', () => {
  it('is that of its names and types, whatever its tables and formats', () => {
    const body = rowDescription([
      { name: 'a', typeOid: 23 },
      { name: 'b', typeOid: 25 },
    ]).subarray(5)
    const other = Buffer.from(body)
    other.writeInt32BE(4711, 4)
    other.writeInt16BE(3, 8)
    other.writeInt16BE(1, 20)
    expect(resultShape(other)).toEqual(resultShape(body))
    const renamed = rowDescription([
      { name: 'a', typeOid: 23 },
      { name: 'c', typeOid: 25 },
    ]).subarray(5)
    expect(resultShape(renamed)).not.toEqual(resultShape(body))
    const retyped = rowDescription([
      { name: 'a', typeOid: 20 },
      { name: 'b', typeOid: 25 },
    ]).subarray(5)
    expect(resultShape(retyped)).not.toEqual(resultShape(body))
  })

  it('never throws on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        resultShape(Buffer.from(bytes))
      }),
    )
  })
})
