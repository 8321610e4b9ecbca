import type { ConnectionOptions } from 'node:tls'
import type { ServerTls } from '../../net/tls-options.ts'

/** What a driver is to try in which order (libpq-ssl, "SSL Mode Descriptions"): `allow` begins without TLS. */
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
