import { type Claim, mayTake } from './claim.ts'

/** A pool as one of those that share a node's connections. */
export interface RoomUser {
  /** Connections open or opening. */
  readonly open: number
  /** Waiters that are not served yet. */
  readonly waiting: number
  /** Connections in use that are taken for reads beside writes, and for being kept. */
  readonly reads: number
  readonly holds: number
  /** It has an idle connection that nobody waits for. */
  readonly mayYield: boolean
  /** Closes such a connection; false: it has none. */
  yieldIdle(): boolean
  /** There may be room now. */
  retry(): void
}

/**
 * Bounds the connections to one node over all its pools. Room goes to the pool that has least: an
 * idle connection of another pool makes way, and a pool with more than its share gives up what comes
 * back while others wait.
 */
export class NodeRoom {
  /** Most connections; Infinity = no bound. Asked each time, as it may change. */
  readonly #limit: () => number
  readonly #users = new Set<RoomUser>()
  /** Pools that were refused room, in order. */
  #wanting: RoomUser[] = []

  constructor(limit: () => number) {
    this.#limit = limit
  }

  add(user: RoomUser): void {
    this.#users.add(user)
  }

  remove(user: RoomUser): void {
    this.#users.delete(user)
    this.#wanting = this.#wanting.filter((other) => other !== user)
    this.settle()
  }

  /** Somebody waits in a pool that was refused room. */
  get isWanted(): boolean {
    return this.#wanting.some(({ waiting }) => waiting > 0)
  }

  /** May the pool open one more connection? If not, it is told when it may try again. */
  take(user: RoomUser): boolean {
    const limit = this.#limit()
    if (limit === Number.POSITIVE_INFINITY || this.#open < limit) return true
    // Who has most gives first.
    const others = [...this.#users].filter((other) => other !== user)
    others.sort((a, b) => b.open - a.open)
    if (this.#open === limit && others.some((other) => other.yieldIdle())) return true
    if (!this.#wanting.includes(user)) this.#wanting.push(user)
    return false
  }

  /** Would `take` find room, now or by an idle connection that makes way? */
  hasRoom(user: RoomUser): boolean {
    const limit = this.#limit()
    if (limit === Number.POSITIVE_INFINITY || this.#open < limit) return true
    if (this.#open > limit) return false
    for (const other of this.#users) if (other !== user && other.mayYield) return true
    return false
  }

  /** Connections of the node's bound that its other pools have; 0 where nothing is bounded. */
  openBeside(user: RoomUser): number {
    return this.#limit() === Number.POSITIVE_INFINITY ? 0 : this.#open - user.open
  }

  /** May one connection more to the node be taken for this, whichever pool takes it? */
  may(claim: Claim, keptShare: number): boolean {
    const limit = this.#limit()
    if (limit === Number.POSITIVE_INFINITY) return true
    let reads = 0
    let holds = 0
    for (const user of this.#users) {
      reads += user.reads
      holds += user.holds
    }
    return mayTake(claim, { reads, holds }, limit, keptShare)
  }

  /** One of the pools has a connection back: others may have waited for their part of all. */
  gaveBack(user: RoomUser): void {
    if (this.#users.size < 2 || this.#limit() === Number.POSITIVE_INFINITY) return
    for (const other of this.#users) if (other !== user && other.waiting > 0) other.retry()
  }

  /**
   * Must the pool give up a connection? One that was used goes to who has none or fewer; a new one
   * serves first, or two pools would take it from each other for ever.
   */
  isOver(user: RoomUser, isNew: boolean): boolean {
    const limit = this.#limit()
    if (limit === Number.POSITIVE_INFINITY) return false
    if (this.#open > limit) return true
    const others = this.#wanting.filter((other) => other !== user && other.waiting > 0)
    if (others.length === 0) return false
    if (user.waiting === 0) return true
    return !isNew && others.some(({ open }) => open === 0 || open + 1 < user.open)
  }

  /** A connection of one of the pools has gone. */
  settle(): void {
    while (this.#wanting.length > 0 && this.#open < this.#limit()) {
      // Who has least comes first.
      let next = this.#wanting[0]
      for (const user of this.#wanting) if (next === undefined || user.open < next.open) next = user
      this.#wanting = this.#wanting.filter((user) => user !== next)
      next?.retry()
    }
  }

  get #open(): number {
    let open = 0
    for (const user of this.#users) open += user.open
    return open
  }
}
