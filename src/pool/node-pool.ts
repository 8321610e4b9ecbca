import type { NodeRoom, RoomUser } from './node-room.ts'
import type { PoolCounts, Pooled, PoolOptions, UseMode, Waiter } from './pooled.ts'

/** Pause before a node that was full is asked for another connection, ms. */
const retryOpenMs = 250

interface Queued<C extends Pooled> {
  readonly waiter: Waiter<C>
  readonly sinceMs: number
}

export interface NodePoolHooks<C extends Pooled> {
  /** Opens one connection; the pool never opens more than `size` at a time. */
  open(): Promise<C>
  /** What a waiter gets that waited too long; the pool fills in the numbers. */
  timeoutError(counts: PoolCounts, waitedMs: number): Error
  /** The node is well but takes no further connection now: waiters may wait for those there are. */
  isFull(error: Error): boolean
  nowMs(): number
}

/**
 * The connections to one node as one user to one database. A connection is leased (one user), shared
 * (pipelined requests of several) or idle. Waiters are served first come, first served.
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
  #queue: Queued<C>[] = []
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
    return this.#queue.length
  }

  /** Somebody waits for a connection, here or in another pool of the node that gets no room. */
  get isWanted(): boolean {
    return this.#queue.length > 0 || this.#room?.isWanted === true
  }

  yieldIdle(): boolean {
    const idle = this.#queue.length > 0 ? undefined : this.#idle.shift()
    if (idle === undefined) return false
    this.#connections.delete(idle)
    idle.close()
    return true
  }

  retry(): void {
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
  take(mode: UseMode, stateKey: object): C | null {
    // Who waits longer comes first.
    if (this.#queue.length > 0) return null
    return this.#find(mode, stateKey)
  }

  /** Leases this very connection if it is idle and fits; false: it is in use, gone, or does not. */
  takeThis(connection: C, stateKey: object): boolean {
    const index = this.#idle.indexOf(connection)
    if (index < 0 || connection.nearness(stateKey) < 0) return false
    this.#idle.splice(index, 1)
    this.#leased.add(connection)
    return true
  }

  #find(mode: UseMode, stateKey: object): C | null {
    if (mode === 'shared') {
      const depth = this.options.sharedDepth
      for (let i = 0; i < this.#shared.length; i++) {
        const connection = this.#shared[i] as C
        if (connection.depth >= depth || connection.stateKey !== stateKey) continue
        if (connection.createdAtMs >= this.#recycledAtMs) return connection
      }
    }
    const idle = this.#takeIdle(stateKey)
    if (idle === null) return null
    if (mode === 'shared' && idle.stateKey === stateKey) this.#shared.push(idle)
    else this.#leased.add(idle)
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
    this.#queue.push({ waiter, sinceMs: this.#hooks.nowMs() })
    this.#openMore()
    this.#armTimer()
  }

  /** Takes a waiter out again, for a client that went away. */
  forget(waiter: Waiter<C>): void {
    const index = this.#queue.findIndex((queued) => queued.waiter === waiter)
    if (index >= 0) this.#queue.splice(index, 1)
  }

  /**
   * Gives a lease back. A connection that is not clean is closed, never handed on. Throws if it was
   * not leased: a second release would hand one connection to two clients.
   */
  release(connection: C): void {
    if (!this.#leased.delete(connection)) throw new Error('connection released twice')
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
    if (this.#queue.length === 0) return
    const first = this.#queue[0] as Queued<C>
    if (first.waiter.mode !== 'shared' || first.waiter.stateKey !== connection.stateKey) return
    this.#queue.shift()
    first.waiter.onConnection(connection)
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
    this.#leased.delete(connection)
    this.#stalled.delete(connection)
    const shared = this.#shared.indexOf(connection)
    if (shared >= 0) this.#shared.splice(shared, 1)
    const idle = this.#idle.indexOf(connection)
    if (idle >= 0) this.#idle.splice(idle, 1)
    this.#room?.settle()
    this.#openMore()
  }

  #settle(connection: C, isNew = false): void {
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
      this.#openMore()
      return
    }
    connection.idleSinceMs = nowMs
    this.#idle.push(connection)
    this.#serve()
    if (this.#queue.length > 0) this.#openMore()
  }

  #serve(): void {
    while (this.#queue.length > 0) {
      const { waiter } = this.#queue[0] as Queued<C>
      const connection = this.#find(waiter.mode, waiter.stateKey)
      if (connection === null) return
      this.#queue.shift()
      waiter.onConnection(connection)
    }
  }

  #openMore(): void {
    while (
      !this.#isClosed &&
      this.#retryTimer === null &&
      this.#connecting < this.#queue.length &&
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
    const next = this.#queue[this.#connecting] ?? (this.#queue[0] as Queued<C>)
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
    if (this.#queue.length > 0) this.#replaceUnfit()
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null
      this.#openMore()
    }, retryOpenMs)
    this.#retryTimer.unref()
  }

  /** A node that can't be reached fails everybody who waits for it: they may go elsewhere. */
  failWaiters(error: Error): void {
    const queue = this.#queue
    this.#queue = []
    for (const { waiter } of queue) waiter.onError(error)
  }

  #armTimer(): void {
    if (this.#timer !== null) return
    const first = this.#queue[0]
    if (first === undefined) return
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
    while (this.#queue.length > 0) {
      const first = this.#queue[0] as Queued<C>
      const waited = now - first.sinceMs
      if (waited < this.options.checkoutTimeoutMs) return
      const error = this.#hooks.timeoutError(this.counts(), waited)
      this.#queue.shift()
      first.waiter.onError(error)
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
    this.#openMore()
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
    const first = this.#queue[0]
    return {
      leased: this.#leased.size,
      shared: this.#shared.length,
      idle: this.#idle.length,
      connecting: this.#connecting,
      waiting: this.#queue.length,
      maxWaitMs: first === undefined ? 0 : this.#hooks.nowMs() - first.sinceMs,
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
