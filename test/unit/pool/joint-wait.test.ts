import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Claim, mostHolds, mostReads } from '../../../src/pool/claim.ts'
import { JointWait } from '../../../src/pool/joint-wait.ts'
import { NodePool } from '../../../src/pool/node-pool.ts'
import type { Pooled } from '../../../src/pool/pooled.ts'

const state = {}
const checkoutTimeoutMs = 1_000

class FakeConnection implements Pooled {
  readonly depth = 0
  readonly stateKey = state
  readonly createdAtMs = 0
  readonly pool: number
  isClosed = false
  isClean = true
  idleSinceMs = 0
  claim: Claim | null = null

  constructor(pool: number) {
    this.pool = pool
  }

  nearness(): number {
    return 0
  }

  close(): void {
    this.isClosed = true
  }
}

interface Place {
  readonly pool: number
  readonly claim: Claim
  readonly arrival: number
}

/** One who waits in several pools, and what became of it. */
class Client {
  places: Place[] = []
  connection: FakeConnection | null = null
  calls = 0
  outcome: 'connection' | 'error' | 'timeout' | null = null
  isEnded = false
  readonly wait: JointWait<FakeConnection>

  constructor(bench: Bench) {
    this.wait = new JointWait<FakeConnection>('lease', state, {
      onConnection: (connection) => {
        bench.checkOrder(this, connection)
        this.take(connection)
        bench.onServed(this)
      },
      onError: () => {
        this.calls++
        this.outcome = 'error'
      },
      onTimeout: () => {
        this.calls++
        this.outcome = 'timeout'
        this.places = []
      },
      onLost: (pool) => {
        const index = bench.pools.indexOf(pool)
        this.places = this.places.filter((place) => place.pool !== index)
      },
    })
  }

  /** A connection that was there at once. */
  take(connection: FakeConnection): void {
    this.calls++
    this.outcome = 'connection'
    this.connection = connection
    this.places = []
  }

  get isWaiting(): boolean {
    return this.calls === 0 && !this.isEnded
  }
}

/** Pools whose connections open when the test says so, on a clock of the test's. */
class Bench {
  nowMs = 0
  arrivals = 0
  leases = 0
  readonly sizes: readonly number[]
  readonly keptShare: number
  readonly opening: { readonly pool: number; settle(isWell: boolean): void }[] = []
  readonly pools: NodePool<FakeConnection>[]
  readonly clients: Client[] = []
  /** What the next one that is served does in the same moment. */
  next: ((client: Client) => void)[] = []

  constructor(sizes: readonly number[], keptShare: number) {
    this.sizes = sizes
    this.keptShare = keptShare
    this.pools = sizes.map(
      (size, pool) =>
        new NodePool<FakeConnection>(
          {
            size,
            keptShare,
            sharedDepth: 1,
            checkoutTimeoutMs,
            idleTimeoutMs: 0,
            maxLifetimeMs: 0,
          },
          {
            open: () =>
              new Promise((resolve, reject) => {
                this.opening.push({
                  pool,
                  settle: (isWell) =>
                    isWell ? resolve(new FakeConnection(pool)) : reject(new Error('refused')),
                })
              }),
            timeoutError: () => new Error('unreachable: a joint wait has its own'),
            isFull: () => false,
            onLease: (change) => {
              this.leases += change
            },
            nowMs: () => this.nowMs,
          },
        ),
    )
  }

  begin(places: readonly (readonly [number, Claim])[]): void {
    const client = new Client(this)
    this.clients.push(client)
    for (const [pool, claim] of places) this.join(client, pool, claim)
  }

  join(client: Client, pool: number, claim: Claim): void {
    if (!client.isWaiting || client.places.some((place) => place.pool === pool)) return
    const taken = this.pools[pool]?.take('lease', state, claim) ?? null
    if (taken !== null) {
      client.wait.end()
      client.take(taken)
      return
    }
    client.places.push({ pool, claim, arrival: this.arrivals++ })
    client.wait.add(this.pools[pool] as NodePool<FakeConnection>, claim)
  }

  /** First come, first served, in each pool among those of one claim. */
  checkOrder(served: Client, { pool }: FakeConnection): void {
    const own = served.places.find((place) => place.pool === pool)
    expect(own).toBeDefined()
    for (const other of this.clients) {
      if (other === served || !other.isWaiting) continue
      const place = other.places.find((one) => one.pool === pool && one.claim === own?.claim)
      if (place !== undefined) expect(place.arrival).toBeGreaterThan(own?.arrival ?? 0)
    }
  }

  onServed(client: Client): void {
    this.next.shift()?.(client)
  }

  give(client: Client): void {
    const { connection } = client
    if (connection === null) return
    client.connection = null
    if (!connection.isClosed) this.pools[connection.pool]?.release(connection)
  }

  check(): void {
    const held = this.clients.filter(({ connection }) => connection !== null)
    expect(new Set(held.map(({ connection }) => connection)).size).toBe(held.length)
    expect(this.leases).toBe(held.length)
    for (const { calls, isEnded } of this.clients) {
      expect(calls).toBeLessThanOrEqual(isEnded ? 0 : 1)
    }
    for (const [index, pool] of this.pools.entries()) {
      const size = this.sizes[index] as number
      const counts = pool.counts()
      expect(pool.connections.size + counts.connecting).toBeLessThanOrEqual(size)
      const here = held.filter(({ connection }) => connection?.pool === index)
      expect(counts.leased).toBe(here.length)
      const waiting = this.clients.filter(
        (client) => client.isWaiting && client.places.some((place) => place.pool === index),
      )
      expect(counts.waiting).toBe(waiting.length)
      expect(counts.holds).toBeLessThanOrEqual(mostHolds(size, this.keptShare))
      // Nobody waits where there is an idle connection that he may have.
      if (counts.idle === 0) continue
      for (const { places } of waiting) {
        const claim = places.find((place) => place.pool === index)?.claim
        expect(claim).not.toBe('work')
        if (claim === 'hold') expect(counts.holds).toBe(mostHolds(size, this.keptShare))
        if (claim === 'read') {
          const most = mostReads(size, counts.holds, this.keptShare)
          expect(counts.reads).toBeGreaterThanOrEqual(most)
        }
      }
    }
  }
}

const claim = fc.constantFrom<Claim>('work', 'read', 'hold')
const place = fc.tuple(fc.nat(2), claim)
const number = fc.nat(30)
const step = fc.oneof(
  {
    arbitrary: fc.record({
      kind: fc.constant('begin'),
      at: number,
      places: fc.array(place, { minLength: 1, maxLength: 3 }),
    }),
    weight: 5,
  },
  {
    arbitrary: fc.record({
      kind: fc.constantFrom('give', 'open'),
      at: number,
      places: fc.constant([]),
    }),
    weight: 9,
  },
  fc.record({
    kind: fc.constantFrom(
      'join',
      'refuse',
      'lose',
      'end',
      'gone',
      'pass',
      'thenGive',
      'thenEnd',
      'thenBegin',
      'close',
    ),
    at: number,
    places: fc.array(place, { minLength: 1, maxLength: 3 }),
  }),
)

describe('waiting in several pools at once', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('loses and doubles no connection, is served in order, and ends exactly once', async () => {
    const sizes = fc.tuple(
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
    )
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.constantFrom(0, 0.25, 0.5),
        fc.array(step, { maxLength: 60 }),
        async (given, share, steps) => {
          const bench = new Bench(given, share)
          const pick = <T>(all: readonly T[], at: number): T | undefined =>
            all[at % Math.max(1, all.length)]
          for (const { kind, at, places } of steps) {
            const waiting = bench.clients.filter(({ isWaiting }) => isWaiting)
            const users = bench.clients.filter(({ connection }) => connection !== null)
            const user = pick(users, at)
            const waiter = pick(waiting, at)
            if (kind === 'begin') bench.begin(places)
            else if (kind === 'join' && waiter !== undefined) {
              for (const [pool, own] of places) bench.join(waiter, pool, own)
            } else if (kind === 'give' && user !== undefined) bench.give(user)
            else if (kind === 'open' || kind === 'refuse') {
              const [dial] = bench.opening.splice(at % Math.max(1, bench.opening.length), 1)
              dial?.settle(kind === 'open')
              await vi.advanceTimersByTimeAsync(0)
            } else if (kind === 'lose' && user?.connection) {
              const { connection } = user
              user.connection = null
              connection.isClosed = true
              bench.pools[connection.pool]?.remove(connection)
            } else if (kind === 'end' && waiter !== undefined) {
              waiter.isEnded = true
              waiter.wait.end()
            } else if (kind === 'gone' && user?.connection) {
              // A client that left in mid-request: what it has is not handed on.
              user.connection.isClean = false
              bench.give(user)
            } else if (kind === 'pass') {
              bench.nowMs += 400
              await vi.advanceTimersByTimeAsync(400)
            } else if (kind === 'thenGive') bench.next.push((client) => bench.give(client))
            else if (kind === 'thenBegin') bench.next.push(() => bench.begin(places))
            else if (kind === 'thenEnd') {
              bench.next.push(() => {
                const other = bench.clients.find(({ isWaiting }) => isWaiting)
                if (other === undefined) return
                other.isEnded = true
                other.wait.end()
              })
            } else if (kind === 'close' && at === 7) bench.pools[0]?.failWaiters(new Error('left'))
            bench.check()
          }
          // Whoever still waits hears within the time-out.
          bench.next = []
          for (let i = 0; i < 4; i++) {
            bench.nowMs += 400
            await vi.advanceTimersByTimeAsync(400)
          }
          bench.check()
          for (const client of bench.clients) expect(client.isWaiting).toBe(false)
        },
      ),
      { numRuns: 400 },
    )
  })

  it('keeps its place in each pool, and leaves all of them when one has served it', async () => {
    const bench = new Bench([1, 1, 1], 0)
    bench.begin([[0, 'work']])
    bench.begin([[1, 'work']])
    while (bench.opening.length > 0) bench.opening.shift()?.settle(true)
    await vi.advanceTimersByTimeAsync(0)
    const [first, second] = bench.clients
    bench.begin([
      [0, 'work'],
      [1, 'work'],
    ])
    bench.begin([[1, 'work']])
    bench.begin([[0, 'work']])
    if (second !== undefined) bench.give(second)
    expect(bench.clients.map(({ outcome }) => outcome)).toEqual([
      'connection',
      'connection',
      'connection',
      null,
      null,
    ])
    if (first !== undefined) bench.give(first)
    expect(bench.clients.map(({ outcome }) => outcome).slice(3)).toEqual([null, 'connection'])
    expect(bench.pools.map(({ waiting }) => waiting)).toEqual([0, 1, 0])
  })

  it('waits on where the others are when one pool has failed, and fails with the last', async () => {
    const bench = new Bench([1, 1, 1], 0)
    bench.begin([
      [0, 'work'],
      [1, 'read'],
    ])
    bench.opening.shift()?.settle(false)
    await vi.advanceTimersByTimeAsync(0)
    expect(bench.clients[0]?.outcome).toBeNull()
    bench.opening.shift()?.settle(false)
    await vi.advanceTimersByTimeAsync(0)
    expect(bench.clients[0]?.outcome).toBe('error')
    expect(bench.pools.map(({ waiting }) => waiting)).toEqual([0, 0, 0])
  })
})
