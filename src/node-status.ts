/** What one node is and has done, for those who run pgsplit inside their program. */
export interface NodeStatus {
  readonly name: string
  readonly role: string
  readonly state: string
  readonly lagMs: number | null
  /** Requests of clients that the node has answered. */
  readonly requests: number
  /** How many of them were proved reads. */
  readonly reads: number
}
