import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Claim } from '../../../src/pool/claim.ts'
import { NodePool } from '../../../src/pool/node-pool.ts'
import type { Pooled, PoolOptions, UseMode } from '../../../src/pool/pooled.ts'

class FakeConnection implements Pooled {
  depth = 0
  isClosed = false
  isClean = true
  stateKey: object
  createdAtMs = 0
  idleSinceMs = 0
  claim: Claim | null = null

  constructor(stateKey: object) {
    this.stateKey = stateKey
  }

  /** States it can't be brought to any more. */
  unfit: object | null = null

  nearness(stateKey: object): number {
    return stateKey === this.unfit ? -1 : 0
  }

  close(): void {
    this.isClosed = true
  }
}

const states = [{ name: 'plain' }, { name: 'other' }]
const options: PoolOptions = {
  size: 3,
  keptShare: 0,
  sharedDepth: 2,
  checkoutTimeoutMs: 1_000,
  idleTimeoutMs: 500,
  maxLifetimeMs: 10_000,
}

/** A pool whose connections open when the test says so. */
class Bench {
  nowMs = 0
  opening: { resolve(connection: FakeConnection): void; reject(error: Error): void }[] = []
  made: FakeConnection[] = []
  readonly pool: NodePool<FakeConnection>

  constructor(given: Partial<PoolOptions> = {}) {
    this.pool = new NodePool<FakeConnection>(
      { ...options, ...given },
      {
        open: () =>
          new Promise((resolve, reject) => {
            this.opening.push({ resolve, reject })
          }),
        timeoutError: (counts, waitedMs) => new Error(`waited ${waitedMs}, ${counts.waiting} wait`),
        isFull: (error) => error.message === 'full',
        nowMs: () => this.nowMs,
      },
    )
  }

  async open(): Promise<FakeConnection | null> {
    const next = this.opening.shift()
    if (next === undefined) return null
    const connection = new FakeConnection(states[0] as object)
    connection.createdAtMs = this.nowMs
    this.made.push(connection)
    next.resolve(connection)
    await Promise.resolve()
    await Promise.resolve()
    return connection
  }

  async refuse(): Promise<void> {
    this.opening.shift()?.reject(new Error('refused'))
    await Promise.resolve()
    await Promise.resolve()
  }
}

interface Use {
  readonly mode: UseMode
  readonly state: object
  connection: FakeConnection | null
  error: Error | null
  calls: number
  isForgotten: boolean
  forget: () => void
}

function want(bench: Bench, mode: UseMode, state: object): Use {
  const use: Use = {
    mode,
    state,
    connection: null,
    error: null,
    calls: 0,
    isForgotten: false,
    forget: () => {},
  }
  const taken = bench.pool.take(mode, state)
  if (taken !== null) {
    use.connection = taken
    use.calls = 1
    taken.depth++
    return use
  }
  const waiter = {
    mode,
    stateKey: state,
    claim: 'work' as const,
    onConnection: (connection: FakeConnection) => {
      use.calls++
      use.connection = connection
      connection.depth++
    },
    onError: (error: Error) => {
      use.calls++
      use.error = error
    },
  }
  use.forget = () => bench.pool.forget(waiter)
  bench.pool.wait(waiter)
  return use
}

function give(bench: Bench, use: Use): void {
  const { connection } = use
  if (connection === null) return
  use.connection = null
  connection.depth--
  if (connection.isClosed) return
  if (bench.pool.isLeased(connection)) bench.pool.release(connection)
  else if (connection.depth === 0) bench.pool.quiet(connection)
  else bench.pool.roomy(connection)
}

describe('the pool of a node', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('never has two users on a lease, calls each waiter once, and stays within its size', async () => {
    const step = fc.oneof(
      { arbitrary: fc.tuple(fc.constantFrom('lease', 'shared'), fc.nat(1)), weight: 5 },
      { arbitrary: fc.tuple(fc.constant('give'), fc.nat(20)), weight: 5 },
      { arbitrary: fc.tuple(fc.constant('open'), fc.nat(1)), weight: 4 },
      fc.tuple(fc.constant('refuse'), fc.nat(1)),
      fc.tuple(fc.constant('lose'), fc.nat(20)),
      fc.tuple(fc.constant('dirty'), fc.nat(20)),
      fc.tuple(fc.constant('stall'), fc.nat(20)),
      fc.tuple(fc.constant('spoil'), fc.nat(20)),
      fc.tuple(fc.constant('forget'), fc.nat(20)),
      fc.tuple(fc.constant('prune'), fc.nat(2_000)),
      fc.tuple(fc.constant('recycle'), fc.nat(1)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const bench = new Bench()
        const uses: Use[] = []
        for (const [kind, number] of steps) {
          const users = uses.filter(({ connection }) => connection !== null)
          const user = users[number % Math.max(1, users.length)]
          if (kind === 'lease' || kind === 'shared') {
            uses.push(want(bench, kind, states[number] as object))
          } else if (kind === 'give' && user !== undefined) {
            // A lease may have been given another state meanwhile.
            if (user.connection !== null && bench.pool.isLeased(user.connection)) {
              user.connection.stateKey = user.state
            }
            give(bench, user)
          } else if (kind === 'open') await bench.open()
          else if (kind === 'refuse') await bench.refuse()
          else if (kind === 'lose' && user?.connection) {
            const { connection } = user
            connection.isClosed = true
            bench.pool.remove(connection)
            for (const other of users) if (other.connection === connection) other.connection = null
          } else if (kind === 'dirty' && user?.connection) user.connection.isClean = false
          else if (kind === 'spoil' && user?.connection && bench.pool.isLeased(user.connection)) {
            user.connection.unfit = states.find((state) => state !== user.state) ?? null
          } else if (kind === 'stall' && user?.connection) bench.pool.stall(user.connection)
          else if (kind === 'forget') {
            const waiting = uses.filter(({ calls, isForgotten }) => calls === 0 && !isForgotten)
            const one = waiting[number % Math.max(1, waiting.length)]
            if (one !== undefined) {
              one.isForgotten = true
              one.forget()
            }
          } else if (kind === 'prune') {
            bench.nowMs += number
            bench.pool.prune()
          } else if (kind === 'recycle') {
            bench.nowMs++
            bench.pool.recycle()
          }
          const counts = bench.pool.counts()
          expect(bench.pool.connections.size + counts.connecting).toBeLessThanOrEqual(3)
          const now = uses.filter(({ connection }) => connection !== null)
          for (const { connection, mode, state } of now) {
            if (connection === null) continue
            expect(connection.isClosed).toBe(false)
            expect(connection.nearness(state)).toBe(0)
            const others = now.filter((use) => use.connection === connection)
            if (bench.pool.isLeased(connection)) expect(others).toHaveLength(1)
            else {
              expect(mode).toBe('shared')
              expect(connection.stateKey).toBe(state)
              expect(others.length).toBeLessThanOrEqual(2)
            }
          }
          for (const { calls, isForgotten } of uses) {
            expect(calls).toBeLessThanOrEqual(isForgotten ? 0 : 1)
          }
          const waiting = uses.filter(({ calls, isForgotten }) => calls === 0 && !isForgotten)
          expect(counts.waiting).toBe(waiting.length)
          // Nobody waits while a connection lies idle that would do.
          const idle = [...bench.pool.connections].filter(
            (connection) => connection.depth === 0 && !bench.pool.isLeased(connection),
          )
          expect(idle).toHaveLength(counts.idle)
          const [first] = waiting
          if (first !== undefined) {
            expect(idle.filter((connection) => connection.nearness(first.state) >= 0)).toEqual([])
            if (idle.length > 0) expect(counts.connecting + bench.opening.length).toBeGreaterThan(0)
          }
        }
        bench.pool.close(new Error('over'))
        for (const { calls, isForgotten } of uses) expect(calls).toBe(isForgotten ? 0 : 1)
      }),
      { numRuns: 300 },
    )
  })

  it('opens a connection in the place of an idle one that does not fit the waiter', async () => {
    const bench = new Bench({ size: 1 })
    const [plain, other] = states as [object, object]
    const use = want(bench, 'lease', plain)
    const unfit = await bench.open()
    if (unfit !== null) unfit.unfit = other
    const next = want(bench, 'lease', other)
    expect(bench.opening).toHaveLength(0)
    give(bench, use)
    expect(unfit?.isClosed).toBe(true)
    const fresh = await bench.open()
    expect(next.connection).toBe(fresh)
    expect(bench.pool.connections.size).toBe(1)
  })

  it('makes room on a node that is full by closing one that does not fit', async () => {
    const bench = new Bench({ size: 2 })
    const [plain, other] = states as [object, object]
    const use = want(bench, 'lease', plain)
    const unfit = await bench.open()
    if (unfit !== null) unfit.unfit = other
    give(bench, use)
    const next = want(bench, 'lease', other)
    bench.opening.shift()?.reject(new Error('full'))
    await vi.waitFor(() => expect(unfit?.isClosed).toBe(true))
    await vi.waitFor(() => expect(bench.opening).toHaveLength(1))
    await bench.open()
    expect(next.connection).not.toBeNull()
  })

  it('serves waiters in the order in which they came', async () => {
    const bench = new Bench({ size: 1 })
    const plain = states[0] as object
    const first = want(bench, 'lease', plain)
    await bench.open()
    const second = want(bench, 'shared', plain)
    const third = want(bench, 'lease', plain)
    give(bench, first)
    expect(second.connection).not.toBeNull()
    expect(third.calls).toBe(0)
    give(bench, second)
    expect(third.connection).not.toBeNull()
  })

  it('leases one very connection only while it is idle, known and fit', async () => {
    const bench = new Bench({ size: 2 })
    const [plain, other] = states as [object, object]
    const uses = [want(bench, 'lease', plain), want(bench, 'lease', plain)]
    const first = (await bench.open()) as FakeConnection
    await bench.open()
    expect(bench.pool.takeThis(first, plain)).toBe(false)
    for (const use of uses) give(bench, use)
    first.unfit = other
    expect(bench.pool.takeThis(first, other)).toBe(false)
    expect(bench.pool.takeThis(new FakeConnection(plain), plain)).toBe(false)
    // It isn't the one that would be taken otherwise.
    expect(bench.pool.takeThis(first, plain)).toBe(true)
    expect(bench.pool.isLeased(first)).toBe(true)
    expect(bench.pool.takeThis(first, plain)).toBe(false)
    expect(bench.pool.take('lease', plain)).not.toBe(first)
    bench.pool.release(first)
    bench.pool.recycle()
    expect(bench.pool.takeThis(first, plain)).toBe(false)
  })

  it('throws at a second release: one connection would get two users', async () => {
    const bench = new Bench()
    const use = want(bench, 'lease', states[0] as object)
    const connection = await bench.open()
    give(bench, use)
    expect(() => bench.pool.release(connection as FakeConnection)).toThrow('released twice')
  })

  it('fails a waiter after checkoutTimeoutMs, with the numbers', async () => {
    vi.useFakeTimers()
    const bench = new Bench()
    const use = want(bench, 'lease', states[0] as object)
    bench.nowMs = 999
    await vi.advanceTimersByTimeAsync(999)
    expect(use.calls).toBe(0)
    bench.nowMs = 1_001
    await vi.advanceTimersByTimeAsync(10)
    expect(use.error?.message).toBe('waited 1001, 1 wait')
  })

  it('lets waiters wait for the connections there are when the node takes no more', async () => {
    const bench = new Bench()
    const first = want(bench, 'lease', states[0] as object)
    await bench.open()
    const second = want(bench, 'lease', states[0] as object)
    bench.opening.shift()?.reject(new Error('full'))
    await Promise.resolve()
    expect(second.calls).toBe(0)
    give(bench, first)
    expect(second.connection).not.toBeNull()
  })

  it('fails the waiters of a node that is full of others', async () => {
    const bench = new Bench()
    const use = want(bench, 'lease', states[0] as object)
    bench.opening.shift()?.reject(new Error('full'))
    await vi.waitFor(() => expect(use.error?.message).toBe('full'))
  })

  it('closes idle connections past their time, and old ones when they come back', async () => {
    const bench = new Bench()
    const use = want(bench, 'lease', states[0] as object)
    const connection = await bench.open()
    give(bench, use)
    bench.nowMs = 501
    bench.pool.prune()
    expect(connection?.isClosed).toBe(true)
    const again = want(bench, 'lease', states[0] as object)
    const old = await bench.open()
    bench.nowMs += 10_001
    give(bench, again)
    expect(old?.isClosed).toBe(true)
    expect(bench.pool.connections.size).toBe(0)
  })

  it('gives a shared place only on a connection of the same state', async () => {
    const bench = new Bench({ size: 2 })
    const plain = states[0] as object
    const first = want(bench, 'shared', plain)
    await bench.open()
    const second = want(bench, 'shared', plain)
    expect(second.connection).toBe(first.connection)
    const stranger = want(bench, 'shared', states[1] as object)
    expect(stranger.calls).toBe(0)
    const own = await bench.open()
    expect(stranger.connection).toBe(own)
    expect(bench.pool.isLeased(own as FakeConnection)).toBe(true)
  })
})

describe('a pool whose size is changed', () => {
  it('closes what is idle beyond it at once, and what is in use when it comes back', async () => {
    const bench = new Bench()
    const uses = [0, 1, 2].map(() => want(bench, 'lease', states[0] as object))
    for (const _ of uses) await bench.open()
    give(bench, uses[0] as Use)
    bench.pool.reconfigure({ ...options, size: 1 })
    expect(bench.made.map(({ isClosed }) => isClosed)).toEqual([true, false, false])
    give(bench, uses[1] as Use)
    expect(bench.made.map(({ isClosed }) => isClosed)).toEqual([true, true, false])
    give(bench, uses[2] as Use)
    expect(bench.pool.counts()).toMatchObject({ idle: 1, leased: 0 })
  })

  it('opens more for who waits when it grows', async () => {
    const bench = new Bench({ size: 1 })
    const first = want(bench, 'lease', states[0] as object)
    await bench.open()
    const second = want(bench, 'lease', states[0] as object)
    expect(bench.opening).toHaveLength(0)
    bench.pool.reconfigure({ ...options, size: 2 })
    await bench.open()
    expect(first.connection).not.toBeNull()
    expect(second.connection).not.toBeNull()
  })
})
