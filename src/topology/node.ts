import type { Lsn } from './lsn.ts'

/** What the configuration says of one PostgreSQL instance. It never says who is primary. */
export interface NodeSpec {
  /** Unique name for people: `primary`, `r1`, … It stays the node's name after a promotion. */
  readonly id: string
  /**
   * Key of counters, pools and exclusion masks, 0 to 30: the node's place in the list when the
   * monitor starts. The index of a node that left is given again only when nothing refers to it.
   */
  readonly index: number
  readonly host: string
  readonly port: number
  readonly zone: string | null
  /** Share of the reads relative to the other replicas; 0 = no reads unless asked by name. */
  readonly weight: number
}

/** At most this many nodes: one bit each in a 31-bit exclusion mask. */
export const MAX_NODES = 31

export type NodeRole = 'primary' | 'replica' | 'unknown'

export type NodeHealth = 'unknown' | 'up' | 'down' | 'banned' | 'draining'

/** One node in a snapshot: frozen, never changed after it was published. */
export interface NodeView {
  readonly spec: NodeSpec
  readonly id: string
  readonly index: number
  /** Hash of the id: places the node for `ip-hash`, whatever its position in the list. */
  readonly idHash: number
  /** Last role that a probe saw; `unknown` until the first answer. */
  readonly role: NodeRole
  readonly health: NodeHealth
  /** Why, in a few words: `connection refused`, `3 failures within 10000 ms`. Never empty. */
  readonly healthReason: string
  /** Why the node must get nothing although it may answer (split brain, foreign cluster …). */
  readonly fenced: string | null
  /**
   * A replica that is up, not fenced and on the primary's history: reads may go there, lag and
   * watermark permitting.
   */
  readonly readable: boolean
  /** Within the configured `maxLagMs`, judged with two thresholds so that it doesn't flap. */
  readonly fresh: boolean
  /** Age in ms of the oldest WAL of the primary that the node has not replayed; null = unknown. */
  readonly lagMs: number | null
  readonly lagBytes: number | null
  readonly timeline: number | null
  /** Positions of a primary: of the last record made, and of what a standby may be sent. */
  readonly insertLsn: Lsn | null
  readonly flushLsn: Lsn | null
  readonly replayLsn: Lsn | null
  readonly receiveLsn: Lsn | null
  /** Whether a WAL receiver streams; null = not visible to the monitor's role, or a primary. */
  readonly streaming: boolean | null
  readonly replayPaused: boolean
  /** A primary with `synchronous_standby_names`: standbys may show a commit before it does. */
  readonly waitsForStandbys: boolean
  /** `server_version_num`, 0 until known. */
  readonly serverVersion: number
  /** Changes when the server has read its configuration anew; '' until known. */
  readonly configuredAt: string
  /** Has left the cluster: gets nothing new, and goes when its last request has ended. */
  readonly leaving: boolean
  /** 1, or less while a node that came back is eased in. */
  readonly slowStartFactor: number
  /** `spec.weight` × `slowStartFactor`: what balancers use. */
  readonly effectiveWeight: number
  /** Monotonic ms since when the node has been up; null while it is not. */
  readonly upSinceMs: number | null
  /** Monotonic ms of the last answered probe; null = none yet. */
  readonly observedAtMs: number | null
}

/** FNV-1a over the UTF-16 units: stable across processes, so that instances agree on `ip-hash`. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return hash >>> 0
}
