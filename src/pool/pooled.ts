import type { Claim } from './claim.ts'

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
  /** What it is taken for now, as the pool notes it; null: it is idle. */
  claim: Claim | null
  /** Closes in order. */
  close(): void
}

/** Exclusive use of one connection, or a place among several users' requests on it. */
export type UseMode = 'lease' | 'shared'

/** Somebody who waits for a connection. Exactly one of the callbacks is called, once. */
export interface Waiter<C extends Pooled> {
  readonly mode: UseMode
  readonly stateKey: object
  readonly claim: Claim
  onConnection(connection: C): void
  onError(error: Error): void
  /** In place of `onError` when its time is up. */
  onTimeout?(waitedMs: number): void
}

export interface PoolOptions {
  /** Most connections of this pool, connecting ones included. */
  readonly size: number
  /** Part of them that is kept, 0 to below 1; see `claim.ts`. */
  readonly keptShare: number
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
  /** Connections in use that are taken for reads beside writes, and for being kept. */
  readonly reads: number
  readonly holds: number
  readonly leased: number
  readonly shared: number
  readonly idle: number
  readonly connecting: number
  readonly waiting: number
  /** Age of the oldest waiter, ms. */
  readonly maxWaitMs: number
}
