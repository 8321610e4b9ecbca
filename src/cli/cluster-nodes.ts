import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { discoveredNode } from '../config/resolve-discovery.ts'
import { createSource } from '../discovery/create-source.ts'
import { addressOf } from '../discovery/member.ts'

/** What one look at a cluster's source of nodes brought. */
export interface Discovered {
  readonly kind: string
  /** Nodes that the file doesn't list; those that the source takes for the primary first. */
  readonly nodes: readonly NodeConfig[]
  /** Every member with what the source says of it: `pg1 (leader, running)`. */
  readonly found: readonly string[]
  /** What went wrong; null = nothing. */
  readonly complaint: string | null
}

export type Discover = (cluster: ClusterConfig) => Promise<Discovered | null>

/** Looks once; null for a cluster without discovery. Never rejects. */
export async function discoverOnce(cluster: ClusterConfig): Promise<Discovered | null> {
  const { discovery } = cluster
  if (discovery === null) return null
  const { kind } = discovery.source
  try {
    const { members, complaint } = await createSource(discovery.source).read()
    const known = new Set(cluster.nodes.map(addressOf))
    const others = members.filter((member) => !known.has(addressOf(member)))
    const ordered = [
      ...others.filter(({ isLeader }) => isLeader),
      ...others.filter(({ isLeader }) => !isLeader),
    ]
    return {
      kind,
      nodes: ordered.map((member) => discoveredNode(member, discovery)),
      found: members.map(({ name, claim }) => `${name} (${claim})`),
      complaint,
    }
  } catch (error) {
    const complaint = error instanceof Error ? error.message : String(error)
    return { kind, nodes: [], found: [], complaint }
  }
}
