import { configFromFlags } from '../config/config-from-flags.ts'
import { formatListenAddress } from '../config/listen-address.ts'
import type { StartDemoProxy } from '../demo/demo-proxy.ts'
import { createLogger } from '../log.ts'
import { startProxy } from '../proxy.ts'

/** pgsplit as `serve` would start it, quiet but for warnings. */
export const startDemoProxy: StartDemoProxy = async ({
  primaryUrl,
  replicaUrls,
  listen,
  httpListen,
}) => {
  const config = configFromFlags({
    primary: primaryUrl,
    replica: replicaUrls,
    listen: [formatListenAddress(listen)],
    httpListen: [formatListenAddress(httpListen)],
    logLevel: 'error',
    logFormat: 'pretty',
  })
  const proxy = await startProxy(config, createLogger(config.log))
  const { host, port } = proxy.addresses[0] ?? listen
  return {
    host,
    port,
    httpUrl: `http://${formatListenAddress(proxy.httpAddresses[0] ?? httpListen)}`,
    nodes: proxy.nodes,
    stop: () => proxy.stop({ drain: false }),
  }
}
