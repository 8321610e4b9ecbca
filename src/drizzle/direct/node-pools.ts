import type { NodeUse } from '../../core/node-use.ts'
import type { DriverPool } from '../driver-pool.ts'
import { Bag, type InBag } from './bag.ts'

interface Place<Connection> {
  readonly pool: DriverPool<Connection>
  readonly busy: Bag<Held<Connection>>
  readonly waiters: Bag<Waiter>
  isRetired: boolean
}

/** Waits for a connection; `fail` ends that. */
interface Waiter extends InBag {
  readonly fail: (error: unknown) => void
}

/** A connection in use; `NodePools.checkin` takes it back once. */
export interface Held<Connection> extends InBag {
  readonly nodeIndex: number
  readonly connection: Connection
  readonly place: Place<Connection>
}

/** The application's connections to all nodes: one pool of the driver's each, made when needed. */
export class NodePools<Connection> implements NodeUse {
  readonly #open: (nodeIndex: number) => DriverPool<Connection>
  readonly #places = new Map<number, Place<Connection>>()
  /** Pools that are being closed. */
  readonly #ending = new Set<Promise<void>>()

  constructor(open: (nodeIndex: number) => DriverPool<Connection>) {
    this.#open = open
  }

  /** Rejects when no connection can be had: nothing was sent then. */
  checkout(nodeIndex: number): Promise<Held<Connection>> {
    return new Promise((resolve, reject) => {
      this.take(nodeIndex, (error, held) => (held === null ? reject(error) : resolve(held)))
    })
  }

  /** The same with a callback, which is called once. */
  take(nodeIndex: number, done: (error: unknown, held: Held<Connection> | null) => void): void {
    const place = this.#place(nodeIndex)
    const waiter: Waiter = { at: -1, fail: (error) => done(error, null) }
    place.waiters.add(waiter)
    place.pool.checkout((error, connection) => {
      const isAwaited = place.waiters.delete(waiter)
      if (connection === null) {
        if (isAwaited) waiter.fail(error)
        return
      }
      if (!isAwaited) {
        place.pool.checkin(connection, true)
        return
      }
      const held: Held<Connection> = { at: -1, nodeIndex, connection, place }
      place.busy.add(held)
      done(null, held)
    })
  }

  /** `isSpoiled`: the connection has state that no other user may meet. */
  checkin(held: Held<Connection>, isSpoiled: boolean): void {
    const { connection, place } = held
    if (place.busy.delete(held)) place.pool.checkin(connection, isSpoiled || place.isRetired)
  }

  counts(nodeIndex: number): DriverPool<Connection>['counts'] {
    return this.#places.get(nodeIndex)?.pool.counts ?? { total: 0, idle: 0, waiting: 0 }
  }

  retire(nodeIndex: number): void {
    this.#replace(nodeIndex)
  }

  abandon(nodeIndex: number, error: Error): void {
    this.leave(nodeIndex, error)
  }

  isEmpty(nodeIndex: number): boolean {
    const place = this.#places.get(nodeIndex)
    return place === undefined || (place.busy.size === 0 && place.waiters.size === 0)
  }

  forget(nodeIndex: number): void {
    this.#replace(nodeIndex)
  }

  leave(nodeIndex: number, error: Error): void {
    const place = this.#places.get(nodeIndex)
    if (place === undefined) return
    this.#replace(nodeIndex)
    for (const waiter of place.waiters.all()) {
      place.waiters.delete(waiter)
      waiter.fail(error)
    }
    for (const { connection } of place.busy.all()) place.pool.destroy(connection)
  }

  leaveSilent(nodeIndex: number): void {
    this.leave(nodeIndex, new Error('the node has stopped answering'))
  }

  waitingAt(nodeIndex: number): number {
    return this.#places.get(nodeIndex)?.waiters.size ?? 0
  }

  /** Resolves when all connections are closed: those in use when they are given back. */
  async end(): Promise<void> {
    for (const nodeIndex of [...this.#places.keys()]) this.#replace(nodeIndex)
    await Promise.all(this.#ending)
  }

  /** The next connection comes from a new pool; the old one ends when it is not used any more. */
  #replace(nodeIndex: number): void {
    const place = this.#places.get(nodeIndex)
    if (place === undefined) return
    this.#places.delete(nodeIndex)
    place.isRetired = true
    const ending: Promise<void> = place.pool
      .end()
      .catch(() => {})
      .finally(() => this.#ending.delete(ending))
    this.#ending.add(ending)
  }

  #place(nodeIndex: number): Place<Connection> {
    let place = this.#places.get(nodeIndex)
    if (place === undefined) {
      place = {
        pool: this.#open(nodeIndex),
        busy: new Bag(),
        waiters: new Bag(),
        isRetired: false,
      }
      this.#places.set(nodeIndex, place)
    }
    return place
  }
}
