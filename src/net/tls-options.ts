import { isIP } from 'node:net'
import {
  type ConnectionOptions,
  checkServerIdentity,
  getCACertificates,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls'
import { ConfigError } from '../errors.ts'
import { readCertificates, readConfigured, readKeyPair, secureContextOf } from './pem-files.ts'

export { ClientTls, type ClientTlsFiles, type ClientTlsOptions } from './client-tls.ts'

/** libpq's words (libpq, "SSL Mode Descriptions"). */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/** The one application protocol of PostgreSQL over TLS. */
export const postgresqlAlpn = 'postgresql'

/** TLS of our connections to servers, in libpq's terms. */
export interface ServerTlsOptions {
  /** Default `prefer`. */
  readonly sslmode?: SslMode
  /** PEM file of the authorities, or `system`: those of the operating system (verify-full only). */
  readonly sslrootcert?: string
  /** PEM file of revoked certificates. */
  readonly sslcrl?: string
  /** PEM files of the certificate that we show, and its key. */
  readonly sslcert?: string
  readonly sslkey?: string
  /** What unlocks the key; as a function's result, so that no log shows it. */
  readonly sslpassword?: { reveal(): string }
  /** Send the host's name in the clear (SNI). Default true. */
  readonly sslsni?: boolean
  /** `direct`: TLS from the first byte (PostgreSQL 17 and later). Default `postgres`. */
  readonly sslnegotiation?: 'postgres' | 'direct'
  /** Default `TLSv1.2`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** Whether SCRAM binds to the TLS below it, as libpq's channel_binding. Default `prefer`. */
  readonly channelBinding?: ChannelBindingMode
}

type ChannelBindingMode = 'disable' | 'prefer' | 'require'

/** `ServerTlsOptions`, checked and read. */
export interface ServerTls {
  readonly sslmode: SslMode
  readonly isDirect: boolean
  /** Default `prefer`. */
  readonly channelBinding?: ChannelBindingMode
  /** What `tls.connect` gets besides the socket; `host` as it was dialled. */
  connectOptions(host: string): ConnectionOptions
}

/** No TLS and no files: what a node without TLS options gets. */
export const noServerTls: ServerTls = {
  sslmode: 'disable',
  isDirect: false,
  connectOptions: () => ({}),
}

/**
 * Reads and checks what the options name. Throws ConfigError with the option's path below `path`.
 * As in libpq, `require` with an `sslrootcert` verifies like `verify-ca`.
 */
export function loadServerTls(options: ServerTlsOptions, path = 'tls'): ServerTls {
  const sslmode = options.sslmode ?? 'prefer'
  const isDirect = options.sslnegotiation === 'direct'
  const { channelBinding } = options
  if (sslmode === 'disable') {
    if (channelBinding === 'require') {
      const message = 'channel_binding=require needs TLS; use sslmode=require or verify-full'
      throw new ConfigError(`${path}.sslmode`, message)
    }
    return noServerTls
  }
  if (isDirect && (sslmode === 'allow' || sslmode === 'prefer')) {
    throw new ConfigError(
      `${path}.sslnegotiation`,
      `sslmode ${sslmode} may not be used with direct TLS; use require, verify-ca or verify-full`,
    )
  }
  const { sslrootcert } = options
  const mustVerify = sslmode === 'verify-ca' || sslmode === 'verify-full'
  if (mustVerify && sslrootcert === undefined) {
    throw new ConfigError(
      `${path}.sslrootcert`,
      `sslmode ${sslmode} needs the authorities to trust; name a PEM file, or system`,
    )
  }
  if (sslrootcert === 'system' && sslmode !== 'verify-full') {
    throw new ConfigError(
      `${path}.sslmode`,
      `sslmode ${sslmode} is too weak for sslrootcert system; use verify-full`,
    )
  }
  const isVerified = mustVerify || (sslmode === 'require' && sslrootcert !== undefined)
  const secureContext = serverContext(options, path)
  return {
    sslmode,
    isDirect,
    ...(channelBinding === undefined ? {} : { channelBinding }),
    connectOptions: (host) => ({
      secureContext,
      rejectUnauthorized: isVerified,
      ALPNProtocols: [postgresqlAlpn],
      checkServerIdentity: (_name, certificate) =>
        sslmode === 'verify-full' ? checkServerIdentity(host, certificate) : undefined,
      ...(options.sslsni !== false && isIP(host) === 0 ? { servername: host } : {}),
    }),
  }
}

function serverContext(options: ServerTlsOptions, path: string): SecureContext {
  const context: SecureContextOptions = { minVersion: options.minVersion ?? 'TLSv1.2' }
  const { sslrootcert, sslcert, sslkey, sslcrl } = options
  if (sslrootcert === 'system') context.ca = systemAuthorities(`${path}.sslrootcert`)
  else if (sslrootcert !== undefined) {
    context.ca = readCertificates(`${path}.sslrootcert`, sslrootcert).pem
  }
  if (sslcrl !== undefined) context.crl = readConfigured(`${path}.sslcrl`, sslcrl)
  if ((sslcert === undefined) !== (sslkey === undefined)) {
    const missing = sslcert === undefined ? 'sslcert' : 'sslkey'
    throw new ConfigError(`${path}.${missing}`, 'sslcert and sslkey belong together; give both')
  }
  if (sslcert !== undefined && sslkey !== undefined) {
    Object.assign(
      context,
      readKeyPair(
        `${path}.sslcert`,
        sslcert,
        `${path}.sslkey`,
        sslkey,
        options.sslpassword?.reveal(),
      ).context,
    )
  }
  return secureContextOf(path, context)
}

function systemAuthorities(path: string): string[] {
  const found = getCACertificates('system')
  if (found.length === 0) {
    throw new ConfigError(path, 'this system has no trusted certificates; name a PEM file')
  }
  return found
}
