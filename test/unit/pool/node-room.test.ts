import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Claim } from '../../../src/pool/claim.ts'
import { NodePool } from '../../../src/pool/node-pool.ts'
import { NodeRoom } from '../../../src/pool/node-room.ts'
import type { Pooled } from '../../../src/pool/pooled.ts'

const state = {}

class FakeConnection implements Pooled {
  readonly depth = 0
  readonly isClean = true
  readonly stateKey = state
  readonly createdAtMs = 1
  idleSinceMs = 0
  claim: Claim | null = null
  isClosed = false

  nearness(): number {
    return 0
  }

  close(): void {
    this.isClosed = true
  }
}

/** Pools of several users at one node, and who waits for or holds a connection of which. */
function setUp(limit: number, users: number) {
  const room = new NodeRoom(() => limit)
  const made: FakeConnection[] = []
  const held: FakeConnection[][] = []
  const waiting: number[] = []
  const options = {
    sharedDepth: 1,
    keptShare: 0,
    checkoutTimeoutMs: 60_000,
    idleTimeoutMs: 0,
    maxLifetimeMs: 0,
  }
  const pools = Array.from({ length: users }, (_, user) => {
    held.push([])
    waiting.push(0)
    return new NodePool<FakeConnection>(
      { size: 5, ...options },
      {
        open: async () => {
          const connection = new FakeConnection()
          made.push(connection)
          expect(open()).toBeLessThanOrEqual(limit)
          return connection
        },
        timeoutError: () => new Error(`user ${user} waited too long`),
        isFull: () => false,
        nowMs: () => 1,
      },
      room,
    )
  })
  const open = (): number => made.filter(({ isClosed }) => !isClosed).length
  const want = (user: number): void => {
    const pool = pools[user] as NodePool<FakeConnection>
    const taken = pool.take('lease', state)
    if (taken !== null) {
      held[user]?.push(taken)
      return
    }
    waiting[user] = (waiting[user] ?? 0) + 1
    pool.wait({
      mode: 'lease',
      stateKey: state,
      claim: 'work',
      onConnection: (connection) => {
        waiting[user] = (waiting[user] ?? 0) - 1
        held[user]?.push(connection)
      },
      onError: (error) => {
        throw error
      },
    })
  }
  const giveBack = (user: number): boolean => {
    const connection = held[user]?.shift()
    if (connection !== undefined) pools[user]?.release(connection)
    return connection !== undefined
  }
  return { want, giveBack, open, held, waiting, made, pools }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

it('makes an idle connection of another user give way', async () => {
  const { want, giveBack, open, held } = setUp(2, 2)
  want(0)
  want(0)
  await settled()
  giveBack(0)
  giveBack(0)
  expect(open()).toBe(2)
  want(1)
  await settled()
  expect([held[1]?.length, open()]).toEqual([1, 2])
})

it('gives who has nothing the next one that comes back, also when its owner has others waiting', async () => {
  const { want, giveBack, held, waiting } = setUp(4, 2)
  for (let i = 0; i < 20; i++) want(0)
  await settled()
  expect(held[0]?.length).toBe(4)
  want(1)
  await settled()
  expect(waiting[1]).toBe(1)
  giveBack(0)
  await settled()
  expect([held[0]?.length, held[1]?.length]).toEqual([3, 1])
  giveBack(0)
  await settled()
  expect(held[0]?.length).toBe(3)
})

it('never has more than the limit in all, and serves everybody in the end', async () => {
  const step = fc.record({ user: fc.nat(2), gives: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 6 }),
      fc.array(step, { maxLength: 60 }),
      async (limit, steps) => {
        const { want, giveBack, open, waiting, held } = setUp(limit, 3)
        for (const { user, gives } of steps) {
          if (gives) giveBack(user)
          else want(user)
          if (user === 1) await settled()
          expect(open()).toBeLessThanOrEqual(limit)
        }
        for (let i = 0; i < 200; i++) {
          await settled()
          for (const user of [0, 1, 2]) giveBack(user)
        }
        expect(waiting).toEqual([0, 0, 0])
        expect(held.flat()).toEqual([])
      },
    ),
    { numRuns: 100 },
  )
})
