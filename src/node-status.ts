/** What one node is and has done, for those who run pgsplit inside their program. */
export interface NodeStatus {
  readonly name: string
  readonly role: string
  /**
   * `up`, `down`, `banned`, `draining` or `unknown`; of a node that answers also `fenced` (its claim to
   * be primary, or to this cluster, is not believed), of a replica `lagging` (beyond `maxLag`) and
   * `strayed` (it follows another history than the primary's, such as a former primary's).
   */
  readonly state: string
  readonly lagMs: number | null
  /** Requests of clients that the node has answered. */
  readonly requests: number
  /** How many of them were proved reads. */
  readonly reads: number
}
