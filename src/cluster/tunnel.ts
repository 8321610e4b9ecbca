import type { Credential } from '../auth/credential.ts'
import type { ClientLogin } from '../client/startup.ts'
import { PgSplitError } from '../errors.ts'
import type { Link } from '../net/link.ts'
import { connectServer } from '../server/connect.ts'
import { backendKeyData, parameterStatus, readyForQuery } from '../wire/backend-messages.ts'
import type { Cluster } from './cluster.ts'

const highWaterBytes = 256 * 1024

/**
 * Connects a replication client (`replication=true` or `database`) straight to the primary, on a
 * connection of its own that no pool ever sees. Resolves when both sides are joined; `onClose` is
 * called when the client has gone after that.
 */
export async function openTunnel(
  cluster: Cluster,
  credential: Credential,
  serverUser: string,
  login: ClientLogin,
  onClose: () => void,
): Promise<void> {
  const { primary } = cluster.snapshot
  if (primary === null) {
    throw new PgSplitError({
      sqlstate: '57P03',
      message: 'there is no primary now, and replication connections go nowhere else',
      severity: 'FATAL',
    })
  }
  const skipped = new Set(['user', 'database', '_pq_'])
  const server = await connectServer({
    target: cluster.node(primary.index),
    user: serverUser,
    database: login.database,
    credential,
    tls: cluster.tls(primary.index),
    timeoutMs: cluster.config.pool.connectTimeoutMs,
    parameters: login.startupParameters.filter(
      ([name]) => !skipped.has(name) && !name.startsWith('_pq_.'),
    ),
  })
  const client = login.link
  for (const [name, value] of server.parameters) client.write(parameterStatus(name, value))
  const key = login.protocolMinor >= 2 ? server.secretKey : server.secretKey.subarray(0, 4)
  client.write(backendKeyData(server.processId, key))
  client.write(readyForQuery(server.txStatus))
  join(client, server.link, onClose)
  join(server.link, client)
  if (login.leftover.length > 0) server.link.write(login.leftover)
  if (server.leftover.length > 0) client.write(server.leftover)
  client.resume()
  server.link.resume()
}

/** Passes bytes of `from` on to `to`, no faster than `to` takes them. */
function join(from: Link, to: Link, onClose?: () => void): void {
  from.onChunk = (chunk) => {
    to.write(chunk)
    if (to.hasBacklog(highWaterBytes)) from.pause()
    return chunk.length
  }
  to.onDrain = () => from.resume()
  from.onClose = () => {
    to.end()
    onClose?.()
  }
}
