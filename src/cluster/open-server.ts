import { type Credential, noCredential } from '../auth/credential.ts'
import type { NodeFailure } from '../client/cluster-access.ts'
import { PgSplitError } from '../errors.ts'
import { askIdentity } from '../server/ask-identity.ts'
import { connectServer } from '../server/connect.ts'
import { ConnectError } from '../server/connect-error.ts'
import { ServerConnection, type ServerConnectionEvents } from '../server/server-connection.ts'
import type { Cluster } from './cluster.ts'
import type { ScopeIdentity } from './scope-identity.ts'

/**
 * Opens one server connection of a scope; a node that can't be reached is reported to the monitor.
 * Rejects with 57P03 when the names stand for another role or database there than on the primary.
 */
export async function openServer(
  cluster: Cluster,
  nodeIndex: number,
  identity: ScopeIdentity,
  database: string,
  using: Credential | undefined,
  events: ServerConnectionEvents,
): Promise<ServerConnection> {
  const node = cluster.node(nodeIndex)
  if (identity.isBehind(nodeIndex, cluster.nowMs())) throw behind(node.name)
  // Its server process reads its defaults after this, and maybe before it can be used.
  const startedAtMs = cluster.nowMs()
  try {
    // The primary's own settings are those that it has.
    if (cluster.isReplica(nodeIndex)) await cluster.settings.ready(nodeIndex)
    const login = await connectServer({
      target: node,
      user: identity.roleName,
      database,
      credential: using ?? noCredential,
      tls: cluster.tls(nodeIndex),
      timeoutMs: cluster.config.pool.connectTimeoutMs,
      parameters: cluster.settings.forLogin(nodeIndex, identity.roleName, database),
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
    login.link.offer(login.leftover)
    login.link.resume()
    await confirm(cluster, connection, identity)
    return connection
  } catch (error) {
    if (error instanceof ConnectError) {
      const kind = failureOf(error)
      if (kind !== null) cluster.reportFailure(nodeIndex, kind, error.message)
    }
    throw error
  }
}

/** Closes a connection that is not who it has to be. */
async function confirm(
  cluster: Cluster,
  connection: ServerConnection,
  identity: ScopeIdentity,
): Promise<void> {
  const { nodeIndex, nodeId } = connection
  const { connectTimeoutMs } = cluster.config.pool
  const found = await askIdentity(connection, connectTimeoutMs).catch((error: unknown) => {
    if (!connection.isClosed) connection.close()
    throw error
  })
  if (found === null) return
  const isSame = found.role === identity.role && found.database === identity.database
  if (isSame && found.digest === identity.digest) return
  // What the primary says is newer than what is known; without a primary nothing is newer.
  cluster.noteIdentityChange()
  const { primary } = cluster.snapshot
  if (isSame && (primary === null || primary.index === nodeIndex)) return
  connection.close()
  if (primary?.index !== nodeIndex) identity.foundBehind(nodeIndex, cluster.nowMs())
  throw behind(nodeId)
}

function behind(node: string): PgSplitError {
  return new PgSplitError({
    sqlstate: '57P03',
    message: `node ${node} knows the role or the database by another state than the primary`,
    hint: 'Try again.',
  })
}

/** Which failures are the node's, and not the role's, the configuration's or our own. */
function failureOf(error: ConnectError): NodeFailure | null {
  if (error.failure === 'own') return null
  if (error.failure === 'timeout') return 'timeout'
  if (error.failure === 'network') return 'refused'
  return error.sqlstate.startsWith('57P') ? 'shutdown' : null
}
