/** pgsplit's own connections to a node, for everything that isn't a client's work. */
import { credential, noCredential } from './auth/credential.ts'
import type { NodeConfig } from './config/config.ts'
import { loadServerTls, type ServerTls } from './net/tls-options.ts'
import { connectServer } from './server/connect.ts'
import { ConnectError } from './server/connect-error.ts'
import { SqlSession, type SqlSessionOptions } from './server/sql-session.ts'
import { mayBeOwnProcessId } from './wire/process-id.ts'

/** How to dial. */
export interface NodeClientOptions extends Pick<SqlSessionOptions, 'onLost'> {
  /** Default: that of the node's log-in. */
  readonly database?: string
  /** For all of it, ms. */
  readonly connectTimeoutMs: number
  /** The server gives a statement up after it; pgsplit does so a second later. ms. */
  readonly statementTimeoutMs: number
  readonly applicationName?: string
  /** Further settings of the session, as in libpq's `options`. */
  readonly settings?: string
  /** Sets nothing at all, so that what the server sets by itself can be seen. Default false. */
  readonly isPlain?: boolean
  /** Default: read from the node's files. */
  readonly tls?: ServerTls
  /** The node is expected to be a pgsplit. Default false: then it is refused. */
  readonly isProxy?: boolean
  /** Fires when nobody waits for the connection any more. */
  readonly signal?: AbortSignal
}

/** TLS for a node whose certificate may have another name than the address that is dialled. */
export function namedTls(tls: ServerTls, { serverName }: NodeConfig): ServerTls {
  if (serverName === undefined) return tls
  return { ...tls, connectOptions: () => tls.connectOptions(serverName) }
}

/** A session and how its node was reached. */
export interface NodeClient {
  readonly session: SqlSession
  readonly isEncrypted: boolean
}

/**
 * Connects and logs in as the monitor, following sslmode. Rejects with ConnectError; the caller ends
 * the session.
 */
export async function connectNode(
  node: NodeConfig,
  options: NodeClientOptions,
): Promise<SqlSession> {
  return (await dialNode(node, options)).session
}

/** The same, for who wants to know how it was reached. */
export async function dialNode(node: NodeConfig, options: NodeClientOptions): Promise<NodeClient> {
  const { login } = node
  const { statementTimeoutMs, signal, onLost } = options
  const password = login.password?.reveal()
  const opened = await connectServer({
    target: node,
    user: login.user,
    database: options.database ?? login.database,
    credential: password === undefined ? noCredential : credential({ kind: 'password', password }),
    tls: options.tls ?? namedTls(loadServerTls(node.tls, `node ${node.name}`), node),
    timeoutMs: options.connectTimeoutMs,
    allowCleartext: true,
    parameters:
      options.isPlain === true
        ? []
        : [
            ['application_name', options.applicationName ?? 'pgsplit'],
            ['client_encoding', 'UTF8'],
            [
              'options',
              `-c statement_timeout=${statementTimeoutMs} ${options.settings ?? ''}`.trim(),
            ],
          ],
    ...(signal === undefined ? {} : { signal }),
  })
  const session = new SqlSession(opened, {
    timeoutMs: statementTimeoutMs + 1000,
    ...(onLost === undefined ? {} : { onLost }),
  })
  if (options.isProxy !== true && mayBeOwnProcessId(opened.processId))
    await assertServer(session, node)
  return { session, isEncrypted: opened.tls !== null }
}

/** Behind itself pgsplit would go round in circles; behind another one it would see one server. */
async function assertServer(session: SqlSession, { name }: NodeConfig): Promise<void> {
  const answer = await session.query('SHOW pgsplit.cluster').catch(() => null)
  if (answer === null) return
  session.end()
  throw new ConnectError('protocol', {
    sqlstate: '08001',
    message: `node ${name} is a pgsplit, not a PostgreSQL server`,
    hint: 'Name the servers themselves: it may even be this pgsplit.',
  })
}
