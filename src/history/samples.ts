import type { Latencies } from '../metrics/request-meter.ts'
import type { StatementStats } from '../metrics/statement-table.ts'

/** One node at the moment of a sample. Counters only grow; they begin anew when a node comes back. */
export interface NodeSample {
  readonly node: string
  readonly role: string
  /** `up`, `lagging`, `banned` …: what SHOW NODES says. */
  readonly state: string
  readonly reason: string
  readonly zone: string | null
  readonly weight: number
  readonly lagMs: number | null
  readonly lagBytes: number | null
  readonly inFlight: number
  /** Server connections, and requests that wait for one. */
  readonly active: number
  readonly idle: number
  readonly waiting: number
  /** Counters: requests answered, those of them that were proved reads, those that failed. */
  readonly requests: number
  readonly reads: number
  readonly errors: number
  /** Null: it has answered nothing yet. */
  readonly read: Latencies | null
  readonly write: Latencies | null
}

/** One cluster at the moment of a sample. */
export interface ClusterSample {
  readonly cluster: string
  readonly isPaused: boolean
  readonly clients: { readonly idle: number; readonly active: number; readonly waiting: number }
  readonly longestWaitMs: number
  /** Counters. */
  readonly retries: number
  readonly misroutes: number
  readonly nodes: readonly NodeSample[]
  /** The live ones: only numbers are read of them. */
  readonly statements: Iterable<StatementStats>
}
