import { randomBytes } from 'node:crypto'
import { formatListenAddress } from '../config/listen-address.ts'
import { parseConfig } from '../config/parse-config.ts'
import { Secret } from '../config/secret.ts'
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
  const config = parseConfig({
    listen: [formatListenAddress(listen)],
    log: { level: 'error', format: 'pretty' },
    http: { listen: [formatListenAddress(httpListen)] },
    clusters: {
      demo: {
        primary: { url: primaryUrl, name: 'primary' },
        replicas: replicaUrls.map((url, i) => ({ url, name: `replica${i + 1}` })),
      },
    },
  })
  const token = randomBytes(18).toString('base64url')
  const http = config.http && { ...config.http, tokens: [demoToken(token)] }
  const proxy = await startProxy({ ...config, http }, createLogger(config.log))
  const { host, port } = proxy.addresses[0] ?? listen
  const httpUrl = `http://${formatListenAddress(proxy.httpAddresses[0] ?? httpListen)}`
  return {
    host,
    port,
    httpUrl,
    // Behind the # it is sent to nobody.
    dashboardUrl: `${httpUrl}/#token=${token}`,
    nodes: proxy.nodes,
    stop: () => proxy.stop({ drain: false }),
  }
}

function demoToken(token: string) {
  return { name: 'demo', token: new Secret(token), role: 'operator' as const }
}
