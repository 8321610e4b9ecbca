import type { ClusterConfig, NodeConfig } from '../config/config.ts'
import { type ClusterMember, type Members, specOf } from '../core/members.ts'
import { ConfigError } from '../errors.ts'
import { loadServerTls } from '../net/tls-options.ts'
import { namedTls } from '../node-client.ts'
import type { Monitor } from '../topology/monitor.ts'
import { MAX_NODES } from '../topology/node.ts'
import type { Scope } from './scope.ts'

interface Changing {
  readonly config: ClusterConfig
  readonly members: Members
  readonly monitor: Monitor
  readonly scopes: ReadonlyMap<string, Scope>
}

/**
 * What a reload does to the nodes of the file: they come, go, or have other options. Throws
 * ConfigError when it can't be done, and nothing has changed; the result does it. With discovery the
 * nodes stay as they are.
 */
export function prepareNodes(cluster: Changing, config: ClusterConfig): () => void {
  if (config.discovery !== null) return () => {}
  const { members, monitor, scopes } = cluster
  const path = `clusters.${config.name}`
  const staying = members.all.filter(({ leavingSinceMs }) => leavingSinceMs === null)
  const wanted = config.nodes.map((node) => ({
    node,
    tls: namedTls(loadServerTls(node.tls, `${path}.tls`), node),
    member: staying.find((member) => isSame(member.node, node)) ?? null,
  }))
  const joining = wanted.filter(({ member }) => member === null)
  if (members.all.length + joining.length > MAX_NODES) {
    throw new ConfigError(
      `${path}.replicas`,
      `there is no room for ${joining.length} more nodes while others leave; reload again later`,
    )
  }
  const leaving = staying.filter((one) => wanted.every(({ member }) => member !== one))
  return () => {
    for (const { node, tls, member } of wanted) {
      if (member === null) continue
      const isOther = JSON.stringify(member.node.tls) !== JSON.stringify(node.tls)
      Object.assign(member, { node, tls })
      if (isOther) for (const scope of scopes.values()) scope.recycleNode(member.index)
      monitor.respec(member.index, node.weight, node.zone ?? null)
    }
    const renamed = new Set<ClusterMember>()
    for (const { node, tls } of joining) {
      const joined = members.enter(node, tls, 'config')
      if (joined === null) continue
      // The same server under another name goes on under the old one until the new one answers.
      const former = leaving.find((member) => isAt(member.node, node)) ?? null
      if (former !== null) renamed.add(former)
      monitor.add(specOf(joined), former?.index ?? null)
    }
    for (const member of leaving) {
      if (!renamed.has(member)) monitor.leave(member.index, 'is not in the configuration any more')
    }
  }
}

function isSame(one: NodeConfig, other: NodeConfig): boolean {
  return one.name === other.name && isAt(one, other)
}

function isAt(one: NodeConfig, other: NodeConfig): boolean {
  return one.host === other.host && one.port === other.port && one.serverName === other.serverName
}
