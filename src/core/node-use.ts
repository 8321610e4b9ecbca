/** Whoever has connections to the nodes of a cluster, and must hear what becomes of them. */
export interface NodeUse {
  /** The node leaves: no connection there is kept beyond its present use. */
  retire(nodeIndex: number): void
  /** The node's time is up: who still uses it is told. */
  abandon(nodeIndex: number, error: Error): void
  /** Whether nothing is at the node or on its way there. */
  isEmpty(nodeIndex: number): boolean
  /** The node has left, and its index may be given to another one. */
  forget(nodeIndex: number): void
  /** The node is the primary no more: nothing of it is used on. */
  leave(nodeIndex: number, error: Error): void
  /** The replica has stopped answering: what waits for it runs elsewhere, or is told. */
  leaveSilent(nodeIndex: number): void
  /** The primary has stopped answering: proved reads that wait for it run elsewhere, if they can. */
  leaveSilentReads(nodeIndex: number): void
  /** How many requests wait for a connection to the node. */
  waitingAt(nodeIndex: number): number
}
