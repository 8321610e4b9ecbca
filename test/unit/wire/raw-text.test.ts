import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Cursor } from '../../../src/wire/cursor.ts'
import { decodeText, encodeText } from '../../../src/wire/raw-text.ts'
import { Writer } from '../../../src/wire/writer.ts'

describe('text of a client', () => {
  it('is UTF-8 where that is valid', () => {
    const bytes = Buffer.from('café \ufffd 𝄞')
    expect(decodeText(bytes, 0, bytes.length)).toBe('café \ufffd 𝄞')
  })

  it('comes back byte for byte, whatever its encoding', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (values) => {
        const bytes = Buffer.from(values)
        expect(encodeText(decodeText(bytes, 0, bytes.length))).toEqual(bytes)
      }),
    )
  })

  it('is told apart where UTF-8 would show two names alike', () => {
    expect(decodeText(Buffer.from([0x61, 0xe9]), 0, 2)).not.toBe(
      decodeText(Buffer.from([0x61, 0xe8]), 0, 2),
    )
  })

  it('is read and written as it is in messages', () => {
    fc.assert(
      fc.property(fc.uint8Array({ min: 1, maxLength: 40 }), (values) => {
        const bytes = Buffer.from([...values, 0])
        const text = new Cursor(bytes, 0, bytes.length).string()
        const message = new Writer().begin(0x42).string(text).end().take()
        expect(message.subarray(5)).toEqual(bytes)
      }),
    )
  })
})
