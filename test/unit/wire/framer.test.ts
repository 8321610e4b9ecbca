import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from '../../../src/errors.ts'
import { Framer, type FrameSink } from '../../../src/wire/framer.ts'
import { endlessShare } from '../../support/endless-share.ts'

/** Puts frames and parts together again, and checks what the framer promises of parts. */
class Collector implements FrameSink {
  readonly frames: Buffer[] = []
  readonly wholeBytes: number
  #parts: Buffer[] | null = null

  constructor(wholeBytes = Number.POSITIVE_INFINITY) {
    this.wholeBytes = wholeBytes
  }

  isWhole(_type: number, frameBytes: number): boolean {
    return frameBytes <= this.wholeBytes
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    if (this.#parts !== null) throw new Error('a frame between the parts of another')
    if (buffer[start] !== type) throw new Error('type and buffer differ')
    this.frames.push(Buffer.from(buffer.subarray(start, end)))
  }

  onPart(
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
    isFirst: boolean,
    isLast: boolean,
  ): void {
    if (isFirst !== (this.#parts === null)) throw new Error('first part out of place')
    if (isFirst && (buffer[start] !== type || end - start < 5)) throw new Error('no header')
    this.#parts ??= []
    this.#parts.push(Buffer.from(buffer.subarray(start, end)))
    if (!isLast) return
    this.frames.push(Buffer.concat(this.#parts))
    this.#parts = null
  }
}

function frame(type: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + body.length)
  bytes[0] = type
  bytes.writeInt32BE(body.length + 4, 1)
  bytes.set(body, 5)
  return bytes
}

const frames = fc.array(
  fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 40 }))
    .map(([type, body]) => frame(type, body)),
  { maxLength: 8 },
)

describe('the framer', () => {
  it('finds the same frames at every split point', () => {
    const all = [
      frame(0x51, Buffer.from('abc\0')),
      frame(0x53, Buffer.alloc(0)),
      frame(0x44, Buffer.alloc(30)),
    ]
    const bytes = Buffer.concat(all)
    for (const limit of [Number.POSITIVE_INFINITY, 8]) {
      for (let a = 0; a <= bytes.length; a++) {
        for (let b = a; b <= bytes.length; b++) {
          const sink = new Collector(limit)
          const framer = new Framer(sink, 1000)
          for (const part of [bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(b)]) {
            framer.push(part, endlessShare)
          }
          expect(sink.frames).toEqual(all)
          expect(framer.isIdle).toBe(true)
        }
      }
    }
  })

  it('finds the same frames in any chunks, whole or in parts', () => {
    fc.assert(
      fc.property(
        frames,
        fc.array(fc.integer({ min: 1, max: 60 })),
        fc.integer({ min: 0, max: 60 }),
        (all, sizes, limit) => {
          const bytes = Buffer.concat(all)
          const sink = new Collector(limit)
          const framer = new Framer(sink, 1000)
          let at = 0
          for (const size of [...sizes, bytes.length]) {
            // A chunk is valid only while it is pushed: socket buffers are used again.
            const chunk = Buffer.from(bytes.subarray(at, at + size))
            framer.push(chunk, endlessShare)
            chunk.fill(0xff)
            at += size
          }
          expect(sink.frames.map((bytes) => bytes.toString('hex'))).toEqual(
            all.map((bytes) => bytes.toString('hex')),
          )
        },
      ),
    )
  })

  it('refuses lengths below 4, negative ones and those over the limit, at once', () => {
    for (const length of [0, 3, -1, -2147483648, 2147483647, 1000]) {
      const header = Buffer.alloc(5)
      header.writeInt32BE(length, 1)
      expect(() => new Framer(new Collector(), 1000).push(header, endlessShare)).toThrow(
        ProtocolError,
      )
      const late = new Framer(new Collector(), 1000)
      late.push(header.subarray(0, 3), endlessShare)
      expect(() => late.push(header.subarray(3), endlessShare)).toThrow(ProtocolError)
    }
  })

  it('reserves no memory on the word of a length', () => {
    const header = Buffer.alloc(5)
    header.writeInt32BE(0x7ffffff0, 1)
    const before = process.memoryUsage().arrayBuffers
    const framers = Array.from({ length: 50 }, () => {
      const framer = new Framer(new Collector(), 0x7fffffff)
      framer.push(header, endlessShare)
      return framer
    })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20)
    expect(framers.every(({ isIdle }) => !isIdle)).toBe(true)
  })

  it('gives back what was collected of a frame whose end never comes, without a garbage collection', () => {
    const megabyte = 1 << 20
    const chunk = Buffer.alloc(megabyte)
    const header = Buffer.from([0x51, 0x04, 0, 0, 0])
    const before = process.memoryUsage().arrayBuffers
    const framers = Array.from({ length: 8 }, () => {
      const framer = new Framer(new Collector(), 0x7fffffff)
      framer.push(header, endlessShare)
      for (let i = 0; i < 8; i++) framer.push(chunk, endlessShare)
      return framer
    })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 20 * megabyte)
    for (const framer of framers) framer.abandon()
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * megabyte)
    expect(framers.every(({ isIdle }) => isIdle)).toBe(true)
  })

  it('either takes random bytes or throws a ProtocolError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (chunks) => {
        const framer = new Framer(new Collector(20), 100)
        try {
          for (const chunk of chunks) framer.push(Buffer.from(chunk), endlessShare)
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError)
        }
      }),
    )
  })
})
