import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Arrivals } from '../../../src/client/arrivals.ts'
import { turn, turnLimits } from '../../../src/net/turn-share.ts'

const usual = { ...turnLimits }
let nowMs = 0

/** Each one that is let in takes 0.1 ms, and nothing else takes time. */
beforeEach(() => {
  nowMs = 0
  Object.assign(turnLimits, { steps: 64, shareMs: 0.5, turnMs: 1, nowMs: () => nowMs })
})
afterEach(() => void Object.assign(turnLimits, usual))

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Arrival {
  readonly address: string
  readonly number: number
}

function gate(max = 1_000_000) {
  const admitted: Arrival[] = []
  const dropped: Arrival[] = []
  const perTurn = new Map<number, number>()
  const arrivals = new Arrivals<Arrival>(
    max,
    (one) => {
      nowMs += 0.1
      admitted.push(one)
      perTurn.set(turn.id, (perTurn.get(turn.id) ?? 0) + 1)
    },
    (one) => dropped.push(one),
  )
  const add = (address: string, number: number) => arrivals.add(address, { address, number })
  return { arrivals, admitted, dropped, perTurn, add }
}

describe('newcomers', () => {
  it('are all let in, each network in its order, some of them per turn', async () => {
    const { admitted, perTurn, add } = gate()
    for (let i = 0; i < 3_000; i++) add(`10.0.0.${i % 3}`, i)
    await expect.poll(() => admitted.length, { interval: 1 }).toBe(3_000)
    for (const count of perTurn.values()) expect(count).toBeLessThanOrEqual(2 + 5 + 2)
    for (const of of ['10.0.0.0', '10.0.0.1', '10.0.0.2']) {
      const numbers = admitted.filter(({ address }) => address === of).map(({ number }) => number)
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    }
  })

  it('of a network that sends few wait for one of each other network at most', async () => {
    const { admitted, add } = gate()
    for (let i = 0; i < 2_000; i++) add(`10.0.0.${i % 4}`, i)
    await nextTurn()
    for (let i = 0; i < 5; i++) {
      const before = admitted.length
      add('10.9.9.9', -1 - i)
      const at = (): number => admitted.findIndex(({ number }) => number === -1 - i)
      while (at() < 0) await nextTurn()
      expect(at() - before).toBeLessThanOrEqual(4)
    }
  })

  it('of the network with the most are dropped beyond the limit, the newest first', async () => {
    const { arrivals, admitted, dropped, add } = gate(100)
    for (let i = 0; i < 500; i++) add('10.0.0.1', i)
    for (let i = 0; i < 20; i++) add(`10.0.1.${i}`, 1_000 + i)
    expect(arrivals.waiting).toBe(100)
    await expect.poll(() => admitted.length + dropped.length, { interval: 1 }).toBe(520)
    expect(admitted.filter(({ number }) => number >= 1_000)).toHaveLength(20)
    expect(admitted.some(({ number }) => number === 0)).toBe(true)
  })
})
