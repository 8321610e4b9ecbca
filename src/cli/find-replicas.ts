import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { connectNode } from '../node-client.ts'
import { errorLine } from './error-line.ts'
import type { NodeFacts } from './inspect-node.ts'

/** A standby that streams, as the server that it streams from sees it. */
interface Follower {
  readonly name: string
  /** Null: over a unix-domain socket, or the role may not see it. */
  readonly address: string | null
}

/** Asks a node who streams from it, besides logical subscribers and base backups. */
export type AskFollowers = (node: NodeConfig) => Promise<readonly Follower[]>

/** What was found behind one primary. */
export interface Found {
  readonly replicas: readonly NodeConfig[]
  /** Those that stream but can't be reached from here, each with why, on one line. */
  readonly unreachable: readonly string[]
}

/** A cluster has at most 31 nodes. */
const maxNodes = 31

const followersSql = `SELECT r.application_name AS name, host(r.client_addr) AS address
  FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
  WHERE coalesce(s.slot_type, 'physical') = 'physical' AND r.state IS DISTINCT FROM 'backup'
  ORDER BY r.client_addr, r.application_name`

async function askFollowers(node: NodeConfig): Promise<Follower[]> {
  const client = await connectNode(node, { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000 })
  try {
    const { rows } = await client.query(followersSql)
    return rows.map(({ name, address }) => ({ name: name ?? '', address: address ?? null }))
  } finally {
    client.end()
  }
}

/**
 * The standbys that stream from the primary, or from one of them. A server says from which address
 * they come and not where they listen, so they are tried at the primary's port and at 5432: whoever
 * answers there as a standby of the same cluster is one.
 */
export async function findReplicas(
  primary: NodeConfig,
  cluster: ClusterConfig,
  systemIdentifier: string,
  inspect: (node: NodeConfig, cluster: ClusterConfig) => Promise<NodeFacts>,
  ask: AskFollowers = askFollowers,
): Promise<Found> {
  const given = cluster.nodes.filter((node) => node !== primary)
  const replicas = [...given]
  const unreachable: string[] = []
  const seen = new Set([primary, ...given].map(addressOf))
  for (const node of [primary, ...given]) await look(node)
  return { replicas, unreachable: [...new Set(unreachable)] }

  async function look(at: NodeConfig): Promise<void> {
    for (const follower of await ask(at).catch(() => [])) {
      if (replicas.length + 1 >= maxNodes) return
      const found = await reach(follower)
      if (found !== null) await look(found)
    }
  }

  async function reach({ name, address }: Follower): Promise<NodeConfig | null> {
    const who = `${name || 'a standby'} streams from ${address ?? 'an address that is not shown'}`
    if (address === null) {
      unreachable.push(`${who} (GRANT pg_monitor to ${primary.login.user}, or it uses a socket)`)
      return null
    }
    const why: string[] = []
    let wasKnown = false
    for (const port of new Set([primary.port, 5432])) {
      const node: NodeConfig = { ...primary, role: 'replica', host: address, port }
      if (seen.has(addressOf(node))) {
        wasKnown = true
        continue
      }
      try {
        const facts = await inspect(node, cluster)
        if (!facts.isStandby) why.push(`port ${port} is no standby`)
        else if (facts.systemIdentifier !== systemIdentifier)
          why.push(`port ${port} is of another cluster`)
        else {
          seen.add(addressOf(node))
          replicas.push(node)
          return node
        }
      } catch (error) {
        why.push(`port ${port}: ${errorLine(error)}`)
      }
    }
    if (!wasKnown || given.length === 0) {
      unreachable.push(`${who}, but ${why.join('; ') || 'its port is not known'}`)
    }
    return null
  }
}

function addressOf({ host, port }: NodeConfig): string {
  return `${host.toLowerCase()}:${port}`
}
