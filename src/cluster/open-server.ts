import { type Credential, noCredential } from '../auth/credential.ts'
import type { NodeFailure } from '../client/cluster-access.ts'
import { connectServer } from '../server/connect.ts'
import { ConnectError } from '../server/connect-error.ts'
import { ServerConnection, type ServerConnectionEvents } from '../server/server-connection.ts'
import type { Cluster } from './cluster.ts'

/** Opens one server connection; a node that can't be reached is reported to the monitor. */
export async function openServer(
  cluster: Cluster,
  nodeIndex: number,
  user: string,
  database: string,
  using: Credential | undefined,
  events: ServerConnectionEvents,
): Promise<ServerConnection> {
  const node = cluster.node(nodeIndex)
  // Its server process reads its defaults after this, and maybe before it can be used.
  const startedAtMs = cluster.nowMs()
  try {
    const login = await connectServer({
      target: { host: node.host, port: node.port },
      user,
      database,
      credential: using ?? noCredential,
      tls: cluster.tls(nodeIndex),
      timeoutMs: cluster.config.pool.connectTimeoutMs,
    })
    const connection = new ServerConnection(
      {
        link: login.link,
        nodeIndex,
        nodeId: node.name,
        processId: login.processId,
        secretKey: login.secretKey,
        parameters: login.parameters,
      },
      events,
      startedAtMs,
    )
    if (login.leftover.length > 0) login.link.onChunk(login.leftover)
    login.link.resume()
    return connection
  } catch (error) {
    if (error instanceof ConnectError) {
      const kind = failureOf(error)
      if (kind !== null) cluster.reportFailure(nodeIndex, kind, error.message)
    }
    throw error
  }
}

/** Which failures are the node's, and not the role's, the configuration's or our own. */
function failureOf(error: ConnectError): NodeFailure | null {
  if (error.failure === 'own') return null
  if (error.failure === 'timeout') return 'timeout'
  if (error.failure === 'network') return 'refused'
  return error.sqlstate.startsWith('57P') ? 'shutdown' : null
}
