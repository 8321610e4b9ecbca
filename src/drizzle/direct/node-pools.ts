import type { NodeUse } from '../../core/node-use.ts'
import type { DriverPool } from '../driver-pool.ts'

interface Place<Connection> {
  readonly pool: DriverPool<Connection>
  readonly busy: Set<Connection>
  /** Those that wait for a connection, each with what ends its wait. */
  readonly waiters: Set<(error: Error) => void>
  isRetired: boolean
}

/** A connection in use; `NodePools.checkin` takes it back once. */
export interface Held<Connection> {
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

  /**
   * Rejects when no connection can be had, or goes on with `otherwise`: nothing was sent then.
   */
  checkout(
    nodeIndex: number,
    otherwise?: (error: unknown) => Promise<Held<Connection>>,
  ): Promise<Held<Connection>> {
    const place = this.#place(nodeIndex)
    return new Promise((resolve, reject) => {
      let isOver = false
      const fail = (error: unknown): void => {
        isOver = true
        place.waiters.delete(fail)
        if (otherwise === undefined) reject(error)
        else resolve(otherwise(error))
      }
      place.waiters.add(fail)
      place.pool.checkout((error, connection) => {
        if (connection === null) {
          if (!isOver) fail(error)
        } else if (isOver) {
          // Nobody waits for it any more.
          place.pool.checkin(connection, true)
        } else {
          place.waiters.delete(fail)
          place.busy.add(connection)
          resolve({ nodeIndex, connection, place })
        }
      })
    })
  }

  /** `isSpoiled`: the connection has state that no other user may meet. */
  checkin({ connection, place }: Held<Connection>, isSpoiled: boolean): void {
    if (place.busy.delete(connection)) place.pool.checkin(connection, isSpoiled || place.isRetired)
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
    for (const fail of [...place.waiters]) fail(error)
    for (const connection of [...place.busy]) place.pool.destroy(connection)
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
        busy: new Set(),
        waiters: new Set(),
        isRetired: false,
      }
      this.#places.set(nodeIndex, place)
    }
    return place
  }
}
