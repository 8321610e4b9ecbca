import type { NodeConfig } from '../../config/config.ts'
import { DatabaseCatalog } from '../../core/database-catalog.ts'
import { loadServerTls } from '../../net/tls-options.ts'
import { connectNode } from '../../node-client.ts'
import type { Connector } from '../connection-pool.ts'
import { assertBindable } from '../driver-pool.ts'
import {
  eventLog,
  type ProxyOptions,
  resolveProxyOptions,
  type SessionBehaviour,
} from '../session-options.ts'
import { mayDiffer, tlsAttempts } from './driver-tls.ts'
import { Lines, type ProxyDriver } from './lines.ts'
import { ProxyDoor } from './proxy-door.ts'

/** The door is of use at once; its first statements wait for the catalog. Throws ConfigError. */
export function openProxyDoor<Connection extends object>(
  options: ProxyOptions & SessionBehaviour,
  driver: ProxyDriver<Connection>,
): ProxyDoor<Connection> {
  const { onEvent, onWriteInReadSession = 'error', ...given } = options
  const { nodes, pool } = resolveProxyOptions(given)
  const [node] = nodes
  if (node === undefined) throw new Error('unreachable: the proxy stands where the primary would')
  assertBindable(nodes, driver)
  const { host, port } = node
  const { database } = node.login
  const lines = new Lines(node, pool, connectorOf(node, driver), driver)
  let isPrimaryThere = true
  const open = async () => {
    const { connectTimeoutMs } = pool
    const client = await connectNode(node, {
      connectTimeoutMs,
      statementTimeoutMs: 10_000,
      isProxy: true,
    })
    isPrimaryThere = await hasPrimary(client)
    if (!isPrimaryThere) {
      client.end()
      throw new Error('the proxy has no primary now')
    }
    // A replica may have yesterday's catalog.
    await client.query("SET pgsplit.route = 'primary'")
    return client
  }
  const catalog = new DatabaseCatalog({
    database,
    log: eventLog(onEvent),
    open,
    onDefaults: () => {},
    onLostProofs: () => {},
    mayWatch: () => true,
  })
  catalog.hold()
  return new ProxyDoor({
    lines,
    driver,
    catalog,
    hasPrimary: () => isPrimaryThere,
    name: `${host}:${port}`,
    onWriteInReadSession,
  })
}

type NodeSession = Awaited<ReturnType<typeof connectNode>>

/** pgsplit itself answers, at once: a statement for the primary would wait for one. */
async function hasPrimary(client: NodeSession): Promise<boolean> {
  const { rows } = await client.query('EXPLAIN (ROUTE) SELECT 1 FOR UPDATE')
  return rows[0]?.node !== 'none'
}

/** Dials as sslmode says, first as it went the last time. */
function connectorOf<Connection extends object>(
  node: NodeConfig,
  driver: ProxyDriver<Connection>,
): Connector<Connection> {
  const { host, port, login } = node
  const { user, password, database } = login
  const tls = loadServerTls(node.tls, 'tls')
  const connectors = tlsAttempts(tls, host).map((ssl) =>
    driver.connector({
      host,
      port,
      user,
      password: password?.reveal(),
      database,
      ssl,
      isDirectTls: tls.isDirect,
      isBound: tls.channelBinding === 'require',
      keepAliveIdleMs: node.keepAliveIdleMs,
    }),
  )
  let best = 0
  const [first] = connectors
  if (first === undefined) throw new Error('unreachable: sslmode gives at least one attempt')
  return {
    ...first,
    open: async (timeoutMs, onLost) => {
      for (let tries = 1; ; tries++) {
        try {
          return await (connectors[best] ?? first).open(timeoutMs, onLost)
        } catch (error) {
          if (tries >= connectors.length || !mayDiffer(error)) throw error
          best = (best + 1) % connectors.length
        }
      }
    },
  }
}
