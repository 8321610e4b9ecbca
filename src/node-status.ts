/** What one node is and has done, for those who run pgsplit inside their program. */
export interface NodeStatus {
  readonly name: string
  readonly role: string
  /**
   * `up`, `down`, `banned`, `draining` or `unknown`; of a replica that answers also `lagging` (beyond
   * `maxLag`) and `fenced` (not on the primary's history).
   */
  readonly state: string
  readonly lagMs: number | null
  /** Requests of clients that the node has answered. */
  readonly requests: number
  /** How many of them were proved reads. */
  readonly reads: number
}
