import type { Cluster } from './cluster.ts'

/** What pools have to one node, together. */
interface NodeUse {
  active: number
  idle: number
  connecting: number
  waiting: number
}

/** One walk through the pools and sessions of the cluster. */
export function useOf(cluster: Cluster) {
  const nodes: (NodeUse | undefined)[] = []
  const clients = { idle: 0, active: 0, waiting: 0 }
  const nowMs = cluster.nowMs()
  let longestWaitMs = 0
  let pools = 0
  for (const scope of cluster.scopes.values()) {
    for (const [index, pool] of scope.pools) {
      pools++
      const counts = pool.counts()
      nodes[index] ??= { active: 0, idle: 0, connecting: 0, waiting: 0 }
      const sum = nodes[index]
      sum.active += counts.leased + counts.shared
      sum.idle += counts.idle
      sum.connecting += counts.connecting
      sum.waiting += counts.waiting
    }
    for (const session of scope.sessions) {
      if (session.waiting.request !== null) {
        clients.waiting++
        longestWaitMs = Math.max(longestWaitMs, nowMs - session.requestStartedAtMs)
      } else if (session.inFlight.length > 0 || session.lease !== null) clients.active++
      else clients.idle++
    }
  }
  return { nodes, clients, longestWaitMs, pools }
}
