/** pgsplit's own connections to a node, for everything that isn't a client's work. */
import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import type { NodeConfig } from './config/config.ts'
import { loadServerTls, type ServerTls } from './net/tls-options.ts'

/** How to dial: the database if not the monitor's own, and the time for all of it in ms. */
export interface NodeClientOptions {
  readonly database?: string
  readonly connectTimeoutMs: number
  readonly statementTimeoutMs: number
}

/**
 * Connects and logs in as the monitor, following sslmode. Rejects with the system's or the server's
 * error; the caller ends the client.
 */
export async function connectNode(
  node: NodeConfig,
  options: NodeClientOptions,
): Promise<pg.Client> {
  const tls = loadServerTls(node.tls, `node ${node.name}`)
  const attempts = tlsAttempts(tls, node.serverName ?? node.host)
  for (const [index, ssl] of attempts.entries()) {
    const client = new pg.Client({
      host: node.host,
      port: node.port,
      user: node.login.user,
      password: node.login.password?.reveal() ?? '',
      database: options.database ?? node.login.database,
      ssl,
      ...(tls.isDirect ? { sslnegotiation: 'direct' } : {}),
      connectionTimeoutMillis: options.connectTimeoutMs,
      statement_timeout: options.statementTimeoutMs,
      query_timeout: options.statementTimeoutMs + 1000,
      application_name: 'pgsplit',
    })
    // Errors reach the caller by its query; without a listener they would end the process.
    client.on('error', () => {})
    try {
      await client.connect()
      return client
    } catch (error) {
      client.end().catch(() => {})
      if (index === attempts.length - 1 || !mayDiffer(error)) throw error
    }
  }
  throw new Error('unreachable: sslmode gives at least one attempt')
}

/** What to try in which order (libpq-ssl, "SSL Mode Descriptions"): `allow` begins without TLS. */
export function tlsAttempts(tls: ServerTls, host: string): (false | ConnectionOptions)[] {
  if (tls.sslmode === 'disable') return [false]
  const encrypted = tls.connectOptions(host)
  if (tls.sslmode === 'allow') return [false, encrypted]
  if (tls.sslmode === 'prefer') return [encrypted, false]
  return [encrypted]
}

/** Whether the other way, with or without TLS, may get further: refused by pg_hba, or by TLS. */
export function mayDiffer(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  return code === '28000' || /^ERR_SSL|^ERR_TLS/.test(code) || /SSL/.test(error.message)
}
