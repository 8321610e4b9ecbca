import { duplexPair } from 'node:stream'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { Link } from '../../../src/net/link.ts'
import { type TurnLimits, type TurnShare, turn, turnLimits } from '../../../src/net/turn-share.ts'

const usual = { ...turnLimits }
afterEach(() => void Object.assign(turnLimits, usual))

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A clock that only work moves on. */
let nowMs = 0

function script(limits: Partial<TurnLimits>): void {
  nowMs = 0
  Object.assign(turnLimits, { steps: 4, shareMs: 1, turnMs: 2, nowMs: () => nowMs, ...limits })
}

interface Peer {
  readonly link: Link
  readonly far: ReturnType<typeof duplexPair>[1]
  readonly taken: number[]
  /** Turns of the loop in which something was taken, with how much. */
  readonly perTurn: Map<number, number>
}

/** Takes bytes one by one, each of them for `costMs`. */
function peer(costMs: number): Peer {
  const [near, far] = duplexPair()
  const link = Link.of(near)
  const taken: number[] = []
  const perTurn = new Map<number, number>()
  link.onChunk = (chunk: Buffer, share: TurnShare) => {
    for (let at = 0; at < chunk.length; ) {
      taken.push(chunk[at++] as number)
      perTurn.set(turn.id, (perTurn.get(turn.id) ?? 0) + 1)
      nowMs += costMs
      share.left--
      if (share.left <= 0 && at < chunk.length && share.isUsedUp()) return at
    }
    return chunk.length
  }
  return { link, far, taken, perTurn }
}

describe('what a peer has sent', () => {
  it('is taken in order and as a whole, however short the turns are and whoever stops it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 50 }),
        fc.constantFrom(0, 0.5, 3),
        fc.array(fc.constantFrom('pause', 'resume', 'stop', 'goOn', 'turn'), { maxLength: 30 }),
        async (chunks, steps, shareMs, acts) => {
          script({ steps, shareMs })
          const { link, far, taken } = peer(0.1)
          const give = link.onChunk
          let stops = 0
          link.onChunk = (chunk, share) => {
            if (stops-- > 0) {
              share.stop()
              return give(chunk.subarray(0, 1), share)
            }
            return give(chunk, share)
          }
          const sent = Buffer.concat(chunks)
          let next = 0
          for (const act of acts) {
            const chunk = chunks[next]
            if (chunk !== undefined) far.write(chunk)
            next++
            if (act === 'turn') await nextTurn()
            else if (act === 'stop') stops = 1
            else link[act]()
          }
          for (const chunk of chunks.slice(next)) far.write(chunk)
          link.resume()
          stops = 0
          await expect
            .poll(
              () => {
                link.goOn()
                return taken.length
              },
              { interval: 1 },
            )
            .toBe(sent.length)
          expect(Buffer.from(taken).equals(sent)).toBe(true)
          link.destroy()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('takes no more of a turn than its share, and all together no more than there is', async () => {
    script({})
    const peers = Array.from({ length: 50 }, () => peer(0.1))
    for (const { far } of peers) far.write(Buffer.alloc(2_000, 1))
    await expect
      .poll(() => peers.every(({ taken }) => taken.length === 2_000), { interval: 1 })
      .toBe(true)
    const turns = new Map<number, number>()
    for (const { perTurn } of peers) {
      // Steps before the first look, 1 ms of 0.1 each, steps before the last look.
      for (const count of perTurn.values()) expect(count).toBeLessThanOrEqual(4 + 10 + 4)
      for (const [id, count] of perTurn) turns.set(id, (turns.get(id) ?? 0) + count)
    }
    // Besides the turn in which all came at once.
    const counts = [...turns].sort(([a], [b]) => a - b).map(([, count]) => count)
    for (const count of counts.slice(1)) expect(count).toBeLessThanOrEqual(20 + 2 * (4 + 4))
    for (const { link } of peers) link.destroy()
  })

  it('leaves each of those who flood its turn, one after the other', async () => {
    script({ turnMs: 0 })
    const peers = Array.from({ length: 10 }, () => peer(1))
    for (const { far } of peers) far.write(Buffer.alloc(200, 1))
    for (let i = 0; i < 200; i++) await nextTurn()
    const counts = peers.map(({ taken }) => taken.length)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(8)
    for (const { link } of peers) link.destroy()
  })

  it('of those who flood keeps nobody waiting who asks for little', async () => {
    script({})
    const flood = Array.from({ length: 50 }, () => peer(0.1))
    for (const { far } of flood) far.write(Buffer.alloc(16_000, 1))
    for (let i = 0; i < 5; i++) await nextTurn()
    const victim = peer(0.1)
    for (let i = 0; i < 20; i++) {
      const before = nowMs
      victim.far.write(Buffer.of(i))
      while (victim.taken.length <= i) await nextTurn()
      // Its bytes take two turns at most from one end of the pipe to the other.
      expect(nowMs - before).toBeLessThanOrEqual(3 * (2 + 0.8))
    }
    for (const { link } of [...flood, victim]) link.destroy()
  })

  it('is heard before its end', async () => {
    script({ shareMs: 0, steps: 1 })
    const { link, far, taken } = peer(1)
    const seen: number[] = []
    link.onClose = () => seen.push(taken.length)
    far.end(Buffer.alloc(100, 1))
    await expect.poll(() => seen, { interval: 1 }).toEqual([100])
    link.destroy()
  })
})
