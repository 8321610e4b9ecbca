import { Duplex, duplexPair } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Link } from '../../../src/net/link.ts'

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a link', () => {
  it('delivers in order what was written, in whatever pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 12 }),
        fc.array(fc.boolean()),
        async (sizes, flushes) => {
          const [near, far] = duplexPair()
          const link = Link.of(near)
          const chunks: Buffer[] = []
          far.on('data', (chunk: Buffer) => chunks.push(Buffer.from(chunk)))
          const sent: Buffer[] = []
          for (const [i, size] of sizes.entries()) {
            const bytes = Buffer.alloc(size, i + 1)
            link.write(bytes)
            sent.push(Buffer.from(bytes))
            // Written bytes are copied: the caller may use its buffer again.
            bytes.fill(0)
            if (flushes[i] === true) link.flush()
          }
          const all = Buffer.concat(sent)
          await expect
            .poll(() => chunks.reduce((sum, { length }) => sum + length, 0), { interval: 1 })
            .toBe(all.length)
          expect(Buffer.concat(chunks).equals(all)).toBe(true)
          expect(link.pendingBytes).toBe(0)
          link.destroy()
        },
      ),
      { numRuns: 40 },
    )
  })

  it('sends what one turn writes in one piece', async () => {
    const [near, far] = duplexPair()
    const link = Link.of(near)
    const chunks: string[] = []
    far.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
    for (const word of ['a', 'b', 'c']) link.write(Buffer.from(word))
    expect(link.pendingBytes).toBe(3)
    await expect.poll(() => chunks).toEqual(['abc'])
    link.write(Buffer.from('xdy'), 1, 2)
    await expect.poll(() => chunks).toEqual(['abc', 'd'])
  })

  it('tells how much waits, and when the peer has taken it', async () => {
    const [near, far] = duplexPair({ highWaterMark: 1_000 })
    const link = Link.of(near)
    let drains = 0
    link.onDrain = () => {
      drains++
    }
    link.write(Buffer.alloc(50_000))
    await turn()
    expect(link.pendingBytes).toBeGreaterThan(0)
    expect(drains).toBe(0)
    far.resume()
    await expect.poll(() => drains).toBe(1)
    expect(link.pendingBytes).toBe(0)
  })

  it('has no backlog behind a peer that takes everything at once', () => {
    const taken: number[] = []
    const sink = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        taken.push(chunk.length)
        done()
      },
    })
    const link = Link.of(sink)
    link.write(Buffer.alloc(300_000))
    expect(link.hasBacklog(400_000)).toBe(false)
    expect(taken).toEqual([])
    // No drain would follow: whoever waited for one would wait for ever.
    expect(link.hasBacklog(256_000)).toBe(false)
    expect(taken).toEqual([300_000])
  })

  it('has a backlog behind a peer that does not read, until it does', async () => {
    const [near, far] = duplexPair({ highWaterMark: 1_000 })
    const link = Link.of(near)
    const drained = new Promise<void>((resolve) => {
      link.onDrain = resolve
    })
    link.write(Buffer.alloc(300_000))
    expect(link.hasBacklog(256_000)).toBe(true)
    far.resume()
    await drained
    expect(link.hasBacklog(0)).toBe(false)
  })

  it('gives no chunk while it is paused', async () => {
    const [near, far] = duplexPair()
    const link = Link.of(near)
    const chunks: string[] = []
    link.onChunk = (chunk) => {
      chunks.push(chunk.toString())
      return chunk.length
    }
    link.pause()
    far.write('a')
    await turn()
    expect(chunks).toEqual([])
    link.resume()
    await expect.poll(() => chunks).toEqual(['a'])
  })

  it('says once that the peer has gone, and writes nothing any more', async () => {
    const [near, far] = duplexPair()
    const link = Link.of(near)
    const ends: (Error | null)[] = []
    link.onClose = (error) => ends.push(error)
    far.resume()
    far.end()
    await expect.poll(() => ends).toEqual([null])
    link.write(Buffer.from('late'))
    link.end()
    link.destroy()
    await turn()
    expect(ends).toEqual([null])
    expect(link.isClosed).toBe(true)
    expect(link.pendingBytes).toBe(0)
  })

  it('hands an error on as the reason of the close', async () => {
    const [near] = duplexPair()
    const link = Link.of(near)
    const ends: (Error | null)[] = []
    link.onClose = (error) => ends.push(error)
    const error = new Error('reset')
    near.destroy(error)
    await expect.poll(() => ends).toEqual([error])
  })

  it('gives its stream away for TLS and hears nothing of it any more', async () => {
    const [near, far] = duplexPair()
    const link = Link.of(near)
    const heard: unknown[] = []
    link.onChunk = (chunk) => {
      heard.push(chunk)
      return chunk.length
    }
    link.onClose = (error) => heard.push(error)
    link.write(Buffer.from('last'))
    const duplex = link.takeDuplex()
    const chunks: string[] = []
    far.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
    await expect.poll(() => chunks).toEqual(['last'])
    duplex.destroy()
    await turn()
    expect(heard).toEqual([])
  })
})
