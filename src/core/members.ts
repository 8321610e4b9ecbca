import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { loadServerTls, type ServerTls } from '../net/tls-options.ts'
import { namedTls } from '../node-client.ts'
import { MAX_NODES, type NodeSpec } from '../topology/node.ts'

/** One node of a cluster as everything but the topology knows it. */
export interface ClusterMember {
  readonly index: number
  node: NodeConfig
  tls: ServerTls
  /** Where it comes from, for `SHOW NODES`: `config`, `patroni: leader, running`. */
  source: string
  /** When it began to leave, monotonic ms; null = it stays. */
  leavingSinceMs: number | null
}

/** The nodes of one cluster by index: those of the file from the start, others as they come and go. */
export class Members {
  readonly #members = new Map<number, ClusterMember>()
  readonly #discoveredTls: ServerTls | null
  #lastIndex: number

  /** Throws ConfigError for TLS files that can't be read. */
  constructor({ name, nodes, discovery }: ClusterConfig) {
    const path = `clusters.${name}.tls`
    for (const [index, node] of nodes.entries()) {
      this.#enter(index, node, namedTls(loadServerTls(node.tls, path), node), 'config')
    }
    this.#discoveredTls = discovery === null ? null : loadServerTls(discovery.tls, path)
    this.#lastIndex = nodes.length - 1
  }

  get all(): readonly ClusterMember[] {
    return [...this.#members.values()]
  }

  at(index: number): ClusterMember | undefined {
    return this.#members.get(index)
  }

  /** Whether the node is a member that stays. */
  has(node: NodeConfig | null): boolean {
    return this.all.some((member) => member.node === node && member.leavingSinceMs === null)
  }

  /** The node with this index. Throws when it has left: nothing may refer to it any more. */
  of(index: number): ClusterMember {
    const member = this.#members.get(index)
    if (member === undefined) throw new Error(`node ${index} has left the cluster`)
    return member
  }

  /** Gives a discovered node an index; null when all are in use. */
  join(node: NodeConfig, source: string): ClusterMember | null {
    const tls = this.#discoveredTls
    return tls === null ? null : this.enter(node, namedTls(tls, node), source)
  }

  /** Gives a node an index; null when all are in use. */
  enter(node: NodeConfig, tls: ServerTls, source: string): ClusterMember | null {
    if (this.#members.size >= MAX_NODES) return null
    // Round and round, so that an index rests as long as possible before it is used again.
    do this.#lastIndex = (this.#lastIndex + 1) % MAX_NODES
    while (this.#members.has(this.#lastIndex))
    return this.#enter(this.#lastIndex, node, tls, source)
  }

  remove(index: number): void {
    this.#members.delete(index)
  }

  #enter(index: number, node: NodeConfig, tls: ServerTls, source: string): ClusterMember {
    const member: ClusterMember = { index, node, tls, source, leavingSinceMs: null }
    this.#members.set(index, member)
    return member
  }
}

export function specOf({ index, node }: ClusterMember): NodeSpec {
  return {
    id: node.name,
    index,
    host: node.host,
    port: node.port,
    zone: node.zone ?? null,
    weight: node.weight,
  }
}
