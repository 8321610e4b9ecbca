import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Held, NodePools } from '../../../../src/drizzle/direct/node-pools.ts'
import type { DriverPool } from '../../../../src/drizzle/driver-pool.ts'

const size = 2
const nodes = [0, 1, 2]
/** Reads of node 0, which is the primary. */
const mostReads = 1

interface Connection {
  readonly node: number
  isTaken: boolean
}

/** A driver's pool as `pg.Pool` is: whoever waits can't be taken out again. */
class FakePool implements DriverPool<Connection> {
  readonly all: Connection[] = []
  readonly queue: ((error: unknown, connection: Connection | null) => void)[] = []
  readonly node: number

  constructor(node: number) {
    this.node = node
  }

  checkout(done: (error: unknown, connection: Connection | null) => void): void {
    let free = this.all.find(({ isTaken }) => !isTaken)
    if (free === undefined && this.all.length < size) {
      free = { node: this.node, isTaken: false }
      this.all.push(free)
    }
    if (free === undefined) this.queue.push(done)
    else {
      free.isTaken = true
      done(null, free)
    }
  }

  checkin(connection: Connection, isSpoiled: boolean): void {
    expect(connection.isTaken).toBe(true)
    expect(isSpoiled).toBe(false)
    connection.isTaken = false
    const next = this.queue.shift()
    if (next === undefined) return
    connection.isTaken = true
    next(null, connection)
  }

  destroy(): void {}

  get counts() {
    const idle = this.all.filter(({ isTaken }) => !isTaken).length
    return { total: this.all.length, idle, waiting: this.queue.length }
  }

  async end(): Promise<void> {}
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('connections of the in-process door', () => {
  it('are given once each, in order, to whoever waits at several nodes', async () => {
    const step = fc.tuple(fc.constantFrom('read', 'write', 'any', 'give', 'give'), fc.nat(20))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const made = new Map<number, FakePool>()
        const pools = new NodePools<Connection>({
          open: (node) => {
            const pool = new FakePool(node)
            made.set(node, pool)
            return pool
          },
          size,
          mostReads: (node) => (node === 0 ? mostReads : Number.POSITIVE_INFINITY),
          checkoutTimeoutMs: 60_000,
          noRoom: () => new Error('unreachable'),
        })
        const held: Held<Connection>[] = []
        let asked = 0
        let served = 0
        const take = (promise: Promise<Held<Connection>>): void => {
          asked++
          promise.then((one) => {
            served++
            held.push(one)
          })
        }
        const check = (): void => {
          const taken = held.map(({ connection }) => connection)
          expect(new Set(taken).size).toBe(taken.length)
          const inUse = [...made.values()].flatMap(({ all }) => all.filter((one) => one.isTaken))
          expect(new Set(inUse)).toEqual(new Set(taken))
          const reads = held.filter(({ nodeIndex, isRead }) => nodeIndex === 0 && isRead)
          expect(reads.length).toBeLessThanOrEqual(mostReads)
          // Nobody waits at a node that has a connection for him.
          if (served < asked) expect(nodes.some((node) => pools.waitingAt(node) > 0)).toBe(true)
        }
        for (const [kind, at] of steps) {
          if (kind === 'read') take(pools.checkout(at % 3, true))
          else if (kind === 'write') take(pools.checkout(0, false))
          else if (kind === 'any') take(pools.checkoutAny(nodes.slice(at % 3)))
          else {
            const [one] = held.splice(at % Math.max(1, held.length), 1)
            if (one !== undefined) pools.checkin(one, false)
          }
          await turn()
          check()
        }
        while (held.length > 0) {
          const one = held.shift()
          if (one !== undefined) pools.checkin(one, false)
          await turn()
          check()
        }
        expect(served).toBe(asked)
        for (const node of nodes) expect(pools.waitingAt(node)).toBe(0)
      }),
    )
  })
})
