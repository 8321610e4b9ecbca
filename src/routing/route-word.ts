/**
 * Why a request went where it went, as one of a few words for those who count; the clause for people
 * is the route's `reason`.
 */
export type RouteWord =
  /** Proved to read only. */
  | 'read'
  /** … and in, or at the head of, a READ ONLY transaction. */
  | 'read_only_transaction'
  /** … and in, or at the head of, a transaction that may write and has not yet. */
  | 'optimistic_transaction'
  /** A read that may run on a replica, but none may serve it now. */
  | 'no_replica'
  /** A read that may run on a replica, but none has what its session has written or seen. */
  | 'behind'
  | 'write'
  /** A query that is not proved to read only. */
  | 'unproved'
  /** SET, SHOW, BEGIN … */
  | 'control'
  /** It keeps its session to its server connection. */
  | 'pins'
  /** A replica has refused such a statement. */
  | 'refused'
  /** In a transaction that may write. */
  | 'transaction'
  /** Its session keeps its server connection: it is pinned, or has all of it (`pool.mode: session`). */
  | 'pinned'
  /** Asked for by a hint or a setting. */
  | 'asked'
  /** Its isolation level, or DEFERRABLE. */
  | 'isolation'
  | 'cursor'
  /** It went nowhere else: pgsplit's own business, or a failure. */
  | 'other'
