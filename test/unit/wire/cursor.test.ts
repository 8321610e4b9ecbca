import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from '../../../src/errors.ts'
import { Cursor } from '../../../src/wire/cursor.ts'

const reads = fc.array(
  fc.oneof(
    fc.constantFrom(
      'byte',
      'int16',
      'uint16',
      'int32',
      'string',
      'skipString',
      'assertEnd' as const,
    ),
    fc.integer({ min: -10, max: 40 }),
  ),
)

describe('the cursor', () => {
  it('reads what stands there', () => {
    const body = Buffer.from([0xff, 0xff, 0xfe, 0xff, 0xfe, 0x80, 0, 0, 0, 0x61, 0xc3, 0xa9, 0, 9])
    const cursor = new Cursor(body, 0, body.length)
    expect(cursor.byte()).toBe(255)
    expect(cursor.int16()).toBe(-2)
    expect(cursor.uint16()).toBe(0xfffe)
    expect(cursor.int32()).toBe(-2147483648)
    expect(cursor.string()).toBe('aé')
    expect(() => cursor.assertEnd()).toThrow(ProtocolError)
    expect([...cursor.bytes(1)]).toEqual([9])
    cursor.assertEnd()
  })

  it('never reads outside its range, whatever is asked, and throws ProtocolError instead', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 30 }),
        fc.nat(30),
        fc.nat(30),
        reads,
        (bytes, a, b, steps) => {
          const start = Math.min(a, b, bytes.length)
          const end = Math.min(Math.max(a, b), bytes.length)
          const cursor = new Cursor(Buffer.from(bytes), start, end)
          for (const step of steps) {
            const before = cursor.at
            try {
              if (typeof step === 'number') expect(cursor.bytes(step)).toHaveLength(step)
              else cursor[step as 'byte']()
            } catch (error) {
              expect(error).toBeInstanceOf(ProtocolError)
              expect(cursor.at).toBe(before)
            }
            expect(cursor.at).toBeGreaterThanOrEqual(start)
            expect(cursor.at).toBeLessThanOrEqual(end)
          }
        },
      ),
    )
  })

  it('does not take a NUL behind its range for the end of a string', () => {
    const body = Buffer.from('abc\0')
    expect(() => new Cursor(body, 0, 3).string()).toThrow('not terminated')
  })
})
