/** What the pool must know of a connection. It knows no PostgreSQL. */
export interface Pooled {
  /** Requests in flight. */
  readonly depth: number
  readonly isClosed: boolean
  /** Nothing in flight and fit for the next user. */
  readonly isClean: boolean
  /** The connection carries this state; equal states are identical objects. */
  readonly stateKey: object
  /** How near it is to that state, the nearer the higher; below 0: it can't be brought there. */
  nearness(stateKey: object): number
  readonly createdAtMs: number
  idleSinceMs: number
  /** Closes in order. */
  close(): void
}

/** Exclusive use of one connection, or a place among several users' requests on it. */
export type UseMode = 'lease' | 'shared'

/** Somebody who waits for a connection. Exactly one of the two callbacks is called, once. */
export interface Waiter<C extends Pooled> {
  readonly mode: UseMode
  readonly stateKey: object
  onConnection(connection: C): void
  onError(error: Error): void
}

export interface PoolOptions {
  /** Most connections of this pool, connecting ones included. */
  readonly size: number
  /** Most requests in flight on a shared connection before another is opened. */
  readonly sharedDepth: number
  /** A waiter that got no connection in this time gets an error, ms. */
  readonly checkoutTimeoutMs: number
  /** An idle connection is closed after this time, ms; 0 = never. */
  readonly idleTimeoutMs: number
  /** A connection is closed at its first idle moment past this age, ms; 0 = never. */
  readonly maxLifetimeMs: number
}

export interface PoolCounts {
  readonly leased: number
  readonly shared: number
  readonly idle: number
  readonly connecting: number
  readonly waiting: number
  /** Age of the oldest waiter, ms. */
  readonly maxWaitMs: number
}
