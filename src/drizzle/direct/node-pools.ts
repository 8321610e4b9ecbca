import type { NodeUse } from '../../core/node-use.ts'
import type { DriverPool } from '../driver-pool.ts'
import { Bag, type InBag } from './bag.ts'

interface Place<Connection> {
  readonly pool: DriverPool<Connection>
  readonly busy: Bag<Held<Connection>>
  readonly waiters: Bag<Waiter>
  isRetired: boolean
  /** Of those in use or asked for: proved reads, where they are bounded. */
  reads: number
  /** Reads that wait for others of their kind to end; in order. */
  readonly bounded: BoundedRead[]
}

/** A read beyond what its kind may have of the pool. */
interface BoundedRead {
  readonly waiter: Waiter
  readonly start: () => void
  readonly timer: NodeJS.Timeout
}

/** Waits for a connection; `fail` ends that. */
interface Waiter extends InBag {
  readonly fail: (error: unknown) => void
  /** It was served elsewhere: what comes for it now is anybody's. */
  isWithdrawn: boolean
}

/** What the pools of a direct door are like. */
export interface NodePoolsOptions<Connection> {
  readonly open: (nodeIndex: number) => DriverPool<Connection>
  readonly size: number
  /** Most connections that proved reads may have of the node's pool. */
  readonly mostReads: (nodeIndex: number) => number
  readonly checkoutTimeoutMs: number
  /** What a read hears that has waited too long for its like. */
  readonly noRoom: (nodeIndex: number, waiting: number) => Error
}

/** A statement's claim on a connection, until it is given back or withdrawn. */
type Taken<Connection> = (error: unknown, held: Held<Connection> | null) => void

/** A connection in use; `NodePools.checkin` takes it back once. */
export interface Held<Connection> extends InBag {
  readonly nodeIndex: number
  readonly connection: Connection
  readonly place: Place<Connection>
  /** It counts among the reads of its place. */
  readonly isRead: boolean
}

/** The application's connections to all nodes: one pool of the driver's each, made when needed. */
export class NodePools<Connection> implements NodeUse {
  readonly #options: NodePoolsOptions<Connection>
  readonly #places = new Map<number, Place<Connection>>()
  /** Pools that are being closed. */
  readonly #ending = new Set<Promise<void>>()

  constructor(options: NodePoolsOptions<Connection>) {
    this.#options = options
  }

  /** Would it get a connection of the node without waiting for others? */
  isFree(nodeIndex: number, isRead: boolean): boolean {
    const place = this.#places.get(nodeIndex)
    if (place === undefined) return true
    if (isRead && place.reads >= this.#options.mostReads(nodeIndex)) return false
    const { total, idle, waiting } = place.pool.counts
    return total - idle + waiting < this.#options.size
  }

  /** Rejects when no connection can be had: nothing was sent then. */
  checkout(nodeIndex: number, isRead: boolean): Promise<Held<Connection>> {
    return new Promise((resolve, reject) => {
      this.take(nodeIndex, isRead, (error, held) => (held === null ? reject(error) : resolve(held)))
    })
  }

  /**
   * The same at whichever of the nodes has one first; the others' waiters are withdrawn. Rejects with
   * the last node's error when none has.
   */
  checkoutAny(nodeIndexes: readonly number[]): Promise<Held<Connection>> {
    return new Promise((resolve, reject) => {
      const withdraw: (() => void)[] = []
      let left = nodeIndexes.length
      let isServed = false
      for (const nodeIndex of nodeIndexes) {
        if (isServed) return
        withdraw.push(
          this.take(nodeIndex, true, (error, held) => {
            left--
            if (held !== null) {
              isServed = true
              for (const leave of withdraw) leave()
              resolve(held)
            } else if (left === 0) reject(error)
          }),
        )
      }
    })
  }

  /**
   * The same at one node with a callback, which is called once, unless the function that it returns
   * is called before.
   */
  take(nodeIndex: number, isRead: boolean, done: Taken<Connection>): () => void {
    const place = this.#place(nodeIndex)
    const waiter: Waiter = { at: -1, fail: (error) => done(error, null), isWithdrawn: false }
    place.waiters.add(waiter)
    if (isRead && place.reads >= this.#options.mostReads(nodeIndex)) {
      this.#bound(nodeIndex, place, waiter, done)
    } else this.#start(nodeIndex, place, waiter, isRead, done)
    return () => {
      if (place.waiters.delete(waiter)) waiter.isWithdrawn = true
    }
  }

  #start(
    nodeIndex: number,
    place: Place<Connection>,
    waiter: Waiter,
    isRead: boolean,
    done: Taken<Connection>,
  ): void {
    if (isRead) place.reads++
    place.pool.checkout((error, connection) => {
      const isAwaited = place.waiters.delete(waiter)
      if (connection !== null && isAwaited) {
        const held: Held<Connection> = { at: -1, nodeIndex, connection, place, isRead }
        place.busy.add(held)
        done(null, held)
        return
      }
      if (isRead) this.#endRead(place)
      if (connection !== null) place.pool.checkin(connection, !waiter.isWithdrawn)
      else if (isAwaited) waiter.fail(error)
    })
  }

  #bound(
    nodeIndex: number,
    place: Place<Connection>,
    waiter: Waiter,
    done: Taken<Connection>,
  ): void {
    const read: BoundedRead = {
      waiter,
      start: () => this.#start(nodeIndex, place, waiter, true, done),
      timer: setTimeout(() => {
        const at = place.bounded.indexOf(read)
        if (at >= 0) place.bounded.splice(at, 1)
        if (!place.waiters.delete(waiter)) return
        waiter.fail(this.#options.noRoom(nodeIndex, place.bounded.length))
      }, this.#options.checkoutTimeoutMs),
    }
    read.timer.unref()
    place.bounded.push(read)
  }

  /** One read less: the next one that waits for that begins. */
  #endRead(place: Place<Connection>): void {
    place.reads--
    for (;;) {
      const next = place.bounded.shift()
      if (next === undefined) return
      clearTimeout(next.timer)
      // Who was withdrawn, or failed with its node, is in the bag no more.
      if (next.waiter.at < 0) continue
      next.start()
      return
    }
  }

  /** `isSpoiled`: the connection has state that no other user may meet. */
  checkin(held: Held<Connection>, isSpoiled: boolean): void {
    const { connection, place } = held
    if (!place.busy.delete(held)) return
    place.pool.checkin(connection, isSpoiled || place.isRetired)
    if (held.isRead) this.#endRead(place)
  }

  counts(nodeIndex: number): DriverPool<Connection>['counts'] {
    const place = this.#places.get(nodeIndex)
    if (place === undefined) return { total: 0, idle: 0, waiting: 0 }
    const { total, idle, waiting } = place.pool.counts
    return { total, idle, waiting: waiting + place.bounded.length }
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

  leaveSilentReads(nodeIndex: number): void {
    const place = this.#places.get(nodeIndex)
    for (const { connection, isRead } of place?.busy.all() ?? []) {
      if (isRead) place?.pool.destroy(connection)
    }
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
        pool: this.#options.open(nodeIndex),
        busy: new Bag(),
        waiters: new Bag(),
        isRetired: false,
        reads: 0,
        bounded: [],
      }
      this.#places.set(nodeIndex, place)
    }
    return place
  }
}
