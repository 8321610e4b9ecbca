import { describe, expect, it } from 'vitest'
import { logText } from '../../../src/testing/log-text.ts'

function block(stream: 1 | 2, text: string): Buffer {
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(Buffer.byteLength(text), 4)
  return Buffer.concat([header, Buffer.from(text)])
}

describe('logText', () => {
  it('joins the texts of both streams, also where a character is cut in two', () => {
    const [first, second] = [Buffer.from('ä').subarray(0, 1), Buffer.from('ä').subarray(1)]
    const cut = [first, second].map((part) => {
      const header = block(2, 'x').subarray(0, 8)
      return Buffer.concat([header, part])
    })
    expect(logText(Buffer.concat([block(1, 'one\n'), ...cut, block(1, ' two\n')]))).toBe(
      'one\nä two',
    )
  })

  it('takes what is there of a log that ends early', () => {
    const log = Buffer.concat([block(1, 'one\n'), block(2, 'a longer text')])
    expect(logText(log.subarray(0, log.length - 4))).toBe('one\na longer')
    expect(logText(log.subarray(0, 15))).toBe('one')
    expect(logText(Buffer.alloc(0))).toBe('')
  })
})
