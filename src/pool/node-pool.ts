import { type Claim, mayTake, mostHolds, mostReads } from './claim.ts'
import type { NodeRoom, RoomUser } from './node-room.ts'
import type { PoolCounts, Pooled, PoolOptions, UseMode, Waiter } from './pooled.ts'
import { WaitingLine } from './waiting-line.ts'

/** Pause before a node that was full is asked for another connection, ms. */
const retryOpenMs = 250

export interface NodePoolHooks<C extends Pooled> {
  /** Opens one connection; the pool never opens more than `size` at a time. */
  open(): Promise<C>
  /** What a waiter gets that waited too long; the pool fills in the numbers. */
  timeoutError(counts: PoolCounts, waitedMs: number): Error
  /** The node is well but takes no further connection now: waiters may wait for those there are. */
  isFull(error: Error): boolean
  /** One lease more or less. */
  onLease?(change: 1 | -1): void
  nowMs(): number
}

/**
 * The connections to one node as one user to one database. A connection is leased (one user), shared
 * (pipelined requests of several) or idle. Waiters are served first come, first served, but for those
 * whose claim has its part of the connections already.
 */
export class NodePool<C extends Pooled> implements RoomUser {
  options: PoolOptions
  #hooks: NodePoolHooks<C>
  readonly #room: NodeRoom | null
  #connections = new Set<C>()
  #leased = new Set<C>()
  /** In order of opening, so that the first ones are filled first and the last ones may go idle. */
  #shared: C[] = []
  #idle: C[] = []
  /** Shared once, slow now: no new users until it is quiet. */
  #stalled = new Set<C>()
  #connecting = 0
  readonly #line = new WaitingLine<C>()
  reads = 0
  holds = 0
  #timer: NodeJS.Timeout | null = null
  /** Runs while a full node is not asked for more connections. */
  #retryTimer: NodeJS.Timeout | null = null
  #isClosed = false
  /** Connections from before this time are not used again. */
  #recycledAtMs = 0

  /** `room`: what it shares with the other pools of its node. */
  constructor(options: PoolOptions, hooks: NodePoolHooks<C>, room: NodeRoom | null = null) {
    this.options = options
    this.#hooks = hooks
    this.#room = room
    room?.add(this)
  }

  get open(): number {
    return this.#connections.size + this.#connecting
  }

  get waiting(): number {
    return this.#line.size
  }

  /** Somebody waits for a connection, here or in another pool of the node that gets no room. */
  get isWanted(): boolean {
    return this.#line.size > 0 || this.#room?.isWanted === true
  }

  get mayYield(): boolean {
    return this.#line.size === 0 && this.#idle.length > 0
  }

  yieldIdle(): boolean {
    const idle = this.#line.size > 0 ? undefined : this.#idle.shift()
    if (idle === undefined) return false
    this.#connections.delete(idle)
    idle.close()
    return true
  }

  retry(): void {
    this.#serve()
    this.#openMore()
  }

  get connections(): ReadonlySet<C> {
    return this.#connections
  }

  isLeased(connection: C): boolean {
    return this.#leased.has(connection)
  }

  /**
   * A connection at once, or null: then call `wait`. A shared place is given on a connection that
   * has the caller's state already; an idle connection of another state is given as a lease only.
   */
  take(mode: UseMode, stateKey: object, claim: Claim = 'work'): C | null {
    // Who waits longer comes first.
    if (this.#line.size > 0 && this.#line.at(0, this.#may) !== null) return null
    return this.#find(mode, stateKey, claim)
  }

  /** Leases this very connection if it is idle and fits; false: it is in use, gone, or does not. */
  takeThis(connection: C, stateKey: object, claim: Claim = 'work'): boolean {
    const index = this.#idle.indexOf(connection)
    if (index < 0 || connection.nearness(stateKey) < 0 || !this.#may(claim)) return false
    this.#idle.splice(index, 1)
    this.#lease(connection, claim)
    return true
  }

  get isOpening(): boolean {
    return this.#connecting > 0
  }

  /** Would a waiter with this claim be served by a connection that is opened for it? */
  opensFor(claim: Claim): boolean {
    if (this.#isClosed || this.#retryTimer !== null || this.open >= this.options.size) return false
    if (this.#connecting < this.#servable || this.#room?.hasRoom(this) === false) return false
    const { reads, holds } = this
    const before = this.#line.count(claim)
    const taken = { reads: reads + before, holds: holds + (claim === 'hold' ? before : 0) }
    return mayTake(claim, taken, this.options.size, this.options.keptShare) && this.#may(claim)
  }

  /** What the leased connection is kept for has changed. */
  claimAs(connection: C, claim: Claim): void {
    if (connection.claim === claim || !this.#leased.has(connection)) return
    this.#unclaim(connection)
    this.#claim(connection, claim)
    this.#retryAll()
  }

  /** May one connection more be taken for this? */
  readonly #may = (claim: Claim): boolean => {
    if (claim === 'work') return true
    const { size, keptShare } = this.options
    return mayTake(claim, this, size, keptShare) && this.#room?.may(claim, keptShare) !== false
  }

  /** Waiters that could be served if there were connections. */
  get #servable(): number {
    const line = this.#line
    const { size, keptShare } = this.options
    const { reads, holds } = this
    const forReads = this.#may('read') ? mostReads(size, holds, keptShare) - reads : 0
    const forHolds = this.#may('hold') ? mostHolds(size, keptShare) - holds : 0
    return (
      line.count('work') +
      Math.min(line.count('read'), Math.max(0, forReads)) +
      Math.min(line.count('hold'), Math.max(0, forHolds))
    )
  }

  #claim(connection: C, claim: Claim): void {
    connection.claim = claim
    if (claim === 'read') this.reads++
    else if (claim === 'hold') this.holds++
  }

  #unclaim(connection: C): void {
    if (connection.claim === 'read') this.reads--
    else if (connection.claim === 'hold') this.holds--
    connection.claim = null
  }

  #lease(connection: C, claim: Claim): void {
    this.#leased.add(connection)
    this.#claim(connection, claim)
    this.#hooks.onLease?.(1)
  }

  #unlease(connection: C): boolean {
    if (!this.#leased.delete(connection)) return false
    this.#hooks.onLease?.(-1)
    return true
  }

  #find(mode: UseMode, stateKey: object, claim: Claim): C | null {
    if (mode === 'shared') {
      const depth = this.options.sharedDepth
      for (let i = 0; i < this.#shared.length; i++) {
        const connection = this.#shared[i] as C
        if (connection.depth >= depth || connection.stateKey !== stateKey) continue
        if (connection.createdAtMs >= this.#recycledAtMs) return connection
      }
    }
    if (claim !== 'work' && !this.#may(claim)) return null
    const idle = this.#takeIdle(stateKey)
    if (idle === null) return null
    if (mode === 'shared' && idle.stateKey === stateKey) {
      this.#shared.push(idle)
      this.#claim(idle, claim)
    } else this.#lease(idle, claim)
    return idle
  }

  #takeIdle(stateKey: object): C | null {
    const idle = this.#idle
    for (let i = idle.length - 1; i >= 0; i--) {
      const connection = idle[i] as C
      if (connection.stateKey === stateKey) {
        removeAt(idle, i)
        return connection
      }
    }
    let best = -1
    let nearest = -1
    for (let i = idle.length - 1; i >= 0; i--) {
      const nearness = (idle[i] as C).nearness(stateKey)
      if (nearness <= nearest) continue
      best = i
      nearest = nearness
    }
    return best < 0 ? null : (idle.splice(best, 1)[0] ?? null)
  }

  /** Queues for a connection, opening one if the size allows. */
  wait(waiter: Waiter<C>): void {
    if (this.#isClosed) {
      waiter.onError(new Error('the pool is closed'))
      return
    }
    this.#line.push(waiter, this.#hooks.nowMs())
    this.#openMore()
    this.#armTimer()
  }

  /** Takes a waiter out again: its client went away, or it was served elsewhere. */
  forget(waiter: Waiter<C>): void {
    this.#line.delete(waiter)
  }

  /**
   * Gives a lease back. A connection that is not clean is closed, never handed on. Throws if it was
   * not leased: a second release would hand one connection to two clients.
   */
  release(connection: C): void {
    if (!this.#unlease(connection)) throw new Error('connection released twice')
    this.#settle(connection)
  }

  /** Tells that a shared connection has nothing in flight any more. */
  quiet(connection: C): void {
    const index = this.#shared.indexOf(connection)
    if (index >= 0) removeAt(this.#shared, index)
    else if (!this.#stalled.delete(connection)) return
    this.#settle(connection)
  }

  /** A shared connection had room again while others wait. */
  roomy(connection: C): void {
    if (this.#line.size === 0) return
    const waiter = this.#line.at(0, this.#may)?.waiter
    if (waiter?.mode !== 'shared' || waiter.stateKey !== connection.stateKey) return
    this.#line.delete(waiter)
    waiter.onConnection(connection)
  }

  /** Nobody else is put on a shared connection whose head is slow; it goes idle when it is quiet. */
  stall(connection: C): void {
    const index = this.#shared.indexOf(connection)
    if (index >= 0) {
      this.#shared.splice(index, 1)
      this.#stalled.add(connection)
    }
  }

  /** The connection is gone. */
  remove(connection: C): void {
    this.#connections.delete(connection)
    this.#unlease(connection)
    this.#unclaim(connection)
    this.#stalled.delete(connection)
    const shared = this.#shared.indexOf(connection)
    if (shared >= 0) this.#shared.splice(shared, 1)
    const idle = this.#idle.indexOf(connection)
    if (idle >= 0) this.#idle.splice(idle, 1)
    this.#room?.settle()
    this.#retryAll()
  }

  #settle(connection: C, isNew = false): void {
    const wasBounded = connection.claim !== null && connection.claim !== 'work'
    this.#unclaim(connection)
    if (!this.#connections.has(connection)) return
    const nowMs = this.#hooks.nowMs()
    const age = nowMs - connection.createdAtMs
    const isOld =
      (this.options.maxLifetimeMs > 0 && age > this.options.maxLifetimeMs) ||
      connection.createdAtMs < this.#recycledAtMs
    const isTooMany =
      this.#connections.size > this.options.size || this.#room?.isOver(this, isNew) === true
    if (this.#isClosed || isOld || isTooMany || !connection.isClean) {
      this.#connections.delete(connection)
      connection.close()
      this.#room?.settle()
      this.#retryAll()
      return
    }
    connection.idleSinceMs = nowMs
    this.#idle.push(connection)
    this.#serve()
    if (this.#line.size > 0) this.#openMore()
    if (wasBounded) this.#room?.gaveBack(this)
  }

  /** There may be room for some who wait, here or where the node's bound kept them. */
  #retryAll(): void {
    if (this.#line.size > 0) this.retry()
    this.#room?.gaveBack(this)
  }

  #serve(): void {
    while (this.#line.size > 0) {
      const waiter = this.#line.at(0, this.#may)?.waiter
      if (waiter === undefined) return
      const connection = this.#find(waiter.mode, waiter.stateKey, waiter.claim)
      if (connection === null) return
      this.#line.delete(waiter)
      waiter.onConnection(connection)
    }
  }

  #openMore(): void {
    while (
      !this.#isClosed &&
      this.#retryTimer === null &&
      this.#line.size > 0 &&
      this.#connecting < this.#servable &&
      (this.#hasRoom() || this.#replaceUnfit())
    ) {
      this.#connecting++
      this.#hooks.open().then(
        (connection) => {
          this.#connecting--
          this.#connections.add(connection)
          if (connection.isClosed) this.remove(connection)
          else this.#settle(connection, true)
        },
        (error: unknown) => {
          this.#connecting--
          this.#openFailed(error instanceof Error ? error : new Error(String(error)))
        },
      )
    }
  }

  #hasRoom(): boolean {
    return this.open < this.options.size && this.#room?.take(this) !== false
  }

  /** Closes an idle connection that can't serve the next waiter, to open another in its place. */
  #replaceUnfit(): boolean {
    const next = this.#line.at(this.#connecting, this.#may) ?? this.#line.at(0, this.#may)
    if (next === null) return false
    const { stateKey } = next.waiter
    if (this.#idle.some((connection) => connection.nearness(stateKey) >= 0)) return false
    const unfit = this.#idle.shift()
    if (unfit === undefined) return false
    this.#connections.delete(unfit)
    unfit.close()
    return true
  }

  #openFailed(error: Error): void {
    this.#room?.settle()
    if (this.#connections.size === 0 || !this.#hooks.isFull(error)) {
      this.failWaiters(error)
      return
    }
    if (this.#line.size > 0) this.#replaceUnfit()
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null
      this.#openMore()
    }, retryOpenMs)
    this.#retryTimer.unref()
  }

  /** A node that can't be reached fails everybody who waits for it: they may go elsewhere. */
  failWaiters(error: Error): void {
    for (const { waiter } of this.#line.takeAll()) waiter.onError(error)
  }

  #armTimer(): void {
    if (this.#timer !== null) return
    const first = this.#line.oldest
    if (first === null) return
    const left = first.sinceMs + this.options.checkoutTimeoutMs - this.#hooks.nowMs()
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        this.#expire()
        this.#armTimer()
      },
      Math.max(1, left),
    )
    this.#timer.unref()
  }

  #expire(): void {
    const now = this.#hooks.nowMs()
    for (;;) {
      const first = this.#line.oldest
      if (first === null) return
      const { waiter, sinceMs } = first
      const waited = now - sinceMs
      if (waited < this.options.checkoutTimeoutMs) return
      if (waiter.onTimeout !== undefined) {
        this.#line.delete(waiter)
        waiter.onTimeout(waited)
      } else {
        const error = this.#hooks.timeoutError(this.counts(), waited)
        this.#line.delete(waiter)
        waiter.onError(error)
      }
    }
  }

  /** Closes idle connections that are past their time; call it now and then. */
  prune(): void {
    const { idleTimeoutMs, maxLifetimeMs } = this.options
    const now = this.#hooks.nowMs()
    for (const connection of [...this.#idle]) {
      const isIdleTooLong = idleTimeoutMs > 0 && now - connection.idleSinceMs > idleTimeoutMs
      const isOld = maxLifetimeMs > 0 && now - connection.createdAtMs > maxLifetimeMs
      if (isIdleTooLong || isOld) this.#drop(connection)
    }
  }

  /** Other sizes and time-outs. What is in use beyond a smaller size is closed when it comes back. */
  reconfigure(options: PoolOptions): void {
    this.options = options
    for (const connection of [...this.#idle]) {
      if (this.#connections.size > options.size) this.#drop(connection)
    }
    this.retry()
  }

  /** Closes every idle connection, and those in use when they come back, by making them old. */
  recycle(): void {
    this.#recycledAtMs = this.#hooks.nowMs()
    for (const connection of [...this.#idle]) this.#drop(connection)
  }

  #drop(connection: C): void {
    this.remove(connection)
    connection.close()
  }

  counts(): PoolCounts {
    const first = this.#line.oldest
    return {
      reads: this.reads,
      holds: this.holds,
      leased: this.#leased.size,
      shared: this.#shared.length,
      idle: this.#idle.length,
      connecting: this.#connecting,
      waiting: this.#line.size,
      maxWaitMs: first === null ? 0 : this.#hooks.nowMs() - first.sinceMs,
    }
  }

  /** Fails the waiters and closes idle connections; those in use are closed when they come back. */
  close(error: Error): void {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer)
    this.#timer = null
    this.failWaiters(error)
    for (const connection of [...this.#idle]) this.#drop(connection)
    // Its connections in use still count as they come back; it opens none.
    if (this.open === 0) this.#room?.remove(this)
  }
}

/** `splice` for one entry, without an array for what it takes out. */
function removeAt(list: unknown[], index: number): void {
  for (let i = index + 1; i < list.length; i++) list[i - 1] = list[i]
  list.pop()
}
