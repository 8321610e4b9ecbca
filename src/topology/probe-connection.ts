import type { NodeSpec } from './node.ts'
import type { ProbeRow } from './probe.ts'

/** One open connection for probes: all that the topology knows of a client of PostgreSQL. */
export interface ProbeConnection {
  /** Runs one statement and resolves to its only row, values as text. */
  query(sql: string): Promise<ProbeRow>
  /** Closes at once; never throws, may be called twice. */
  close(): void
}

interface OpenProbeCall {
  /** Fires when nobody waits for the connection any more. */
  readonly signal: AbortSignal
  /** To be called once if the connection is lost after it was open. */
  readonly onLost: () => void
}

/**
 * Dials and logs in. Rejects with an error that has the server's `sqlstate`, or, for itself or its
 * `cause`, the system's `code`.
 */
export type OpenProbe = (node: NodeSpec, call: OpenProbeCall) => Promise<ProbeConnection>
