import { configFromFlags } from '../config/config-from-flags.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import type { DemoNode, StartDemoProxy } from '../demo/demo-proxy.ts'
import { createLogger } from '../log.ts'
import { type RunningProxy, startProxy } from '../proxy.ts'

/** pgsplit as `serve` would start it, quiet but for warnings. */
export const startDemoProxy: StartDemoProxy = async ({ primaryUrl, replicaUrls, listen }) => {
  const config = configFromFlags({
    primary: primaryUrl,
    replica: replicaUrls,
    listen: [formatListenAddress(listen)],
    logLevel: 'error',
    logFormat: 'pretty',
  })
  const proxy = await startProxy(config, createLogger(config.log))
  const { host, port } = proxy.addresses[0] ?? listen
  return {
    host,
    port,
    nodes: () => proxy.clusters.flatMap(nodesOf),
    stop: () => proxy.stop({ drain: false }),
  }
}

function nodesOf({ snapshot, counters }: RunningProxy['clusters'][number]): DemoNode[] {
  const onReplicas = counters.readsReplica.reduce((sum, count) => sum + (count ?? 0), 0)
  return snapshot.nodes.map((node) => ({
    name: node.id,
    role: node.role,
    state: node.fenced === null ? node.health : 'fenced',
    lagMs: node.lagMs,
    requests: counters.requests[node.index] ?? 0,
    reads:
      node.role === 'primary'
        ? counters.reads - onReplicas
        : (counters.readsReplica[node.index] ?? 0),
  }))
}
