/** Plain counters, written where it happens and read by the admin database. */
export interface ClusterCounters {
  readonly readsReplica: number[]
  readonly readsByNode: number[]
  readonly requests: number[]
  readonly errors: number[]
  queries: number
  transactions: number
  reads: number
  writes: number
  retries: number
  /** Requests that wait for a primary, or for the end of a pause, now. */
  held: number
  heldBytes: number
  misroutes: number
  /** How often a node was found to be the primary, the first time included. */
  elections: number
  received: number
  sent: number
  waitMs: number
  queryMs: number
}

/** Counters of a cluster that has done nothing yet. */
export function newCounters(): ClusterCounters {
  return {
    readsReplica: [],
    readsByNode: [],
    requests: [],
    errors: [],
    queries: 0,
    transactions: 0,
    reads: 0,
    writes: 0,
    retries: 0,
    held: 0,
    heldBytes: 0,
    misroutes: 0,
    elections: 0,
    received: 0,
    sent: 0,
    waitMs: 0,
    queryMs: 0,
  }
}
