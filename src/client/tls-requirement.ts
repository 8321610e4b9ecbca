import type { ClientTls } from '../net/tls-options.ts'
import type { TlsInfo } from '../net/tls-upgrade.ts'
import { refusal } from './login.ts'

/**
 * What the mode of `tls` asks of every client that wants to start; `tls` null: nothing. Throws
 * FATAL 28000, which makes libpq's sslmode=allow come back with TLS.
 */
export function assertTlsSuffices(tls: ClientTls | null, info: TlsInfo | null, user: string): void {
  const invalid = info?.certificateError ?? null
  if (invalid !== null) throw refusal('28000', `client certificate is not valid (${invalid})`)
  if (tls === null || !tls.isRequired) return
  if (info === null) {
    throw refusal('28000', 'TLS is required', 'Connect with sslmode=require or stronger.')
  }
  if (!tls.mustVerify) return
  const name = info.clientCertificate?.commonName ?? null
  if (name === null) throw refusal('28000', 'connection requires a valid client certificate')
  if (tls.mode === 'verify-full' && name !== user) {
    throw refusal('28000', `certificate authentication failed for user "${user}"`)
  }
}
